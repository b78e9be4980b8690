//! Pages for browsers: the frame they share, the assets they load, the page an error gets.

pub mod articles;
mod assets;
pub mod browser;
pub mod content;
pub mod feed;
mod flash;
mod form;
mod head;
pub mod sitemap;

use askama::Template;
use axum::http::HeaderName;
use axum::http::header::LINK;

use self::head::Head;
use crate::component::{Component, Routes};
use crate::http::page_cache::Page;
use crate::http::problem::ProblemDocument;
use crate::http::{FieldError, Kind, Problem};

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

/// A page of the site. Its headers name what the browser should fetch at once, and which links it may fetch early.
fn html(page: &impl Template) -> Result<Page, Problem> {
    let page = Page::html(page.render().map_err(cannot_render)?);
    Ok(page
        .header(LINK, head::PRELOAD.clone())
        .header(SPECULATION_RULES, head::RULES))
}

const SPECULATION_RULES: HeaderName = HeaderName::from_static("speculation-rules");

/// A document for programs. Characters that XML cannot hold (XML 1.0, section 2.2) are left out.
fn xml(content_type: &'static str, document: &impl Template) -> Result<Page, Problem> {
    let mut text = document.render().map_err(cannot_render)?;
    text.retain(|c| {
        matches!(c, '\t' | '\n' | '\r' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}')
    });
    Ok(Page::new(content_type, text))
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
    errors: &'a [FieldError],
    request_id: &'a str,
    causes: &'a [String],
    route: Option<&'a str>,
}

fn error_page(problem: &ProblemDocument) -> Option<String> {
    let page = ErrorPage {
        head: Head::new(problem.title, problem.title).not_indexed(),
        status: problem.status,
        title: problem.title,
        detail: problem.detail.as_deref(),
        errors: &problem.errors,
        request_id: &problem.request_id,
        causes: &problem.causes,
        route: problem.route.as_deref(),
    };
    page.render().ok()
}
