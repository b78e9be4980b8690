//! A visit from inside: it puts a page into the cache, and no connection, log line or request metric is made of it.

use anyhow::{Context, ensure};
use axum::body::Body;
use axum::http::{HeaderValue, Request};
use tracing::Instrument;

use super::edge::Edge;
use super::page_cache::STATUS_HEADER;
use crate::infra::cache::Source;

/// Asks `routes` for the page at `path`, and says where that came from.
///
/// # Errors
/// If the answer is anything but a success.
pub async fn visit(routes: Edge, path: String) -> anyhow::Result<Source> {
    let request = Request::get(&path).body(Body::empty());
    let request = request.context("it is not a path")?;
    // Names the page in what is logged about it.
    let span = tracing::info_span!("visit", path);
    let answer = Box::pin(routes.answer(request)); // large
    let response = answer.instrument(span).await;
    let status = response.status();
    ensure!(status.is_success(), "the answer was {status}");
    let found = response.headers().get(STATUS_HEADER);
    Ok(match found.map(HeaderValue::as_bytes) {
        Some(b"HIT-L1") => Source::L1,
        Some(b"HIT-L2") => Source::L2,
        Some(b"STALE") => Source::Stale,
        _ => Source::Loader,
    })
}
