//! Articles as pages: the list at `/`, each one at `/articles/{slug}`, and the forms to write them.

mod editing;
mod form;

use askama::Template;
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;

use super::flash::{self, Flash};
use super::head::{Head, SITE, Site};
use super::html;
use crate::component::{Component, Routes, Warm};
use crate::domain::articles::{
    Article, ArticleQuery, ArticleService, Cursor, Slice, Slug, Sort, Tag,
};
use crate::http::csrf::Csrf;
use crate::http::extract::{Path, Query};
use crate::http::page_cache::{CachePolicy, Page, PageCache};
use crate::http::{Kind, Problem};
use crate::infra::articles::{LIST_TAG, article_tag};
use crate::platform::Platform;

/// Nothing on these pages depends on who reads them, but for a message to who has just saved something.
const LIST: CachePolicy = CachePolicy::new().ignoring_cookies_but(&[flash::COOKIE]);
const ARTICLE: CachePolicy = CachePolicy::new().ignoring_cookies_but(&[flash::COOKIE]);

/// Articles on one page of the list.
const PER_PAGE: u8 = 20;

#[must_use]
pub fn component(articles: ArticleService, platform: &Platform) -> Component {
    let warm = Warm::pages("articles", newest(articles.clone()));
    let state = ArticlePages {
        articles,
        pages: platform.pages.clone(),
        site: Site::of(platform),
        csrf: platform.csrf.clone(),
    };
    let pages = Routes::new()
        .get("/", list)
        .get("/articles/{slug}", show)
        .with_state(state.clone());
    let forms = Routes::new()
        .get("/articles/new", editing::new_article)
        .post("/articles/new", editing::create_article)
        .get("/articles/{slug}/edit", editing::edit_article)
        .post("/articles/{slug}/edit", editing::update_article)
        .get("/articles/{slug}/delete", editing::ask_to_delete_article)
        .post("/articles/{slug}/delete", editing::delete_article)
        .with_state(state);
    Component {
        name: "article pages",
        pages,
        forms,
        warm: vec![warm],
        ..Component::default()
    }
}

/// The pages that visitors come for: the list, and what stands on it.
async fn newest(articles: ArticleService) -> anyhow::Result<Vec<String>> {
    let slice = articles.list(&ArticleQuery::published(PER_PAGE)).await?;
    let mut paths = vec![list_url(None, None)];
    paths.extend(slice.items.iter().map(|article| article_url(&article.slug)));
    Ok(paths)
}

#[derive(Clone)]
struct ArticlePages {
    articles: ArticleService,
    pages: PageCache,
    site: Site,
    csrf: Csrf,
}

impl FromRef<ArticlePages> for Csrf {
    fn from_ref(pages: &ArticlePages) -> Self {
        pages.csrf.clone()
    }
}

#[derive(Deserialize)]
struct ListParams {
    tag: Option<String>,
    /// The slug of the last article of the page before. A slug, because pages are cached by address and slugs are few.
    after: Option<String>,
}

/// The published articles, newest first; with `tag` those that carry it.
async fn list(
    State(state): State<ArticlePages>,
    Query(params): Query<ListParams>,
    request: Parts,
) -> Result<Response, Problem> {
    let tag = params
        .tag
        .as_deref()
        .map(Tag::parse)
        .transpose()
        .map_err(no_such_page)?;
    let after = params
        .after
        .as_deref()
        .map(Slug::exactly)
        .transpose()
        .map_err(no_such_page)?;
    let key = list_url(tag.as_ref(), after.as_ref());
    let (pages, flash) = (state.pages.clone(), Flash::of(&request.headers));
    pages
        .render(&request, &key, &LIST, move || {
            render_list(state, tag, after, flash)
        })
        .await
}

async fn show(
    State(state): State<ArticlePages>,
    Path(slug): Path<String>,
    request: Parts,
) -> Result<Response, Problem> {
    let slug = Slug::exactly(&slug).map_err(no_such_page)?;
    let (pages, flash) = (state.pages.clone(), Flash::of(&request.headers));
    pages
        .render(&request, &article_url(&slug), &ARTICLE, {
            let slug = slug.clone();
            move || render_article(state, slug, flash)
        })
        .await
}

async fn render_list(
    ArticlePages { articles, site, .. }: ArticlePages,
    tag: Option<Tag>,
    after: Option<Slug>,
    flash: Flash,
) -> Result<Page, Problem> {
    let url = site.url(&list_url(tag.as_ref(), after.as_ref()));
    let after = match after {
        Some(slug) => Some(place_of(&articles, tag.as_ref(), &slug).await?),
        None => None,
    };
    let query = ArticleQuery {
        tag,
        after,
        ..ArticleQuery::published(PER_PAGE)
    };
    let slice = articles.list(&query).await?;
    // Errors are not kept, so that made-up addresses do not fill the cache.
    if slice.items.is_empty() && (query.tag.is_some() || query.after.is_some()) {
        return Err(Problem::new(Kind::NotFound).detail("There are no articles here."));
    }
    let mut page = ListPage::new(&query, &slice);
    page.head = page.head.at(url).notice(flash);
    let page = flash.forget_after(html(&page)?);
    if slice.items.is_empty() {
        // The page of a new service; it goes with the first article, whoever adds it.
        return Ok(page.not_kept());
    }
    Ok(page.tag(LIST_TAG))
}

/// Where the list goes on after an article that is on it.
async fn place_of(
    articles: &ArticleService,
    tag: Option<&Tag>,
    slug: &Slug,
) -> Result<Cursor, Problem> {
    let article = articles.get_published(slug).await?;
    if tag.is_some_and(|tag| !article.tags.contains(tag)) {
        return Err(Problem::new(Kind::NotFound));
    }
    Ok(Cursor::of(&article, Sort::Newest))
}

async fn render_article(
    ArticlePages { articles, site, .. }: ArticlePages,
    slug: Slug,
    flash: Flash,
) -> Result<Page, Problem> {
    let article = articles.get_published(&slug).await?;
    let mut page = ArticlePage::new(&article);
    page.head = page.head.at(site.url(&article_url(&slug))).notice(flash);
    let page = flash.forget_after(html(&page)?);
    Ok(page.tag(article_tag(article.id)))
}

fn no_such_page(_: crate::domain::error::Invalid) -> Problem {
    Problem::new(Kind::NotFound)
}

#[derive(Template)]
#[template(path = "articles/list.html")]
struct ListPage {
    head: Head,
    articles: Vec<Card>,
    tag: Option<String>,
    older: Option<String>,
    newer: Option<String>,
}

struct Card {
    url: String,
    title: String,
    summary: String,
    tags: Vec<TagLink>,
    published: String,
    published_iso: String,
}

struct TagLink {
    name: String,
    url: String,
}

impl ListPage {
    fn new(query: &ArticleQuery, slice: &Slice<Article>) -> Self {
        let tag = query.tag.as_ref();
        let description = tag.map_or("Articles".to_owned(), |tag| format!("Articles about {tag}"));
        let title = tag.map_or(SITE.to_owned(), |_| description.clone());
        let last = slice.items.last().filter(|_| slice.next.is_some());
        Self {
            head: Head::new(title, description),
            older: last.map(|article| list_url(tag, Some(&article.slug))),
            newer: query.after.as_ref().map(|_| list_url(tag, None)),
            tag: tag.map(ToString::to_string),
            articles: slice.items.iter().map(Card::new).collect(),
        }
    }
}

impl Card {
    fn new(article: &Article) -> Self {
        Self {
            url: article_url(&article.slug),
            title: article.title.to_string(),
            summary: article.summary.to_string(),
            tags: tag_links(article),
            published: human_date(article.date()),
            published_iso: iso_date(article.date()),
        }
    }
}

#[derive(Template)]
#[template(path = "articles/show.html")]
struct ArticlePage {
    head: Head,
    edit: String,
    title: String,
    summary: String,
    body: String,
    tags: Vec<TagLink>,
    published: String,
    published_iso: String,
    updated: Option<String>,
    updated_iso: Option<String>,
}

impl ArticlePage {
    fn new(article: &Article) -> Self {
        // A change on the day of publication is not worth a line.
        let updated =
            Some(article.updated_at).filter(|at| at.date_naive() > article.date().date_naive());
        Self {
            head: Head::new(article.title.as_str(), description(article)),
            edit: format!("{}/edit", article_url(&article.slug)),
            title: article.title.to_string(),
            summary: article.summary.to_string(),
            body: article.body.to_html(),
            tags: tag_links(article),
            published: human_date(article.date()),
            published_iso: iso_date(article.date()),
            updated: updated.map(human_date),
            updated_iso: updated.map(iso_date),
        }
    }
}

fn description(article: &Article) -> &str {
    match article.summary.as_str() {
        "" => article.title.as_str(),
        summary => summary,
    }
}

fn tag_links(article: &Article) -> Vec<TagLink> {
    let link = |tag: &Tag| TagLink {
        name: tag.to_string(),
        url: list_url(Some(tag), None),
    };
    article.tags.iter().map(link).collect()
}

/// Slugs and tags need no escaping in a URL.
pub(super) fn article_url(slug: &Slug) -> String {
    format!("/articles/{slug}")
}

fn list_url(tag: Option<&Tag>, after: Option<&Slug>) -> String {
    match (tag, after) {
        (None, None) => "/".to_owned(),
        (Some(tag), None) => format!("/?tag={tag}"),
        (None, Some(after)) => format!("/?after={after}"),
        (Some(tag), Some(after)) => format!("/?tag={tag}&after={after}"),
    }
}

fn human_date(date: DateTime<Utc>) -> String {
    date.format("%-d %B %Y").to_string()
}

pub(super) fn iso_date(date: DateTime<Utc>) -> String {
    date.to_rfc3339_opts(SecondsFormat::Secs, true)
}
