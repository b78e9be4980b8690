//! Pages for browsers: the frame they share, the assets they load, the page an error gets.

pub mod articles;
mod assets;
pub mod sitemap;

use askama::Template;

use self::assets::asset_url;
use crate::component::{Component, Routes};
use crate::http::problem::ProblemDocument;

/// What the pages have in common: the assets and the form of errors.
#[must_use]
pub fn component() -> Component {
    Component {
        name: "pages",
        pages: Routes::new().get("/assets/{*path}", assets::serve),
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
    stylesheet: String,
    icon: String,
}

impl Head {
    fn new(title: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            description: description.into(),
            site: SITE,
            stylesheet: asset_url("app.css"),
            icon: asset_url("favicon.svg"),
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
