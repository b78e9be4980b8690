//! Whole pages out of the cache: rendered once, answered from memory or disk until something in them changes.

use axum::http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::domain::clock::Clock;
use crate::infra::cache::{Cache, Loaded, Policy, Source, Store, Weigh};

/// Says where a page came from: `HIT-L1` memory, `HIT-L2` disk, `MISS` rendered, `BYPASS` not cached at all.
pub const STATUS_HEADER: HeaderName = HeaderName::from_static("x-cache-status");

/// Browsers keep a page but ask every time whether it is still the same, so a change shows at once.
const REVALIDATE: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");

/// A finished page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page {
    content_type: String,
    body: Bytes,
    etag: String,
}

impl Page {
    #[must_use]
    pub fn html(body: String) -> Self {
        Self::new("text/html; charset=utf-8", body)
    }

    #[must_use]
    pub fn new(content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = format!("\"{:016x}\"", fingerprint(&body));
        Self {
            content_type: content_type.to_owned(),
            body,
            etag,
        }
    }
}

impl Weigh for Page {}

/// Renders pages through the cache. A cheap handle.
#[derive(Clone)]
pub struct PageCache {
    pages: Cache<Page>,
    clock: Clock,
}

impl PageCache {
    #[must_use]
    pub fn new(store: &Store, clock: Clock) -> Self {
        Self {
            pages: store.namespace("pages"),
            clock,
        }
    }

    /// Answers `request` with the page of `key`, calling `render` if no tier has it. The tags that `render` puts on
    /// the page say what has to change for it to be rendered anew.
    ///
    /// A request that carries credentials is rendered for itself alone.
    ///
    /// # Errors
    /// Those of `render`; they are not cached.
    pub async fn render<F>(
        &self,
        request: &Parts,
        key: &str,
        render: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Response, Problem>
    where
        F: Future<Output = Result<Loaded<Page>, Problem>> + Send + 'static,
    {
        let now = self.clock.now();
        if request.headers.contains_key(AUTHORIZATION) {
            let page = render().await?.into_value();
            let private = HeaderValue::from_static("private, no-store");
            return Ok(answer(&request.headers, &page, "BYPASS", private, now, now));
        }
        let cached = self.pages.fetch(key, &Policy::new(), render).await?;
        let status = match cached.source() {
            Source::L1 => "HIT-L1",
            Source::L2 => "HIT-L2",
            Source::Stale => "STALE",
            Source::Loader => "MISS",
        };
        let stored = DateTime::from_timestamp_micros(cached.stored_at()).unwrap_or(now);
        Ok(answer(
            &request.headers,
            &cached,
            status,
            REVALIDATE,
            stored,
            now,
        ))
    }
}

fn answer(
    request: &HeaderMap,
    page: &Page,
    status: &'static str,
    cache_control: HeaderValue,
    stored: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Response {
    let mut headers = HeaderMap::with_capacity(6);
    let age = (now - stored).num_seconds().max(0);
    headers.insert(STATUS_HEADER, HeaderValue::from_static(status));
    headers.insert(AGE, HeaderValue::from(age));
    headers.insert(CACHE_CONTROL, cache_control);
    // Both are made here, of plain ASCII.
    if let Ok(etag) = HeaderValue::from_str(&page.etag) {
        headers.insert(ETAG, etag);
    }
    let modified = stored.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(modified) = HeaderValue::from_str(&modified) {
        headers.insert(LAST_MODIFIED, modified);
    }
    if matches_etag(request, &page.etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    if let Ok(content_type) = HeaderValue::from_str(&page.content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    (headers, page.body.clone()).into_response()
}

/// `If-None-Match` compares weakly (RFC 9110, section 13.1.2).
fn matches_etag(request: &HeaderMap, etag: &str) -> bool {
    request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn fingerprint(body: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_matches_alone_in_a_list_weakly_or_by_star() {
        let matches = |header: &str| {
            matches_etag(
                &HeaderMap::from_iter([(IF_NONE_MATCH, header.parse().unwrap())]),
                "\"a\"",
            )
        };
        for header in ["\"a\"", "W/\"a\"", "\"x\", \"a\"", "*"] {
            assert!(matches(header), "{header}");
        }
        assert!(!matches("\"b\""));
        assert!(!matches("a"));
    }
}
