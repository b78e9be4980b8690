//! The trace of one request: whether it has one, its span, and how its caller gets to know of it.

use std::time::Instant;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

use super::front::label;
use super::page_cache::Asked;
use crate::telemetry::RequestRecord;
use crate::telemetry::traces::{Caller, Sampling, TraceIds, spans};

const HEADER: HeaderName = HeaderName::from_static("x-trace-id");

/// The span of a request, if it is traced.
#[derive(Debug)]
pub(super) struct Trace(Option<(Span, TraceIds)>);

impl Trace {
    /// Decides whether the request is traced. If not, that is all that is done.
    pub fn begin(at: Instant, asked: Asked<'_>, request_id: &str) -> Self {
        let Some(sampling) = Sampling::current() else {
            return Self(None);
        };
        let headers = asked.headers;
        let caller = sampling.follows_callers.then(|| caller(headers)).flatten();
        if !sampling.takes(caller.as_ref(), at) {
            return Self(None);
        }
        let parent = caller.map(|caller| caller.span_context(state(headers).as_deref()));
        Self(spans::request(
            request_id,
            label(asked.method),
            asked.path,
            parent,
        ))
    }

    pub fn ids(&self) -> Option<TraceIds> {
        self.0.as_ref().map(|(_, ids)| *ids)
    }

    /// The span to answer the request in.
    pub fn span(&self) -> Option<Span> {
        self.0.as_ref().map(|(span, _)| span.clone())
    }

    /// Adds the name of the trace to an answer.
    pub fn name(&self, answer: &mut HeaderMap) {
        let name = self.ids().map(|ids| ids.trace.to_string());
        if let Some(name) = name.and_then(|name| HeaderValue::try_from(name).ok()) {
            answer.insert(HEADER, name);
        }
    }

    pub fn end(&self, record: &RequestRecord<'_>, is_https: bool) {
        if let Some((span, _)) = &self.0 {
            spans::end_request(span, record, is_https);
        }
    }
}

/// More than one `traceparent` is none (W3C Trace Context, section 3.2).
fn caller(headers: &HeaderMap) -> Option<Caller> {
    let mut sent = headers.get_all("traceparent").iter();
    match (sent.next(), sent.next()) {
        (Some(one), None) => Caller::parse(one.to_str().ok()?),
        _ => None,
    }
}

/// Several lines are one list (W3C Trace Context, section 3.3).
fn state(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all("tracestate").iter();
    let lines: Result<Vec<_>, _> = lines.map(HeaderValue::to_str).collect();
    lines
        .ok()
        .filter(|lines| !lines.is_empty())
        .map(|lines| lines.join(","))
}
