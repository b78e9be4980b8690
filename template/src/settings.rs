//! The settings: layered, checked as a whole before anything starts, and able to say where each value is from.{% capture body %}
//!
//! Each section is a plain struct beside the code it configures. `config/default.toml` is the list of them all.

mod layers;
mod secret;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Table;
use validator::{Validate, ValidationError};

use self::layers::{Layers, each_leaf};
pub use self::secret::Secret; //~{% if features contains "auth" %}
use crate::features::auth::AuthSettings; //~{% endif %}{% if frontend == "pages" %}
use crate::http::assets::AssetSettings; //~{% endif %}
use crate::http::cors::CorsSettings;
use crate::http::rate_limit::RateLimitSettings;
use crate::http::security::SecuritySettings;
use crate::http::{OperatorSettings, ServerSettings};
use crate::infra::cache::CacheSettings; //~{% if features contains "redis" %}
use crate::infra::cache::RedisSettings; //~{% endif %}
use crate::infra::db::DatabaseSettings;
use crate::infra::error_reports::ErrorSettings;
use crate::infra::outbound::OutboundSettings;
use crate::telemetry::LogSettings; //~{% if features contains "otel" %}
use crate::telemetry::traces::OtelSettings; //~{% endif %}

const LOCAL_FILE: &str = "config/local.toml";
const DOTENV: &str = ".env";

#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(skip, default)]
    pub environment: Environment,
    #[validate(nested)]
    pub server: ServerSettings, //~{% if frontend == "pages" %}
    #[validate(nested)]
    pub assets: AssetSettings, //~{% endif %}
    #[validate(nested)]
    pub operator: OperatorSettings,
    #[validate(nested)]
    pub rate_limit: RateLimitSettings,
    #[validate(nested)]
    pub cors: CorsSettings,
    #[validate(nested)]
    pub security: SecuritySettings,
    #[validate(nested)]
    pub database: DatabaseSettings,
    #[validate(nested)]
    pub outbound: OutboundSettings,
    #[validate(nested)]
    pub errors: ErrorSettings,
    #[validate(nested)]
    pub cache: CacheSettings, //~{% if features contains "redis" %}
    #[validate(nested)]
    pub redis: RedisSettings, //~{% endif %}{% if features contains "auth" %}
    #[validate(nested)]
    pub auth: AuthSettings, //~{% endif %}
    #[validate(nested)]
    pub log: LogSettings, //~{% if features contains "otel" %}
    #[validate(nested)]
    pub otel: OtelSettings, //~{% endif %}
}

impl Settings {
    /// The secrets that are too easy to guess for production.
    fn weak_secrets(&self) -> Vec<&'static str> {
        let secrets = [
            // What opens the service to whoever has it.
            ("operator.token", &self.operator.token),
            ("security.csrf_secret", &self.security.csrf_secret), //~{% if features contains "auth" %}
            // Whoever knows it can be anybody.
            ("auth.secret", &self.auth.secret), //~{% endif %}
        ];
        let given = secrets
            .into_iter()
            .filter_map(|(key, secret)| Some((key, secret.as_ref()?))); //~{% if features contains "auth" %}
        // What they have signed is taken still.
        let previous = self.auth.previous_secrets.iter();
        let given = given.chain(previous.map(|secret| ("auth.previous_secrets", secret))); //~{% endif %}
        let weak = given.filter(|(_, secret)| !secret.is_strong());
        weak.map(|(key, _)| key).collect()
    }
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

    #[must_use]
    pub fn is_production(self) -> bool {
        self == Self::Production
    }

    /// As it is written in `APP_ENV`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
            Self::Test => "test",
        }
    }

    fn parse(name: &str) -> Result<Self, Problem> {
        match name {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            "test" => Ok(Self::Test),
            other => Err(Problem {
                key: "APP_ENV".into(),
                source: "environment".into(),
                message: format!(
                    "must be development, production or test, not `{}`",
                    other.escape_debug()
                ),
            }),
        }
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
        if self.key == self.source {
            return write!(f, "{} {}", self.key, self.message);
        }
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
            report + &format!("{row:width$}  # {source}\n")
        })
    }
}

/// Loads the settings of this process: `file` or `config/local.toml` if it exists, then a `.env` file in
/// development, then the environment.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(file: Option<&Path>) -> Result<Loaded, InvalidSettings> {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let file = match file {
        Some(file) => Some(file.to_owned()),
        None => Some(PathBuf::from(LOCAL_FILE)).filter(|local| local.exists()),
    };
    let mut layers = Layers::default();
    let environment = variables.get("APP_ENV").map(String::as_str);
    let dotenv = match environment {
        None | Some("development") => layers.read_dotenv(Path::new(DOTENV)),
        Some(_) => BTreeMap::new(),
    };
    layers.load(file.as_deref(), &dotenv, &variables)
}

/// Loads the settings from `file` and `variables` over the defaults.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load_from(
    file: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<Loaded, InvalidSettings> {
    Layers::default().load(file, &BTreeMap::new(), variables)
}

/// From nothing to all. Not a range of validator's, which `nan` would pass.
///
/// # Errors
/// If it is anything else.
pub fn a_share(share: f64) -> Result<(), ValidationError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(ValidationError::new("share").with_message("must be between 0 and 1".into()))
}

/// A rule for durations: zero would stop what they limit, and centuries overflow a clock.
///
/// # Errors
/// If it is broken.
pub fn some_time(duration: &Duration) -> Result<(), ValidationError> {
    if duration.is_zero() {
        return Err(ValidationError::new("zero").with_message("must be longer than 0s".into()));
    }
    limited(duration)
}

/// A rule for durations that may be zero.
///
/// # Errors
/// If it is broken.
pub fn limited(duration: &Duration) -> Result<(), ValidationError> {
    // Of 365¼ days, as in the file.
    const TEN_YEARS: Duration = Duration::from_hours(10 * 8766);
    if *duration > TEN_YEARS {
        return Err(ValidationError::new("long").with_message("must be at most 10years".into()));
    }
    Ok(())
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
