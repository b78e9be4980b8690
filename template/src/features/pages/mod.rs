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

#[cfg(test)]
mod tests {
    use super::*;

    use crate::http::assets::Picture;

    #[derive(Template)]
    #[template(
        ext = "html",
        source = "{% import \"media.html\" as media %}{% call media::picture(hero, \"A ship\", \"100vw\") %}{% endcall %}"
    )]
    struct Page {
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
        let html = Page { hero }.render().unwrap();
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
        let html = Page { hero: as_it_is }.render().unwrap();
        assert!(!html.contains("<source"), "{html}");
    }
}
