//! What a page says of itself: its title, its address, and how others show a link to it.

use std::sync::{Arc, LazyLock};

use axum::http::HeaderValue;

use super::assets::asset_url;
use super::flash::Flash;
use crate::platform::Platform;

/// The name in the header, and the title of the front page.
pub const SITE: &str = env!("CARGO_PKG_NAME");

/// Begins the loading of the stylesheet before the page is read. A proxy may send it ahead of the answer (RFC 8297).
pub static PRELOAD: LazyLock<HeaderValue> = LazyLock::new(|| {
    let preload = format!("<{}>; rel=preload; as=style", asset_url("app.css"));
    HeaderValue::try_from(preload).unwrap_or(HeaderValue::from_static(""))
});

/// Where the links to fetch in advance are told: in a file, because pages hold no script.
pub const RULES: HeaderValue = HeaderValue::from_static("\"/speculation-rules.json\"");

/// Where the site is: what its addresses begin with where they have to be whole.
#[derive(Clone)]
pub struct Site {
    origin: Arc<str>,
}

impl Site {
    pub fn of(platform: &Platform) -> Self {
        Self {
            origin: platform.settings.server.public_url().into(),
        }
    }

    /// The whole address of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

/// The head of a page, and what the frame around it shows.
pub struct Head {
    pub title: String,
    pub description: String,
    pub site: &'static str,
    /// The one whole address of the page; absent where a link to it would make no sense.
    pub canonical: Option<String>,
    pub is_indexed: bool,
    /// What the visitor has just done, in a sentence.
    pub notice: Option<&'static str>,
    pub stylesheet: String,
    pub icon: String,
}

impl Head {
    pub fn new(title: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            description: description.into(),
            site: SITE,
            canonical: None,
            is_indexed: true,
            notice: None,
            stylesheet: asset_url("app.css"),
            icon: asset_url("favicon.svg"),
        }
    }

    /// The address under which the page is to be known.
    pub fn at(mut self, url: String) -> Self {
        self.canonical = Some(url);
        self
    }

    /// Search engines leave the page out.
    pub fn not_indexed(mut self) -> Self {
        self.is_indexed = false;
        self
    }

    pub fn notice(mut self, flash: Flash) -> Self {
        self.notice = flash.text();
        self
    }
}
