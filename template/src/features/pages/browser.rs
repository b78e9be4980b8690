//! What browsers ask for beside pages: the icon, the web app manifest, and which links to fetch in advance.{% capture body %}

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::head::SITE;
use crate::component::{Component, Routes};
use crate::http::Problem;
use crate::http::page_cache::{CachePolicy, Page, PageCache};
use crate::platform::Platform;

/// Browsers ask for these by names that are the same in every build.
const FILE: CachePolicy = CachePolicy::new()
    .ignoring_cookies()
    .cache_control("public, max-age=86400");

const ICON: &[u8] = include_bytes!("../../../assets/favicon.svg");

/// A link is fetched when the pointer rests on it. Forms are not: they would be made for nothing.
/// <https://developer.mozilla.org/docs/Web/API/Speculation_Rules_API>
static SPECULATION_RULES: LazyLock<Bytes> = LazyLock::new(|| {
    let except = ["/api/*", "/*/new", "/*/edit", "/*/delete"];
    let except = except.map(|pattern| json!({ "not": { "href_matches": pattern } }));
    let links = [&[json!({ "href_matches": "/*" })], &except[..]].concat();
    let rule = json!({ "where": { "and": links }, "eagerness": "moderate" });
    json!({ "prefetch": [rule] }).to_string().into()
});

/// <https://www.w3.org/TR/appmanifest/>
static MANIFEST: LazyLock<Bytes> = LazyLock::new(|| {
    let icon = json!({ "src": "/favicon.ico", "type": "image/svg+xml", "sizes": "any" });
    let manifest = json!({
        "name": SITE,
        "short_name": SITE,
        "start_url": "/",
        "scope": "/",
        "display": "minimal-ui",
        "background_color": "#fafbfc",
        "theme_color": "#fafbfc",
        "icons": [icon],
    }); //~{% if features contains "pwa" %}
    let manifest = crate::features::pwa::installable(manifest); //~{% endif %}
    manifest.to_string().into()
});

#[must_use]
pub fn component(platform: &Platform) -> Component {
    Component {
        name: "browser files",
        pages: Routes::new()
            .get("/favicon.ico", icon)
            .get("/manifest.webmanifest", manifest)
            .get("/speculation-rules.json", speculation_rules)
            .with_state(platform.pages.clone()),
        ..Component::default()
    }
}

/// Pages name the icon themselves; this is for what looks for it where it has always been.
async fn icon(State(pages): State<PageCache>, request: Parts) -> Result<Response, Problem> {
    let icon = Page::new("image/svg+xml", Bytes::from_static(ICON));
    answer(&pages, &request, icon).await
}

async fn manifest(State(pages): State<PageCache>, request: Parts) -> Result<Response, Problem> {
    let manifest = Page::new("application/manifest+json", MANIFEST.clone());
    answer(&pages, &request, manifest).await
}

async fn speculation_rules(
    State(pages): State<PageCache>,
    request: Parts,
) -> Result<Response, Problem> {
    let rules = Page::new(
        "application/speculationrules+json",
        SPECULATION_RULES.clone(),
    );
    answer(&pages, &request, rules).await
}

async fn answer(pages: &PageCache, request: &Parts, page: Page) -> Result<Response, Problem> {
    let path = request.uri.path();
    pages.render(request, path, &FILE, async || Ok(page)).await
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
