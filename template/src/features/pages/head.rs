//! What a page says of itself: its title, its address, and how others show a link to it.{% capture body %}

use std::sync::{Arc, LazyLock};

use axum::http::HeaderValue;

use super::flash::Flash;
use crate::http::assets::Url;
use crate::platform::Platform;

/// The name in the header, and the title of the front page.
pub const SITE: &str = env!("CARGO_PKG_NAME");

/// Where the header leads besides the articles. The same for everybody, so that pages are.
const LINKS: &[(&str, &str)] = &[
    // In the order they are shown.
    ("/api/docs", "API"), //~{% if features contains "auth" %}
    // To one's own account, or to the door.
    ("/account", "Account"), //~{% endif %}
];

/// Begins the loading of the stylesheet before the page is read. A proxy may send it ahead of the answer (RFC 8297).
pub static PRELOAD: LazyLock<HeaderValue> = LazyLock::new(|| {
    let preload = format!("<{}>; rel=preload; as=style", asset!("app.css"));
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
    /// Addresses and labels.
    pub links: &'static [(&'static str, &'static str)],
    /// The one whole address of the page; absent where a link to it would make no sense.
    pub canonical: Option<String>,
    pub is_indexed: bool,
    /// What the visitor has just done, in a sentence.
    pub notice: Option<&'static str>,
    /// Loads the page again when something has changed; in development only.
    pub reload: Option<Url>,
}

impl Head {
    pub fn new(title: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            description: description.into(),
            site: SITE,
            links: LINKS,
            canonical: None,
            is_indexed: true,
            notice: None,
            #[cfg(not(embedded_assets))]
            reload: super::reload::script(),
            #[cfg(embedded_assets)]
            reload: None,
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
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
