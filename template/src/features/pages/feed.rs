//! The newest articles for feed readers: `/feed.xml`, in Atom (RFC 4287).

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use chrono::DateTime;

use super::articles::{article_url, iso_date};
use super::head::{SITE, Site};
use super::xml;
use crate::component::{Component, Routes};
use crate::domain::articles::{Article, ArticleQuery, ArticleService, Tag};
use crate::http::Problem;
use crate::http::page_cache::{CachePolicy, PageCache};
use crate::infra::articles::LIST_TAG;
use crate::platform::Platform;

const FEED: CachePolicy = CachePolicy::new().ignoring_cookies();

/// Articles in the feed.
const ENTRIES: u8 = 20;

#[must_use]
pub fn component(articles: ArticleService, platform: &Platform) -> Component {
    let state = Source {
        articles,
        pages: platform.pages.clone(),
        site: Site::of(platform),
    };
    Component {
        name: "feed",
        pages: Routes::new().get("/feed.xml", feed).with_state(state),
        ..Component::default()
    }
}

#[derive(Clone)]
struct Source {
    articles: ArticleService,
    pages: PageCache,
    site: Site,
}

#[derive(Template)]
#[template(path = "feed.xml")]
struct Feed {
    site: Site,
    name: &'static str,
    updated: String,
    entries: Vec<Entry>,
}

struct Entry {
    /// Of the article, which keeps it wherever it moves: a reader knows an entry by it.
    id: String,
    url: String,
    title: String,
    summary: String,
    body: String,
    tags: Vec<String>,
    published: String,
    updated: String,
}

impl Entry {
    fn new(article: &Article, site: &Site) -> Self {
        Self {
            id: article.id.to_string(),
            url: site.url(&article_url(&article.slug)),
            title: article.title.to_string(),
            summary: article.summary.to_string(),
            body: article.body.to_html(),
            tags: article.tags.iter().map(Tag::to_string).collect(),
            published: iso_date(article.date()),
            updated: iso_date(article.updated_at),
        }
    }
}

async fn feed(State(source): State<Source>, request: Parts) -> Result<Response, Problem> {
    let pages = source.pages.clone();
    let render = move || async move {
        let query = ArticleQuery::published(ENTRIES);
        let newest = source.articles.list(&query).await?.items;
        let updated = newest.iter().map(|article| article.updated_at).max();
        let entries = newest
            .iter()
            .map(|article| Entry::new(article, &source.site));
        let feed = Feed {
            name: SITE,
            // A feed must have been updated at some time, even if there is nothing in it yet.
            updated: iso_date(updated.unwrap_or(DateTime::UNIX_EPOCH)),
            entries: entries.collect(),
            site: source.site,
        };
        Ok(xml("application/atom+xml", &feed)?.tag(LIST_TAG))
    };
    pages.render(&request, "/feed.xml", &FEED, render).await
}
