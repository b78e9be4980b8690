//! What search engines ask for: `/sitemap.xml` (<https://www.sitemaps.org/protocol.html>) and `/robots.txt` (RFC 9309).

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;

use super::articles::{article_url, iso_date};
use super::cannot_render;
use super::head::Site;
use crate::component::{Component, Routes};
use crate::domain::articles::{Address, ArticleService};
use crate::http::Problem;
use crate::http::page_cache::{CachePolicy, Page, PageCache};
use crate::infra::articles::LIST_TAG;
use crate::platform::Platform;

const SITEMAP: CachePolicy = CachePolicy::new().ignoring_cookies();
const ROBOTS: CachePolicy = CachePolicy::new().ignoring_cookies();

/// The most addresses a sitemap may have, less the one of the list.
const MOST_ARTICLES: u32 = 49_999;

#[must_use]
pub fn component(articles: ArticleService, platform: &Platform) -> Component {
    let state = Indexed {
        articles,
        pages: platform.pages.clone(),
        site: Site::of(platform),
    };
    Component {
        name: "sitemap",
        pages: Routes::new()
            .get("/sitemap.xml", sitemap)
            .get("/robots.txt", robots)
            .with_state(state),
        ..Component::default()
    }
}

#[derive(Clone)]
struct Indexed {
    articles: ArticleService,
    pages: PageCache,
    site: Site,
}

#[derive(Template)]
#[template(path = "sitemap.xml")]
struct Sitemap<'a> {
    origin: &'a str,
    articles: Vec<Entry>,
}

struct Entry {
    url: String,
    changed: String,
}

impl From<Address> for Entry {
    fn from(Address { slug, updated_at }: Address) -> Self {
        Self {
            url: article_url(&slug),
            changed: iso_date(updated_at),
        }
    }
}

/// The addresses of the published articles, whole.
async fn sitemap(State(state): State<Indexed>, request: Parts) -> Result<Response, Problem> {
    let pages = state.pages.clone();
    let render = move || async move {
        let articles = state.articles.addresses(MOST_ARTICLES).await?;
        let sitemap = Sitemap {
            origin: state.site.origin(),
            articles: articles.into_iter().map(Entry::from).collect(),
        };
        let xml = sitemap.render().map_err(cannot_render)?;
        Ok(Page::new("application/xml", xml).tag(LIST_TAG))
    };
    pages
        .render(&request, "/sitemap.xml", &SITEMAP, render)
        .await
}

/// Everything but the API may be indexed.
async fn robots(State(state): State<Indexed>, request: Parts) -> Result<Response, Problem> {
    let render = move || async move {
        let text = format!(
            "User-agent: *\nDisallow: /api/\n\nSitemap: {}/sitemap.xml\n",
            state.site.origin()
        );
        Ok(Page::new("text/plain; charset=utf-8", text))
    };
    state
        .pages
        .clone()
        .render(&request, "/robots.txt", &ROBOTS, render)
        .await
}
