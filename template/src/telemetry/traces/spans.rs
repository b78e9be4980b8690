//! The spans there are: their names, and what each says, in the words of OpenTelemetry's semantic conventions.

use futures_util::TryFutureExt;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId};
use opentelemetry::{Context, KeyValue};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Request, Response};
use tracing::dispatcher::get_default;
use tracing::field::{Empty, display};
use tracing::{Instrument, Metadata, Span, error_span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::telemetry::RequestRecord;

/// What the spans here are called in `log.level`.
const TARGET: &str = "traces";

/// The first span of a trace goes by another name: the log needs it, because it says which request a line is about.
const REQUEST: &str = module_path!();

/// A span within the span that is current, if that one belongs to a trace; none costs next to nothing.
macro_rules! span_within_trace {
    ($($described:tt)*) => {
        if is_within_trace() {
            info_span!(target: TARGET, $($described)*)
        } else {
            Span::none()
        }
    };
}

fn is_within_trace() -> bool {
    get_default(|dispatch| dispatch.current_span().metadata().is_some_and(is_ours))
}

/// Whether it is described here.
pub(super) fn is_ours(span: &Metadata<'_>) -> bool {
    [REQUEST, TARGET].contains(&span.target())
}

/// The most bytes of a text that a client has sent.
const LONGEST: usize = 1024;

/// The names of a request's span, as they are logged and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceIds {
    pub trace: TraceId,
    pub span: SpanId,
}

/// The span of a request that this service answers, if there is a [`layer`](super::layer). It ends with [`end_request`].
#[must_use]
pub fn request(
    request_id: &str,
    method: &'static str,
    path: &str,
    parent: Option<SpanContext>,
) -> Option<(Span, TraceIds)> {
    // The fields are what the log shows of it, on lines of any level.
    let span = error_span!(
        target: REQUEST,
        "request",
        request_id,
        trace_id = Empty,
        span_id = Empty,
        otel.kind = "server",
    );
    if let Some(parent) = parent {
        // It has just begun, so it takes one.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    let context = span.context();
    let started = context.span();
    let ids = TraceIds {
        trace: started.span_context().trace_id(),
        span: started.span_context().span_id(),
    };
    if !started.span_context().is_valid() {
        return None;
    }
    // All that is known if its client does not wait for the answer.
    started.update_name(known(method));
    started.set_attributes([
        KeyValue::new("http.request.method", known(method)),
        KeyValue::new("url.path", cut(path)),
    ]);
    span.record("trace_id", display(ids.trace));
    span.record("span_id", display(ids.span));
    Some((span, ids))
}

/// Ends the span of a request, whatever goes on in the background for it.
pub fn end_request(span: &Span, record: &RequestRecord<'_>, is_https: bool) {
    let context = span.context();
    let span = context.span();
    let scheme = if is_https { "https" } else { "http" };
    let mut attributes = vec![
        KeyValue::new("http.response.status_code", i64::from(record.status)),
        KeyValue::new("url.scheme", scheme),
        KeyValue::new("client.address", record.client.to_owned()),
        KeyValue::new("user_agent.original", cut(record.user_agent)),
    ];
    // The name is one of few: not every path is a route.
    if record.route.starts_with('/') {
        span.update_name(format!("{} {}", known(record.method), record.route));
        attributes.push(KeyValue::new("http.route", record.route.to_owned()));
    }
    if let Some(bytes) = record.bytes {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        attributes.push(KeyValue::new("http.response.body.size", bytes));
    }
    if !record.user.is_empty() {
        attributes.push(KeyValue::new("user.id", record.user.to_owned()));
    }
    if !record.cache.is_empty() {
        attributes.push(KeyValue::new("cache.status", record.cache.to_owned()));
    }
    if record.status >= 500 {
        attributes.push(KeyValue::new("error.type", record.status.to_string()));
        span.set_status(Status::error(""));
    }
    span.set_attributes(attributes);
    span.end();
}

/// The conventions have another word for a method that nobody knows.
fn known(method: &'static str) -> &'static str {
    match method {
        "OTHER" => "_OTHER",
        method => method,
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}

/// One call of the database, with the wait for a connection.
#[must_use]
pub fn query(system: &str, operation: &'static str, table: &'static str) -> Span {
    span_within_trace!(
        "query",
        otel.name = format!("{operation} {table}"),
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = system.to_ascii_lowercase(),
        db.operation.name = operation,
        db.collection.name = table,
    )
}

/// A look for a value that memory does not have, to its end: in the second tier, by a load, or by waiting for another's.
#[must_use]
pub fn cache_fetch(namespace: &'static str) -> Span {
    span_within_trace!(
        "cache fetch",
        otel.status_code = Empty,
        cache.namespace = namespace,
    )
}

/// A value being loaded because no tier has it.
#[must_use]
pub fn cache_load(namespace: &'static str) -> Span {
    span_within_trace!(
        "cache load",
        otel.status_code = Empty,
        cache.namespace = namespace,
    )
}

/// A call of a store beside the database: `disk`, or `redis`.
#[must_use]
pub fn store(system: &'static str, operation: &'static str) -> Span {
    let kind = if system == "disk" {
        "internal"
    } else {
        "client"
    };
    span_within_trace!(
        "store",
        otel.name = format!("{system} {operation}"),
        otel.kind = kind,
        otel.status_code = Empty,
        db.system.name = system,
        db.operation.name = operation,
    )
}

/// A page being made, by the template of its route.
#[must_use]
pub fn render(route: &str) -> Span {
    span_within_trace!("render", otel.status_code = Empty, http.route = route)
}

/// One attempt to call another service, which is told by which span.
#[must_use]
pub fn call(request: &mut Request, resends: u32) -> Span {
    let span = span_within_trace!(
        "call",
        otel.name = request.method().as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        http.request.resend_count = resends,
        http.response.status_code = Empty,
        server.address = request.url().host_str(),
        server.port = request.url().port_or_known_default(),
    );
    if !span.is_disabled() {
        let context = span.context();
        tell(request, context.span().span_context());
    }
    span
}

/// Waits for the answer within the `span` of the call, which says what it was.
///
/// # Errors
/// If there is no answer.
pub fn answered(
    span: Span,
    call: impl Future<Output = reqwest::Result<Response>>,
) -> impl Future<Output = reqwest::Result<Response>> {
    let told = span.clone();
    within(span, call).inspect_ok(move |response| {
        let status = response.status();
        told.record("http.response.status_code", status.as_u16());
        if status.is_client_error() || status.is_server_error() {
            told.record("otel.status_code", "ERROR");
        }
    })
}

fn tell(request: &mut Request, span: &SpanContext) {
    let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
    let flags = (flags & TraceFlags::SAMPLED).to_u8();
    let parent = format!("00-{trace}-{id}-{flags:02x}");
    for (name, value) in [
        ("traceparent", parent),
        ("tracestate", span.trace_state().header()),
    ] {
        if let Ok(value) = HeaderValue::try_from(value)
            && !value.is_empty()
        {
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
}

/// Does `work` within `span`, which says so if it fails.
///
/// # Errors
/// Those of `work`.
pub fn within<T, E>(
    span: Span,
    work: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    let told = span.clone();
    // An async function would hold `work` twice.
    work.instrument(span).inspect_err(move |_| {
        told.record("otel.status_code", "ERROR");
    })
}
