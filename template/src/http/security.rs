//! The headers that tell browsers what a page of this service may do: nothing that it does not need.{% capture body %}

use std::sync::OnceLock;

use axum::http::HeaderMap;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

/// On every answer of the public listener; what a handler sets itself stays.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        REFERRER_POLICY,
        HeaderValue::from_static("strict-origin-when-cross-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Pages load what they need from here, have no script or style in their text, and stand in nobody's frame. Articles
/// may show pictures from anywhere.
const PAGES: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data: https:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
);

/// What [`PAGES`] is, once the settings have had a say in it.
static PAGES_IN_USE: OnceLock<HeaderValue> = OnceLock::new();

/// The viewer of the API sets styles in its text.
const VIEWER: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'; object-src 'none'",
);

/// The routes that get [`VIEWER`].
const VIEWER_ROUTE: &str = "/api/docs"; //~{% if frontend == "pages" %}

/// Lets pages load their styles, scripts and fonts from `origin` too. Only the first call counts.
pub(super) fn allow_assets_from(origin: &str) {
    let policy = PAGES;
    let policy = policy.to_str().unwrap_or_default();
    let policy = policy.replacen("'self'", &format!("'self' {origin}"), 1);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        let _ = PAGES_IN_USE.set(policy);
    }
} //~{% endif %}

/// Completes the headers of an answer to `route`.
pub(super) fn protect(headers: &mut HeaderMap, route: &str) {
    let policy = if route.starts_with(VIEWER_ROUTE) {
        VIEWER
    } else {
        PAGES_IN_USE.get_or_init(|| PAGES).clone()
    };
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
