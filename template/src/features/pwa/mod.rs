//! The site without a network: the service worker, the page for what was never visited, and how the site is installed.

// Macros are known only to what stands below them.
include!(concat!(env!("OUT_DIR"), "/assets/macros.rs"));

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::{Value, json};

use super::pages::head::Head;
use super::pages::{cannot_render, html};
use crate::component::{Component, Routes};
use crate::http::Problem;
use crate::http::assets::Url;
use crate::http::page_cache::{CachePolicy, Page, PageCache};
use crate::platform::Platform;
use crate::telemetry::build_info;

/// The page for addresses that the browser has not kept.
const OFFLINE: &str = "/offline";

const OFFLINE_PAGE: CachePolicy = CachePolicy::new().ignoring_cookies();

/// Browsers ask at each visit whether there is a newer one.
const WORKER: CachePolicy = CachePolicy::new()
    .ignoring_cookies()
    .cache_control("no-cache");

#[must_use]
pub fn component(platform: &Platform) -> Component {
    Component {
        name: "offline",
        pages: Routes::new()
            .get("/service-worker.js", service_worker)
            .get(OFFLINE, offline)
            .with_state(platform.pages.clone()),
        ..Component::default()
    }
}

/// The web app manifest of a site that can be put beside other applications.
#[must_use]
pub fn installable(mut manifest: Value) -> Value {
    let icon = |url: Url, width: u32, purpose: &str| {
        json!({
            "src": url.to_string(),
            "type": "image/png",
            "sizes": format!("{width}x{width}"),
            "purpose": purpose,
        })
    };
    manifest["id"] = "/".into();
    manifest["display"] = "standalone".into();
    manifest["icons"] = json!([
        manifest["icons"][0],
        icon(asset!("icon-192.png"), 192, "any"),
        icon(asset!("icon-512.png"), 512, "any"),
        icon(asset!("icon-512.png"), 512, "maskable"),
    ]);
    manifest
}

#[derive(Template)]
#[template(path = "service-worker.js", escape = "none")]
struct ServiceWorker {
    build: &'static str,
    /// What every page loads, as JSON.
    shell: Value,
    offline: &'static str,
    /// What the addresses of assets begin with.
    assets: Url,
    /// Whether a name never gets other content.
    names_change: bool,
}

/// A worker for each build, because it says which: browsers compare it byte by byte.
async fn service_worker(
    State(pages): State<PageCache>,
    request: Parts,
) -> Result<Response, Problem> {
    let own = [asset!("app.css"), asset!("app.ts"), asset!("favicon.svg")];
    let shell = own.iter().chain(imports!("app.ts")).map(Url::to_string);
    let worker = ServiceWorker {
        build: build_info().fingerprint,
        shell: shell.collect(),
        offline: OFFLINE,
        assets: Url::new(""),
        names_change: cfg!(embedded_assets),
    };
    let page = async move || {
        let script = worker.render().map_err(cannot_render)?;
        Ok(Page::new("text/javascript; charset=utf-8", script))
    };
    let path = request.uri.path();
    pages.render(&request, path, &WORKER, page).await
}

#[derive(Template)]
#[template(path = "offline.html")]
struct Offline {
    head: Head,
}

async fn offline(State(pages): State<PageCache>, request: Parts) -> Result<Response, Problem> {
    let page = async || {
        let head = Head::new("No connection", "There is no network.").not_indexed();
        html(&Offline { head })
    };
    pages.render(&request, OFFLINE, &OFFLINE_PAGE, page).await
}
