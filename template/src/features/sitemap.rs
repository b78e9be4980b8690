//! What search engines ask for: `/sitemap.xml` (<https://www.sitemaps.org/protocol.html>) and `/robots.txt` (RFC 9309).

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use chrono::SecondsFormat;

use crate::component::{Component, Routes};
use crate::domain::articles::{Address, ArticleService};
use crate::http::extract::Path;
use crate::http::page_cache::{CachePolicy, Page, PageCache};
use crate::http::{Kind, Problem};
use crate::infra::articles::LIST_TAG;
use crate::platform::Platform;

const SITEMAP: CachePolicy = CachePolicy::new().ignoring_cookies();
const ROBOTS: CachePolicy = CachePolicy::new().ignoring_cookies();

/// The most addresses the protocol allows in one file. With more, `/sitemap.xml` lists `/sitemaps/1.xml` and so on.
const MOST: u32 = 50_000;

/// `others` are the pages that are there beside the articles and their list.
#[must_use]
pub fn component<'a>(
    articles: ArticleService,
    others: impl IntoIterator<Item = &'a str>,
    platform: &Platform,
) -> Component {
    let own = ["/"].into_iter().chain(others);
    let state = Indexed {
        articles,
        pages: platform.pages.clone(),
        origin: platform.settings.server.public_url().into(),
        own: own.map(ToOwned::to_owned).collect(),
    };
    Component {
        name: "sitemap",
        pages: Routes::new()
            .get("/sitemap.xml", sitemap)
            .get("/sitemaps/{file}", part)
            .get("/robots.txt", robots)
            .with_state(state),
        ..Component::default()
    }
}

#[derive(Clone)]
struct Indexed {
    articles: ArticleService,
    pages: PageCache,
    /// What whole addresses begin with.
    origin: Arc<str>,
    /// Paths that are there whatever is published; far fewer than fit into one file.
    own: Arc<[String]>,
}

impl Indexed {
    /// How many files it takes to list everything.
    async fn files(&self) -> Result<u32, Problem> {
        let own = length(&self.own);
        let published = self.articles.count_published().await?;
        Ok(own.saturating_add(published).div_ceil(MOST))
    }

    /// The file `n`, counted from 1. The oldest articles come first, so that a new one changes the last file only.
    async fn file(&self, n: u32) -> Result<Page, Problem> {
        let before = MOST.saturating_mul(n - 1);
        let own = if n == 1 { &*self.own } else { &[] };
        let skip = before.saturating_sub(length(&self.own));
        let limit = MOST - length(own);
        let articles = self.articles.addresses(skip, limit).await?;
        let mut entries = String::new();
        for path in own {
            self.list(&mut entries, "url", path, "");
        }
        for Address { slug, updated_at } in articles {
            let changed = updated_at.to_rfc3339_opts(SecondsFormat::Secs, true);
            let changed = format!("<lastmod>{changed}</lastmod>");
            self.list(&mut entries, "url", &format!("/articles/{slug}"), &changed);
        }
        Ok(document("urlset", &entries))
    }

    fn index(&self, files: u32) -> Page {
        let mut entries = String::new();
        for n in 1..=files {
            self.list(&mut entries, "sitemap", &file_path(n), "");
        }
        document("sitemapindex", &entries)
    }

    fn list(&self, entries: &mut String, element: &str, path: &str, more: &str) {
        let url = self.url(path).replace('&', "&amp;").replace('<', "&lt;");
        // Writing to memory does not fail.
        let _ = writeln!(entries, "  <{element}><loc>{url}</loc>{more}</{element}>");
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

fn document(element: &str, entries: &str) -> Page {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <{element} xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n{entries}</{element}>"
    );
    Page::new("application/xml", document).tag(LIST_TAG)
}

fn length(paths: &[String]) -> u32 {
    u32::try_from(paths.len()).unwrap_or(MOST)
}

fn file_path(n: u32) -> String {
    format!("/sitemaps/{n}.xml")
}

/// The addresses of all pages, whole; or of the files that list them, if there are too many for one.
async fn sitemap(State(state): State<Indexed>, request: Parts) -> Result<Response, Problem> {
    let pages = state.pages.clone();
    let render = move || async move {
        match state.files().await? {
            0 | 1 => state.file(1).await,
            files => Ok(state.index(files)),
        }
    };
    pages
        .render(&request, "/sitemap.xml", &SITEMAP, render)
        .await
}

async fn part(
    State(state): State<Indexed>,
    Path(file): Path<String>,
    request: Parts,
) -> Result<Response, Problem> {
    let n = file.strip_suffix(".xml").and_then(|n| n.parse().ok());
    // One spelling: `01.xml` is not `1.xml`.
    let n = n.filter(|n| *n > 0 && format!("{n}.xml") == file);
    let n = n.ok_or_else(|| Problem::new(Kind::NotFound))?;
    let pages = state.pages.clone();
    let render = move || async move {
        if n > state.files().await? {
            return Err(Problem::new(Kind::NotFound));
        }
        state.file(n).await
    };
    pages
        .render(&request, &file_path(n), &SITEMAP, render)
        .await
}

/// Everything but the API may be indexed.
async fn robots(State(state): State<Indexed>, request: Parts) -> Result<Response, Problem> {
    let pages = state.pages.clone();
    let render = move || async move {
        let sitemap = state.url("/sitemap.xml");
        let text = format!("User-agent: *\nDisallow: /api/\n\nSitemap: {sitemap}\n");
        Ok(Page::new("text/plain; charset=utf-8", text))
    };
    pages.render(&request, "/robots.txt", &ROBOTS, render).await
}
