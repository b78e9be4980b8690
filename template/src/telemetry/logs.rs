//! Logs: text for people or JSON for machines, written by a thread of their own so that no request waits.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoUtc;
use tracing_subscriber::util::SubscriberInitExt;
use validator::Validate;

/// Log files older than this many days are deleted.
const KEPT_DAYS: usize = 14;

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A level or directives, as in `RUST_LOG`.
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

/// Writes what is still in memory when it is dropped: keep it until the end of `main`.
#[must_use]
pub struct LogGuard(#[expect(dead_code, reason = "held for its Drop")] WorkerGuard);

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
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(ChronoUtc::rfc_3339())
        .with_ansi(colours)
        .with_writer(writer);
    let started = match settings.format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .finish()
            .try_init(),
    };
    started.context("logging cannot start")?;
    Ok(LogGuard(guard))
}

fn writer(settings: &LogSettings) -> anyhow::Result<(NonBlocking, WorkerGuard)> {
    let Some(dir) = &settings.dir else {
        return Ok(tracing_appender::non_blocking(io::stderr()));
    };
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(env!("CARGO_PKG_NAME"))
        .filename_suffix("log")
        .max_log_files(KEPT_DAYS)
        .build(dir)
        .with_context(|| format!("log.dir {} cannot be written", dir.display()))?;
    Ok(tracing_appender::non_blocking(file))
}
