//! Which request a line of the log belongs to, and who has sent it.
//!
//! A span for each request would say so too. But most requests log nothing besides their own line, and to make a span, enter
//! it whenever the request goes on and close it costs more than all else that the log does for them. So a request has its id
//! with it, and lines have it from there.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::{Event, Instrument, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::time::{ChronoUtc, FormatTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The share of the requests that are logged closely, as the bits of a number from 0 to 1.
static CLOSE_SHARE: AtomicU64 = AtomicU64::new(0);

tokio::task_local! {
    static REQUEST: Option<CurrentRequest>;
}

/// What all that is done for a request knows of it. A cheap handle.
#[derive(Clone, Debug)]
pub struct CurrentRequest(Arc<Known>);

#[derive(Debug)]
struct Known {
    id: Box<str>,
    /// Whether a span says the id.
    is_in_span: bool,
    user: OnceLock<Box<str>>,
    /// Whether what is said at the level `debug` is logged.
    is_close: bool,
}

impl CurrentRequest {
    /// Lines name it by this id, which must be harmless in quotes, unless they have it from a span.
    #[must_use]
    pub fn new(id: &str, is_in_span: bool) -> Self {
        Self(Arc::new(Known {
            id: id.into(),
            is_in_span,
            user: OnceLock::new(),
            is_close: is_next_close(),
        }))
    }

    /// Who has sent it, if somebody has found out.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.0.user.get().map(|user| &**user)
    }
}

/// Does `work` for this request.
pub async fn in_request<F: Future>(request: Option<CurrentRequest>, work: F) -> F::Output {
    REQUEST.scope(request, work).await
}

/// Does `work` for the request and in the span that this is called in, wherever that will be.
pub fn following<F: Future>(work: F) -> impl Future<Output = F::Output> {
    in_request(current(), work.in_current_span())
}

/// Notes who has sent the request that this is called for: an id, and nothing that people know them by.
pub fn set_user(user: &str) {
    if let Some(request) = current() {
        request.0.user.get_or_init(|| user.into());
    }
}

fn current() -> Option<CurrentRequest> {
    REQUEST.try_with(Clone::clone).ok().flatten()
}

/// From now on this share of the requests is logged closely.
pub(super) fn log_closely(share: f64) {
    CLOSE_SHARE.store(share.to_bits(), Ordering::Relaxed);
}

/// Spreads those that are logged closely evenly over all.
fn is_next_close() -> bool {
    static REQUESTS: AtomicU32 = AtomicU32::new(0);
    let share = f64::from_bits(CLOSE_SHARE.load(Ordering::Relaxed));
    share > 0.0 && is_close(REQUESTS.fetch_add(1, Ordering::Relaxed), share)
}

fn is_close(number: u32, share: f64) -> bool {
    let before = f64::from(number) * share;
    (before + share).floor() > before.floor()
}

/// Whether this is done for a request that is logged closely.
pub(super) fn is_done_closely() -> bool {
    let is_close =
        |request: &Option<CurrentRequest>| request.as_ref().is_some_and(|it| it.0.is_close);
    REQUEST.try_with(is_close).unwrap_or(false)
}

/// The id of the request that this is done for.
pub(super) fn id() -> Option<Box<str>> {
    Some(current()?.0.id.clone())
}

/// The id of the request, unless a span has it.
fn named() -> Option<Box<str>> {
    let request = current()?.0;
    (!request.is_in_span).then(|| request.id.clone())
}

/// Lines as JSON, with the request as the first of the spans.
pub(super) struct JsonLines(Format<Json, ChronoUtc>);

impl JsonLines {
    pub fn new(time: ChronoUtc) -> Self {
        let format = Format::default().json().flatten_event(true);
        Self(format.with_current_span(false).with_timer(time))
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        const SPANS: &str = "\"spans\":[";
        const END: &str = "}\n";
        let Some(id) = named() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        let own = format!(r#"{{"request_id":"{id}","name":"request"}}"#);
        // The last field, if there is one.
        if let Some(place) = context.lookup_current().and_then(|_| line.rfind(SPANS)) {
            line.insert_str(place + SPANS.len(), &(own + ","));
        } else {
            line.truncate(line.len().saturating_sub(END.len()));
            write!(line, ",{SPANS}{own}]{END}")?;
        }
        writer.write_str(&line)
    }
}

/// Lines as text, with the request before its spans.
pub(super) struct TextLines {
    time: ChronoUtc,
    whole: Format<Full, ChronoUtc>,
    /// All but the time and the level.
    rest: Format<Full, ()>,
}

impl TextLines {
    pub fn new(time: ChronoUtc) -> Self {
        Self {
            whole: Format::default().with_timer(time.clone()),
            rest: Format::default().without_time().with_level(false),
            time,
        }
    }
}

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(id) = named() else {
            return self.whole.format_event(context, writer, event);
        };
        let level = *event.metadata().level();
        let colour = match level {
            Level::ERROR => "\x1b[31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            Level::DEBUG => "\x1b[34m",
            Level::TRACE => "\x1b[35m",
        };
        let [dim, bold, plain, colour] = if writer.has_ansi_escapes() {
            ["\x1b[2m", "\x1b[1m", "\x1b[0m", colour]
        } else {
            [""; 4]
        };
        writer.write_str(dim)?;
        self.time.format_time(&mut writer)?;
        write!(
            writer,
            "{plain} {colour}{level:>5}{plain} {bold}request{{{plain}"
        )?;
        write!(writer, "request_id=\"{id}\"{bold}}}{plain}: ")?;
        self.rest.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::mpsc::{Receiver, channel};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::writer::BoxMakeWriter;
    use tracing_subscriber::layer::{Layer, SubscriberExt};

    use crate::telemetry::logs::tests::Lines;

    fn lines<S>(
        layer: impl FnOnce(BoxMakeWriter) -> S,
    ) -> (tracing::subscriber::DefaultGuard, Receiver<String>)
    where
        S: Layer<tracing_subscriber::Registry> + Send + Sync + 'static,
    {
        let (sent, lines) = channel();
        let writer = BoxMakeWriter::new(move || Lines(sent.clone()));
        let subscriber = tracing_subscriber::registry().with(layer(writer));
        (tracing::subscriber::set_default(subscriber), lines)
    }

    fn json_lines() -> (tracing::subscriber::DefaultGuard, Receiver<String>) {
        lines(|writer| {
            tracing_subscriber::fmt::layer()
                .json()
                .event_format(JsonLines::new(ChronoUtc::rfc_3339()))
                .with_writer(writer)
        })
    }

    #[tokio::test]
    async fn a_line_names_its_request_wherever_it_is_logged() {
        let (_guard, lines) = json_lines();
        let next = || -> Value { serde_json::from_str(&lines.recv().unwrap()).unwrap() };
        let request = json!({ "request_id": "r-1", "name": "request" });
        tracing::info!("outside");
        assert_eq!(next()["spans"], Value::Null);
        in_request(Some(CurrentRequest::new("r-1", false)), async {
            tracing::info!(spans = "},\"spans\":[", "plain");
            let line = next();
            assert_eq!(line["message"], "plain");
            assert_eq!(line["spans"], json!([request]));
            async { tracing::info!("in a span of one's own") }
                .instrument(tracing::info_span!("own", n = 1))
                .await;
            let line = next();
            assert_eq!(line["spans"], json!([request, { "n": 1, "name": "own" }]));
            tokio::spawn(following(async { tracing::info!("elsewhere") }))
                .await
                .unwrap();
            assert_eq!(next()["spans"], json!([request]));
        })
        .await;
        tracing::info!("outside again");
        assert_eq!(next()["spans"], Value::Null);
    }

    #[test]
    fn those_that_are_logged_closely_are_spread_evenly() {
        let among = |first: u32, share| {
            (first..first + 1000)
                .filter(|n| is_close(*n, share))
                .count()
        };
        for (share, expected) in [(0.0, 0), (0.01, 10), (0.25, 250), (1.0, 1000)] {
            for first in [0, 1, 123_456] {
                let found = among(first, share);
                assert!(found.abs_diff(expected) <= 1, "{found} at {share}");
            }
        }
    }

    #[tokio::test]
    async fn who_has_sent_a_request_is_known_wherever_it_is_found_out() {
        let request = CurrentRequest::new("r-1", false);
        set_user("nobody's");
        in_request(Some(request.clone()), async {
            let elsewhere = tokio::spawn(following(async { set_user("u-1") }));
            elsewhere.await.unwrap();
        })
        .await;
        assert_eq!(request.user(), Some("u-1"));
        assert_eq!(CurrentRequest::new("r-2", false).user(), None);
    }

    #[tokio::test]
    async fn a_line_of_text_names_its_request_before_all_else() {
        let (_guard, lines) = lines(|writer| {
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .event_format(TextLines::new(ChronoUtc::new("now".into())))
                .with_writer(writer)
        });
        tracing::info!("outside");
        let here = module_path!();
        assert_eq!(
            lines.recv().unwrap(),
            format!("now  INFO {here}: outside\n")
        );
        in_request(Some(CurrentRequest::new("r-1", false)), async {
            let own = tracing::info_span!("own", n = 1);
            own.in_scope(|| tracing::warn!(x = 2, "inside"));
        })
        .await;
        assert_eq!(
            lines.recv().unwrap(),
            format!("now  WARN request{{request_id=\"r-1\"}}: own{{n=1}}: {here}: inside x=2\n")
        );
    }
}
