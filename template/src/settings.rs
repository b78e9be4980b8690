//! The settings: layered, checked as a whole before anything starts, and able to say where each value is from.
//!
//! Each section is a plain struct beside the code it configures. `config/default.toml` is the list of them all.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use crate::http::{OperatorSettings, ServerSettings};
use crate::infra::cache::CacheSettings;
use crate::infra::db::DatabaseSettings;
use crate::telemetry::LogSettings;

const DEFAULTS: &str = include_str!("../config/default.toml");
const LOCAL_FILE: &str = "config/local.toml";
const PREFIX: &str = "APP__";

/// Names that platforms set, and the settings they stand for.
const SHORT_NAMES: [(&str, &str); 3] = [
    ("PORT", "server.port"),
    ("DATABASE_URL", "database.url"),
    ("RUST_LOG", "log.level"),
];

#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(skip, default)]
    pub environment: Environment,
    #[validate(nested)]
    pub server: ServerSettings,
    #[validate(nested)]
    pub operator: OperatorSettings,
    #[validate(nested)]
    pub database: DatabaseSettings,
    #[validate(nested)]
    pub cache: CacheSettings,
    #[validate(nested)]
    pub log: LogSettings,
}

/// `APP_ENV`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Environment {
    #[default]
    Development,
    Production,
    Test,
}

impl Environment {
    #[must_use]
    pub fn is_development(self) -> bool {
        self == Self::Development
    }

    fn parse(name: &str) -> Result<Self, Problem> {
        match name {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            "test" => Ok(Self::Test),
            other => Err(Problem {
                key: "APP_ENV".into(),
                source: "environment".into(),
                message: format!("must be development, production or test, not `{other}`"),
            }),
        }
    }
}

/// A value that is never shown whole. An address is shown without its password.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The real value, for the code that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str("***");
        };
        // A password may hold an @, the host may not.
        let Some((user, host)) = rest.rsplit_once('@') else {
            return f.write_str(&self.0);
        };
        let user = user.split(':').next().unwrap_or_default();
        write!(f, "{scheme}://{user}:***@{host}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, `section.key`.
    pub key: String,
    /// The file or variable it came from.
    pub source: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.key, self.message, self.source)
    }
}

/// Everything that is wrong with the settings, one line each.
#[derive(Debug, thiserror::Error)]
#[error("the settings are not valid:\n{}", .0.iter().map(|p| format!("  {p}")).collect::<Vec<_>>().join("\n"))]
pub struct InvalidSettings(pub Vec<Problem>);

/// The settings and where each of them came from.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    sources: BTreeMap<String, String>,
}

impl Loaded {
    /// One line per setting: its value, secrets hidden, and its source.
    #[must_use]
    pub fn report(&self) -> String {
        let table = Table::try_from(&self.settings).unwrap_or_default();
        let mut rows = Vec::new();
        each_leaf(&table, "", &mut |key, value| {
            let source = self.sources.get(key).map_or("default", String::as_str);
            rows.push((format!("{key} = {value}"), source));
        });
        let width = rows
            .iter()
            .map(|(row, _)| row.chars().count())
            .max()
            .unwrap_or(0);
        rows.iter().fold(String::new(), |report, (row, source)| {
            report
                + &format!(
                    "{row:width$}  # {source}
"
                )
        })
    }
}

/// Loads the settings of this process: `file` or `config/local.toml` if it exists, then the environment, to which
/// a `.env` file adds in development.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(file: Option<&Path>) -> Result<Loaded, InvalidSettings> {
    let mut variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let environment = variables
        .get("APP_ENV")
        .map_or(Ok(Environment::Development), |name| {
            Environment::parse(name)
        });
    if matches!(environment, Ok(Environment::Development)) {
        for (name, value) in dotenvy::dotenv_iter().into_iter().flatten().flatten() {
            variables.entry(name).or_insert(value);
        }
    }
    let file = match file {
        Some(file) => Some(file.to_owned()),
        None => Some(PathBuf::from(LOCAL_FILE)).filter(|local| local.exists()),
    };
    load_from(file.as_deref(), &variables)
}

/// Loads the settings from `file` and `variables` over the defaults.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load_from(
    file: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<Loaded, InvalidSettings> {
    let mut layers = Layers::default();
    let name = variables
        .get("APP_ENV")
        .map_or("development", String::as_str);
    let environment = Environment::parse(name).unwrap_or_else(|problem| {
        layers.problems.push(problem);
        Environment::default()
    });
    layers.add_defaults(environment);
    if let Some(file) = file {
        layers.add_file(file);
    }
    layers.add_variables(variables);
    let mut settings = layers.read()?;
    settings.environment = environment;
    if let Err(errors) = settings.validate() {
        layers.add_broken_rules("", &errors);
    }
    if layers.problems.is_empty() {
        Ok(Loaded {
            settings,
            sources: layers.sources,
        })
    } else {
        Err(InvalidSettings(layers.problems))
    }
}

/// The layers merged so far, and what was wrong with them.
#[derive(Default)]
struct Layers {
    merged: Table,
    sources: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Layers {
    fn add_defaults(&mut self, environment: Environment) {
        let mut defaults: Table = DEFAULTS.parse().expect("a test reads config/default.toml");
        let production = defaults.remove("production");
        self.add(&defaults, "config/default.toml");
        if let (Environment::Production, Some(Value::Table(production))) = (environment, production)
        {
            self.add(&production, "config/default.toml [production]");
        }
    }

    fn add_file(&mut self, file: &Path) {
        let source = file.display().to_string();
        let parsed = match std::fs::read_to_string(file) {
            Ok(text) => text
                .parse::<Table>()
                .map_err(|error| format!("is not TOML: {}", error.message())),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        match parsed {
            Ok(table) => self.add(&table, &source),
            Err(message) => self.problems.push(Problem {
                key: source.clone(),
                source,
                message,
            }),
        }
    }

    fn add_variables(&mut self, variables: &BTreeMap<String, String>) {
        let short = SHORT_NAMES
            .iter()
            .filter_map(|(name, key)| Some((*name, (*key).to_owned(), variables.get(*name)?)));
        let long = variables.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
            Some((name.as_str(), key, value))
        });
        let found: Vec<_> = short.chain(long).collect();
        for (name, key, value) in found {
            let value = self.typed(&key, value);
            let mut layer = Table::new();
            insert(&mut layer, &key, value);
            self.add(&layer, &format!("environment {name}"));
        }
    }

    /// A variable is text; it becomes what the default of the same setting is.
    fn typed(&self, key: &str, text: &str) -> Value {
        let text_value = Value::String(text.to_owned());
        match find(&self.merged, key) {
            Some(Value::String(_)) | None => text_value,
            Some(_) => {
                let parsed = format!("value = {text}").parse::<Table>().ok();
                parsed
                    .and_then(|mut table| table.remove("value"))
                    .unwrap_or(text_value)
            }
        }
    }

    fn add(&mut self, layer: &Table, source: &str) {
        each_leaf(layer, "", &mut |key, value| {
            insert(&mut self.merged, key, value.clone());
            self.sources.insert(key.to_owned(), source.to_owned());
        });
    }

    /// Reads the merged layers. A value that does not fit is noted and left out, until the rest reads.
    fn read(&mut self) -> Result<Settings, InvalidSettings> {
        let defaults: Table = DEFAULTS.parse().expect("a test reads config/default.toml");
        loop {
            let error = match serde_path_to_error::deserialize(Value::Table(self.merged.clone())) {
                Ok(settings) => return Ok(settings),
                Err(error) => error,
            };
            let key = error.path().to_string();
            let message = error.inner().message().trim().to_owned();
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

    fn add_broken_rules(&mut self, prefix: &str, errors: &ValidationErrors) {
        for (field, kind) in errors.errors() {
            let key = format!("{prefix}{field}");
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

fn each_leaf(table: &Table, prefix: &str, visit: &mut impl FnMut(&str, &Value)) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(inner) => each_leaf(inner, &format!("{key}."), visit),
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
}
