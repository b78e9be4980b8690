//! `/assets/`: the stylesheets, scripts, pictures and fonts of the pages, as the build script has made them.
//!
//! A release has them in the binary, under names that change with their content: what a browser has once it never asks
//! for again. In development they come from a folder, and are made anew when a source has changed.

mod file;
#[cfg(not(embedded_assets))]
mod live;
mod settings;
mod url;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

pub(super) use self::file::File;
pub use self::file::{Embedded, Files};
#[cfg(not(embedded_assets))]
pub use self::live::Live;
pub use self::settings::AssetSettings;
pub use self::url::{Picture, Url};
use super::page_cache::Asked;
use super::problem::{Kind, Problem};
use super::security;

#[cfg(embedded_assets)]
static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/assets/embedded.rs"));

/// Where all of them are.
pub const ROUTE: &str = "/assets/{*path}";
const PREFIX: &str = "/assets/";

/// How long a missing asset may be remembered: during a deployment, the next request may find it.
const MISSING_SECONDS: u32 = 10;

/// The set of files. A cheap handle.
#[derive(Clone)]
pub struct Assets {
    #[cfg(embedded_assets)]
    files: Files,
    #[cfg(not(embedded_assets))]
    live: Arc<Live>,
}

impl Assets {
    /// In development, `is_watched` says that the sources may change.
    #[must_use]
    pub fn open(settings: &AssetSettings, is_watched: bool) -> Self {
        if let Some(origin) = settings.origin() {
            url::set_origin(&origin);
            security::allow_assets_from(&origin);
        }
        #[cfg(embedded_assets)]
        {
            let _ = is_watched;
            Self {
                files: Files::embedded(EMBEDDED),
            }
        }
        #[cfg(not(embedded_assets))]
        Self {
            live: Arc::new(Live::open(settings, is_watched)),
        }
    }

    #[cfg(not(embedded_assets))]
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// What the front answers with, if `path` leads to an asset that is at hand.
    #[cfg(embedded_assets)]
    pub(super) fn at_hand(&self, path: &str) -> Option<Arc<File>> {
        self.files.get(path.strip_prefix(PREFIX)?)
    }

    /// A set that may change is for the routes, which can wait for it.
    #[cfg(not(embedded_assets))]
    #[expect(clippy::unused_self, reason = "there is something in a release")]
    pub(super) fn at_hand(&self, _path: &str) -> Option<Arc<File>> {
        None
    }

    #[cfg(embedded_assets)]
    #[expect(clippy::unused_async, reason = "in development it takes time")]
    async fn current(&self, _path: &str) -> Result<Files, Problem> {
        Ok(self.files.clone())
    }

    #[cfg(not(embedded_assets))]
    async fn current(&self, path: &str) -> Result<Files, Problem> {
        self.live().current(path).await
    }
}

/// Answers what the front does not.
///
/// # Errors
/// If there is no such asset, or the request wants of it what it has not.
pub async fn serve(State(assets): State<Assets>, request: Parts) -> Result<Response, Problem> {
    // As it was sent: a name of ours has one spelling only.
    let path = request.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let files = assets.current(path).await?;
    let missing = || Problem::new(Kind::NotFound).kept_for_seconds(MISSING_SECONDS);
    let file = files.get(path).ok_or_else(missing)?;
    match file.answer(Asked::of(
        &request.method,
        request.uri.path(),
        &request.headers,
    )) {
        Ok(response) => Ok(response.map(Body::new)),
        Err(refused) => Ok(refused.into_response()),
    }
}
