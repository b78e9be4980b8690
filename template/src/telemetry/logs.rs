//! Logs: text for people or JSON for machines.{% capture body %}

use std::fmt;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use tracing::span::Record;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_serde::SerdeMapVisitor;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{FilterExt, LevelFilter, dynamic_filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::ChronoUtc;
use tracing_subscriber::fmt::{FormatFields, FormattedFields};
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, reload};
use validator::{Validate, ValidationError};

use super::in_request::{JsonLines, TextLines, is_done_closely, log_closely};
use super::log_writer::{LogGuard, LogWriter};
use super::request_log;
use crate::settings::a_share;

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
    /// The share of the requests of which also is logged what this service says at the level `debug`, whatever `level` is.
    #[validate(custom(function = a_share))]
    pub debug_ratio: f64,
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
    let time = ChronoUtc::new(TIME.to_owned());
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_writer(writer.clone());
    let layer = match settings.format {
        LogFormat::Text => layer.event_format(TextLines::new(time)).boxed(),
        LogFormat::Json => layer
            .event_format(JsonLines::new(time))
            .fmt_fields(SpanFields)
            .boxed(),
    };
    let layer = if settings.debug_ratio > 0.0 {
        log_closely(settings.debug_ratio);
        layer.with_filter(filter.or(closely())).boxed()
    } else {
        layer.with_filter(filter).boxed()
    };
    let subscriber = tracing_subscriber::registry().with(layer); //~{% if features contains "otel" %}
    let subscriber = subscriber.with(super::traces::layer()); //~{% endif %}
    subscriber.try_init().context("logging cannot start")?;
    request_log::start(writer, settings.format, colours);
    Ok(guard)
}

/// Lets through what this service says of a request that is logged closely.
fn closely<S>() -> impl Filter<S> {
    let is_ours = |metadata: &Metadata<'_>| {
        let (ours, theirs) = (module_path!(), metadata.target());
        *metadata.level() <= Level::DEBUG && theirs.split(':').next() == ours.split(':').next()
    };
    dynamic_filter_fn(move |metadata, _| is_ours(metadata) && is_done_closely())
        // Nobody else is asked each time.
        .with_callsite_filter(move |metadata| {
            if is_ours(metadata) {
                Interest::sometimes()
            } else {
                Interest::never()
            }
        })
        .with_max_level_hint(LevelFilter::DEBUG)
}

/// The fields of a span as a JSON object, written once and in their order.
///
/// The library's own way sorts them in a map first, which costs more than all else that is done for the span of a request.
struct SpanFields;

impl SpanFields {
    fn json(fields: impl RecordFields) -> Option<String> {
        let mut json = Vec::with_capacity(64);
        let mut writer = serde_json::Serializer::new(&mut json);
        let mut visitor = SerdeMapVisitor::new(writer.serialize_map(None).ok()?);
        fields.record(&mut visitor);
        visitor.finish().ok()?;
        String::from_utf8(json).ok()
    }
}

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut to: Writer<'w>, fields: R) -> fmt::Result {
        to.write_str(&Self::json(fields).ok_or(fmt::Error)?)
    }

    /// Of a field that is there already, readers take the last value.
    fn add_fields(&self, known: &'w mut FormattedFields<Self>, more: &Record<'_>) -> fmt::Result {
        let more = Self::json(more).ok_or(fmt::Error)?;
        let known = &mut known.fields;
        known.pop();
        if known.len() > 1 && more.len() > 2 {
            known.push(',');
        }
        known.push_str(&more[1..]);
        Ok(())
    }
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
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    use serde_json::{Value, json};
    use tracing::field::Empty;

    #[test]
    fn fields_of_a_span_are_an_object_whenever_they_become_known() {
        let (spans, read) = std::sync::mpsc::channel();
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .with_current_span(false)
            .fmt_fields(SpanFields)
            .with_writer(move || Lines(spans.clone()));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let hostile = "\"},{\"forged\":\"\n";
            let whole = tracing::info_span!("whole", hostile, n = 1, late = Empty);
            let _whole = whole.enter();
            let empty = tracing::info_span!("empty", late = Empty);
            let _empty = empty.enter();
            for span in [&whole, &empty] {
                span.record("late", Empty);
                span.record("late", "first");
                span.record("late", "last");
            }
            tracing::info!("here");
        });
        let line: Value = serde_json::from_str(&read.recv().unwrap()).unwrap();
        let expected = json!([
            { "name": "whole", "hostile": "\"},{\"forged\":\"\n", "n": 1, "late": "last" },
            { "name": "empty", "late": "last" },
        ]);
        assert_eq!(line["spans"], expected);
    }

    /// Sends every line to a test.
    pub struct Lines(pub std::sync::mpsc::Sender<String>);

    impl io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
