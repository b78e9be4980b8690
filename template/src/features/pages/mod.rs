//! Pages for browsers: the frame they share, the assets they load, the page an error gets.

// First, because macros are known only to what stands below them: `asset!`, `imports!` and `picture!`.
include!(concat!(env!("OUT_DIR"), "/assets/macros.rs"));

pub mod articles;
#[cfg(not(embedded_assets))]
mod reload;
pub mod sitemap;

use askama::Template;

use crate::component::{Component, Routes};
use crate::http::assets::{self, Url};
use crate::http::problem::ProblemDocument;
use crate::platform::Platform;

/// What the pages have in common: the assets and the form of errors.
#[must_use]
pub fn component(platform: &Platform) -> Component {
    let pages = Routes::new()
        .get(assets::ROUTE, assets::serve)
        .with_state(platform.assets.clone());
    #[cfg(not(embedded_assets))]
    let pages = pages.merge(reload::routes(platform));
    Component {
        name: "pages",
        pages,
        error_page: Some(error_page),
        ..Component::default()
    }
}

/// The name in the header, and the title of the front page.
const SITE: &str = env!("CARGO_PKG_NAME");

/// The head of a page, and the frame around it.
struct Head {
    title: String,
    description: String,
    site: &'static str,
    /// Loads the page again when something has changed; in development only.
    reload: Option<Url>,
}

impl Head {
    fn new(title: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            description: description.into(),
            site: SITE,
            #[cfg(not(embedded_assets))]
            reload: reload::script(),
            #[cfg(embedded_assets)]
            reload: None,
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    head: Head,
    status: u16,
    title: &'static str,
    detail: Option<&'a str>,
    request_id: &'a str,
    causes: &'a [String],
}

fn error_page(problem: &ProblemDocument) -> Option<String> {
    let page = ErrorPage {
        head: Head::new(problem.title, problem.title),
        status: problem.status,
        title: problem.title,
        detail: problem.detail.as_deref(),
        request_id: &problem.request_id,
        causes: &problem.causes,
    };
    page.render().ok()
}
