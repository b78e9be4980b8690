//! Merging the layers, and collecting everything that is wrong in them.{% capture body %}

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::{DOTENV, Environment, InvalidSettings, Loaded, Problem, Settings, words};
use crate::infra::db::DatabaseSettings;

const DEFAULTS: &str = include_str!("../../config/default.toml");
const DEFAULTS_FILE: &str = "config/default.toml";
const PREFIX: &str = "APP__";

/// Names that platforms set, and the settings they stand for.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("PORT", "server.port"),
    ("RUST_LOG", "log.level"),
    ("SENTRY_DSN", "errors.dsn"),
    // Where the stores are. //~{% if features contains "redis" %}
    ("REDIS_URL", "redis.url"), //~{% endif %}{% if features contains "otel" %}
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otel.endpoint"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otel.protocol"),
    ("OTEL_SERVICE_NAME", "otel.service_name"), //~{% endif %}
    ("DATABASE_URL", "database.url"),
];

/// The layers merged so far, and what was wrong with them.
#[derive(Default)]
pub(super) struct Layers {
    merged: Table,
    sources: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Layers {
    pub(super) fn load(
        mut self,
        file: Option<&Path>,
        dotenv: &BTreeMap<String, String>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Loaded, InvalidSettings> {
        let name = variables.get("APP_ENV").or_else(|| dotenv.get("APP_ENV"));
        let name = name.map_or("development", String::as_str);
        let environment = Environment::parse(name).unwrap_or_else(|problem| {
            self.problems.push(problem);
            Environment::default()
        });
        self.add_defaults(environment);
        if let Some(file) = file {
            self.add_file(file);
        }
        self.add_variables(dotenv, DOTENV);
        self.add_variables(variables, "environment");
        let mut settings = self.read()?;
        settings.environment = environment;
        if environment == Environment::Production {
            self.refuse_weak_secrets(&settings);
            self.refuse_careless_database(&settings.database);
        }
        if let Err(errors) = settings.validate() {
            self.add_broken_rules("", &errors);
        }
        if self.problems.is_empty() {
            Ok(Loaded {
                settings,
                sources: self.sources,
            })
        } else {
            Err(InvalidSettings(self.problems))
        }
    }

    /// The variables of a `.env` file, if there is one.
    pub(super) fn read_dotenv(&mut self, file: &Path) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let lines = match dotenvy::from_path_iter(file) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return variables,
            Err(error) => {
                self.refuse_file(file, format!("cannot be read: {error}"));
                return variables;
            }
        };
        for line in lines {
            match line {
                Ok((name, value)) => {
                    variables.insert(name, value);
                }
                Err(dotenvy::Error::LineParse(line, _)) => {
                    // The rest of the line may be a secret.
                    let start = line.split([' ', '=', ':']).next().unwrap_or_default();
                    self.refuse_file(
                        file,
                        format!("has a line that is not NAME=value: `{start}…`"),
                    );
                }
                // The next line would fail alike, without end.
                Err(error) => {
                    self.refuse_file(file, format!("cannot be read: {error}"));
                    break;
                }
            }
        }
        variables
    }

    fn refuse_file(&mut self, file: &Path, message: String) {
        let name = file.display().to_string();
        self.problems.push(Problem {
            key: name.clone(),
            source: name,
            message,
        });
    }

    fn add_defaults(&mut self, environment: Environment) {
        let mut defaults = defaults();
        let production = defaults.remove("production");
        self.add(&defaults, DEFAULTS_FILE);
        if let (Environment::Production, Some(Value::Table(production))) = (environment, production)
        {
            self.add(&production, "config/default.toml [production]");
        }
    }

    fn add_file(&mut self, file: &Path) {
        let parsed = match std::fs::read_to_string(file) {
            Ok(text) => text.parse::<Table>().map_err(|error| {
                let before = error.span().and_then(|span| text.get(..span.start));
                let line = before.map_or(1, |before| before.matches('\n').count() + 1);
                format!("is not TOML: line {line}: {}", error.message())
            }),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        match parsed {
            Ok(table) => self.add(&table, &file.display().to_string()),
            Err(message) => self.refuse_file(file, message),
        }
    }

    fn add_variables(&mut self, variables: &BTreeMap<String, String>, source: &str) {
        let short = SHORT_NAMES
            .iter()
            .filter_map(|(name, key)| Some((*name, (*key).to_owned(), variables.get(*name)?)));
        let long = variables.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
            Some((name.as_str(), key, value))
        });
        let defaults = defaults();
        for (name, key, text) in short.chain(long) {
            let mut layer = Table::new();
            insert(&mut layer, &key, typed(find(&defaults, &key), text));
            self.add(&layer, &format!("{source} {name}"));
        }
    }

    fn add(&mut self, layer: &Table, source: &str) {
        each_leaf(layer, "", &mut |key, value| match find(&self.merged, key) {
            Some(Value::Table(_)) if value.is_table() => {}
            // Put in place of the section, it would hide what else is wrong there.
            Some(Value::Table(_)) => self.problems.push(Problem {
                key: key.to_owned(),
                source: source.to_owned(),
                message: "is a section, not a value".to_owned(),
            }),
            _ => {
                insert(&mut self.merged, key, value.clone());
                self.sources.insert(key.to_owned(), source.to_owned());
            }
        });
    }

    /// Reads the merged layers. A value that does not fit is noted and left out, until the rest reads.
    fn read(&mut self) -> Result<Settings, InvalidSettings> {
        let defaults = defaults();
        loop {
            let error = match serde_path_to_error::deserialize(Value::Table(self.merged.clone())) {
                Ok(settings) => return Ok(settings),
                Err(error) => error,
            };
            // Of a list no more than its name.
            let path = error.path().to_string();
            let key = path.split('[').next().unwrap_or_default().to_owned();
            let message = words::explain(error.inner().message().trim(), find(&self.merged, &key));
            let source = self.source_of(&key);
            self.problems.push(Problem {
                key: key.clone(),
                source,
                message,
            });
            let repaired = match find(&defaults, &key) {
                Some(default) if find(&self.merged, &key) != Some(default) => {
                    let default = default.clone();
                    insert(&mut self.merged, &key, default);
                    true
                }
                _ => remove(&mut self.merged, &key),
            };
            if !repaired {
                return Err(InvalidSettings(std::mem::take(&mut self.problems)));
            }
        }
    }

    fn refuse_weak_secrets(&mut self, settings: &Settings) {
        for key in settings.weak_secrets() {
            self.problems.push(Problem {
                key: key.to_owned(),
                source: self.source_of(key),
                message: "is too easy to guess for production, which wants at least 16 characters besides words \
                          like changeme, 6 of them different"
                    .to_owned(),
            });
        }
    }

    /// A database that nobody has named, or one behind a password that is tried first.
    fn refuse_careless_database(&mut self, database: &DatabaseSettings) {
        let key = "database.url";
        let message = if database.has_weak_password() {
            "has a password that is tried first, which production takes for this machine alone"
        } else if database.is_a_file() || self.source_of(key) != DEFAULTS_FILE {
            return;
        } else {
            "must be set for production"
        };
        self.problems.push(Problem {
            key: key.to_owned(),
            source: self.source_of(key),
            message: message.to_owned(),
        });
    }

    fn add_broken_rules(&mut self, prefix: &str, errors: &ValidationErrors) {
        for (field, kind) in errors.errors() {
            // A rule for a whole section.
            let key = match field.as_ref() {
                "__all__" => prefix.trim_end_matches('.').to_owned(),
                field => format!("{prefix}{field}"),
            };
            match kind {
                ValidationErrorsKind::Struct(errors) => {
                    self.add_broken_rules(&format!("{key}."), errors);
                }
                ValidationErrorsKind::List(_) => {}
                ValidationErrorsKind::Field(errors) => {
                    let source = self.source_of(&key);
                    self.problems.extend(errors.iter().map(|error| {
                        Problem {
                            key: key.clone(),
                            source: source.clone(),
                            message: error
                                .message
                                .as_deref()
                                .unwrap_or("is not valid")
                                .to_owned(),
                        }
                    }));
                }
            }
        }
        self.problems.sort_by(|a, b| a.key.cmp(&b.key));
    }

    fn source_of(&self, key: &str) -> String {
        // An error may be about a whole section; then any of its values tells the layer.
        let inside = format!("{key}.");
        let found = self.sources.get(key).or_else(|| {
            self.sources
                .iter()
                .find(|(name, _)| name.starts_with(&inside))
                .map(|(_, source)| source)
        });
        found.map_or("default", String::as_str).to_owned()
    }
}

fn defaults() -> Table {
    DEFAULTS.parse().expect("a test reads config/default.toml")
}

/// A variable is text; it becomes what the default of the same setting is.
fn typed(default: Option<&Value>, text: &str) -> Value {
    let parsed = match default {
        Some(Value::String(_)) | None => None,
        Some(_) => format!("value = {text}").parse::<Table>().ok(),
    };
    parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Visits every value, and every section that has none.
pub(super) fn each_leaf(table: &Table, prefix: &str, visit: &mut impl FnMut(&str, &Value)) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(inner) if !inner.is_empty() => each_leaf(inner, &format!("{key}."), visit),
            leaf => visit(&key, leaf),
        }
    }
}

fn find<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
        None => table.get(key),
    }
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        Some((section, rest)) => {
            let section = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            // A value where a section belongs gives way, so that the section is the one reported.
            if !section.is_table() {
                *section = Value::Table(Table::new());
            }
            if let Value::Table(section) = section {
                insert(section, rest, value);
            }
        }
        None => {
            table.insert(key.to_owned(), value);
        }
    }
}

fn remove(table: &mut Table, key: &str) -> bool {
    match key.split_once('.') {
        Some((section, rest)) => table
            .get_mut(section)
            .and_then(Value::as_table_mut)
            .is_some_and(|section| remove(section, rest)),
        None => table.remove(key).is_some(),
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
