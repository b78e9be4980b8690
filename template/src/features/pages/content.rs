//! Pages without a handler: a folder in `content/` with a `page.md` or `page.html` is a page at the same path.
//!
//! The text is the owner's: it is not sanitised, and may hold any HTML that the content security policy lets work.

mod file;
mod set;

use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::request::Parts;
use axum::response::Response;

pub use self::file::ContentPage;
use super::head::{Head, Site};
use super::html;
use crate::component::{Component, Routes};
use crate::http::Problem;
use crate::http::page_cache::{CachePolicy, Page, PageCache};
use crate::platform::Platform;

/// The front matter of a page may say how long it is kept.
const CONTENT: CachePolicy = CachePolicy::new().ignoring_cookies();

/// All pages of `content/`.
#[derive(Default)]
pub struct Content {
    pages: Vec<Arc<ContentPage>>,
    /// Why there are none.
    refused: Option<anyhow::Error>,
}

impl Content {
    /// What the binary has; in development what the folder has now.
    #[must_use]
    pub fn load(platform: &Platform) -> Self {
        let is_development = platform.settings.environment.is_development();
        match set::read(is_development).and_then(|files| set::pages(&files)) {
            Ok(pages) => Self {
                pages: pages.into_iter().map(Arc::new).collect(),
                refused: None,
            },
            Err(error) => Self {
                refused: Some(error),
                ..Self::default()
            },
        }
    }

    /// Where the pages are.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.pages.iter().map(|page| &*page.path)
    }
}

#[must_use]
pub fn component(content: Content, platform: &Platform) -> Component {
    let renderer = Renderer {
        pages: platform.pages.clone(),
        site: Site::of(platform),
        // A developer who changes a page starts the service again, and must not see the old one.
        is_kept: !platform.settings.environment.is_development(),
    };
    let routes = content
        .pages
        .into_iter()
        .fold(Routes::new(), |routes, page| {
            page_routes(routes, &page, &renderer)
        });
    Component {
        name: "content pages",
        pages: routes,
        refused: content.refused,
        ..Component::default()
    }
}

/// The routes of one page, named by its file.
fn page_routes(routes: Routes, page: &Arc<ContentPage>, renderer: &Renderer) -> Routes {
    let aliases = page.aliases.iter().fold(routes, |routes, alias| {
        let target = page.path.clone();
        let redirect = async move || {
            let headers = [
                (LOCATION, target),
                (CACHE_CONTROL, "max-age=3600".to_owned()),
            ];
            (StatusCode::MOVED_PERMANENTLY, headers)
        };
        routes.get_named(alias, &page.file, redirect)
    });
    let (renderer, shown) = (renderer.clone(), Arc::clone(page));
    aliases.get_named(&page.path, &page.file, async move |request: Parts| {
        renderer.show(shown, request).await
    })
}

#[derive(Clone)]
struct Renderer {
    pages: PageCache,
    site: Site,
    is_kept: bool,
}

impl Renderer {
    async fn show(self, page: Arc<ContentPage>, request: Parts) -> Result<Response, Problem> {
        let policy = page.ttl.map_or(CONTENT, |ttl| CONTENT.ttl(ttl));
        let pages = self.pages.clone();
        let path = page.path.clone();
        let render = async move || self.render(&page);
        pages.render(&request, &path, &policy, render).await
    }

    fn render(&self, page: &ContentPage) -> Result<Page, Problem> {
        let shown = Shown {
            head: Head::new(&*page.title, page.description()).at(self.site.url(&page.path)),
            extra_head: &page.head,
            standfirst: &page.description,
            body: &page.body,
        };
        let is_kept = self.is_kept && page.ttl.is_none_or(|ttl| !ttl.is_zero());
        let page = html(&shown)?;
        Ok(if is_kept { page } else { page.not_kept() })
    }
}

#[derive(Template)]
#[template(path = "content.html")]
struct Shown<'a> {
    head: Head,
    extra_head: &'a str,
    standfirst: &'a str,
    body: &'a str,
}
