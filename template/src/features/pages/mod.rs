//! Pages for browsers: the frame they share, the assets they load, the page an error gets.

// First, because macros are known only to what stands below them: `asset!`, `imports!` and `picture!`.
include!(concat!(env!("OUT_DIR"), "/assets/macros.rs"));

pub mod articles;
pub mod browser;
pub mod content;
pub mod feed;
pub(super) mod flash;
pub(super) mod form;
pub(super) mod head;
#[cfg(not(embedded_assets))]
mod reload;

use askama::Template;
use axum::http::HeaderName;
use axum::http::header::LINK;

use self::head::Head;
use crate::component::{Component, Routes};
use crate::http::assets;
use crate::http::page_cache::Page;
use crate::http::problem::ProblemDocument;
use crate::http::{FieldError, Kind, Problem};
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

/// A page of the site. Its headers name what the browser should fetch at once, and which links it may fetch early.
pub(super) fn html(page: &impl Template) -> Result<Page, Problem> {
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

pub(super) fn cannot_render(error: askama::Error) -> Problem {
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

/// What a browser sees of a problem.
#[must_use]
pub fn error_page(problem: &ProblemDocument) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    use crate::http::assets::{Picture, Url};

    #[derive(Template)]
    #[template(
        ext = "html",
        source = "{% import \"media.html\" as media %}{% call media::picture(hero, \"A ship\", \"100vw\") %}{% endcall %}"
    )]
    struct Gallery {
        hero: Picture,
    }

    #[test]
    fn a_picture_keeps_its_room_free_and_loads_what_fits() {
        const VERSIONS: &[(u32, Url)] = &[(480, Url::new("hero-480.webp"))];
        let hero = Picture {
            url: Url::new("hero.jpg"),
            width: 600,
            height: 400,
            versions: VERSIONS,
        };
        let html = Gallery { hero }.render().unwrap();
        let lines: Vec<&str> = html
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(
            lines,
            [
                "<picture>",
                r#"<source type="image/webp" srcset="/assets/hero-480.webp 480w" sizes="100vw">"#,
                r#"<img src="/assets/hero.jpg" alt="A ship" width="600" height="400" loading="lazy" decoding="async">"#,
                "</picture>",
            ]
        );
        let as_it_is = Picture {
            versions: &[],
            ..hero
        };
        let html = Gallery { hero: as_it_is }.render().unwrap();
        assert!(!html.contains("<source"), "{html}");
    }
}
