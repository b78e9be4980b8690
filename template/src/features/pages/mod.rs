//! Pages for browsers: the frame they share, the assets they load, the page an error gets.

pub mod articles;
mod assets;
mod flash;
mod form;
mod head;
pub mod sitemap;

use askama::Template;

use self::head::Head;
use crate::component::{Component, Routes};
use crate::http::page_cache::Page;
use crate::http::problem::ProblemDocument;
use crate::http::{Kind, Problem};

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

/// A page of the site.
fn html(page: &impl Template) -> Result<Page, Problem> {
    page.render().map(Page::html).map_err(cannot_render)
}

fn cannot_render(error: askama::Error) -> Problem {
    Problem::new(Kind::Internal).cause(error)
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
        head: Head::new(problem.title, problem.title).not_indexed(),
        status: problem.status,
        title: problem.title,
        detail: problem.detail.as_deref(),
        request_id: &problem.request_id,
        causes: &problem.causes,
    };
    page.render().ok()
}
