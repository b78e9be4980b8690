//! Logs: text for people or JSON for machines.{% capture body %}

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::time::ChronoUtc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, reload};
use validator::{Validate, ValidationError};

use super::log_writer::{LogGuard, LogWriter};
use super::request_log;

/// Log files older than this many days are deleted.
const KEPT_DAYS: usize = 14;

/// RFC 3339, as the lines about requests have it.
const TIME: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A level or directives, as in `RUST_LOG`.
    #[validate(custom(function = level_rule))]
    pub level: String,
    /// The folder of the log files; absent: standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// A word alone is meant as a level. The filter would take any other word for the name of a module, and log nothing
/// else.
fn level_rule(level: &str) -> Result<(), ValidationError> {
    let is_word = level.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_good = if is_word {
        !level.is_empty() && level.parse::<LevelFilter>().is_ok()
    } else {
        EnvFilter::builder().parse(level).is_ok()
    };
    if is_good {
        return Ok(());
    }
    let rule =
        "must be off, error, warn, info, debug, trace or directives like \"info,sqlx=debug\"";
    Err(ValidationError::new("level").with_message(rule.into()))
}

/// Starts logging for the whole process.
///
/// # Errors
/// If the level cannot be parsed, the folder cannot be written, or logging has started before.
pub fn init(settings: &LogSettings) -> anyhow::Result<LogGuard> {
    let filter = EnvFilter::builder()
        .parse(&settings.level)
        .with_context(|| {
            format!(
                "log.level `{}` is not a level or a list of directives",
                settings.level
            )
        })?;
    let (writer, guard) = writer(settings)?;
    let colours = settings.dir.is_none() && io::stderr().is_terminal();
    let (filter, handle) = reload::Layer::new(filter);
    keep(move |filter| Ok(handle.reload(filter)?));
    let layer = tracing_subscriber::fmt::layer()
        .with_timer(ChronoUtc::new(TIME.to_owned()))
        .with_ansi(colours)
        .with_writer(writer.clone());
    let layer = match settings.format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter)); //~{% if features contains "otel" %}
    let subscriber = subscriber.with(super::traces::layer()); //~{% endif %}
    subscriber.try_init().context("logging cannot start")?;
    request_log::start(writer, settings.format, colours);
    Ok(guard)
}

type Reload = Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>;

/// Puts another filter in the place of the one in force.
static RELOAD: OnceLock<Reload> = OnceLock::new();

fn keep(reload: impl Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync + 'static) {
    // Logging starts once; a second start fails before this is missed.
    let _ = RELOAD.set(Box::new(reload));
}

/// Changes what is logged, until the next start; `level` is what `log.level` takes.
///
/// # Errors
/// If it is not a level or a list of directives, or nothing is logged.
pub fn set_level(level: &str) -> anyhow::Result<()> {
    let rule =
        "must be off, error, warn, info, debug, trace or directives like \"info,sqlx=debug\"";
    ensure!(level_rule(level).is_ok(), "The level {rule}.");
    let filter = EnvFilter::builder().parse(level)?;
    let reload = RELOAD.get().context("This process does not log.")?;
    reload(filter)?;
    request_log::follow_level();
    Ok(())
}

fn writer(settings: &LogSettings) -> anyhow::Result<(LogWriter, LogGuard)> {
    let Some(dir) = &settings.dir else {
        return LogWriter::start(io::stderr());
    };
    // The appender makes it too, but not before it has looked for old files in it.
    std::fs::create_dir_all(dir)
        .with_context(|| format!("log.dir {} cannot be made", dir.display()))?;
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(env!("CARGO_PKG_NAME"))
        .filename_suffix("log")
        .max_log_files(KEPT_DAYS)
        .build(dir)
        .with_context(|| format!("log.dir {} cannot be written", dir.display()))?;
    LogWriter::start(file)
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
