//! Articles in the application: the list at `/`, each one at `/articles/{slug}`, with the data of the first view.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::shell::{Sent, Shell};
use super::{PAGE, SITE, empty};
use crate::component::{Component, Routes, Warm};
use crate::domain::articles::{ArticleError, ArticleQuery, ArticleService, Slug};
use crate::handlers::articles::{ArticleDocument, ArticleList};
use crate::http::Problem;
use crate::http::extract::Path;
use crate::http::page_cache::{Page, PageCache};
use crate::infra::articles::{LIST_TAG, article_tag};
use crate::platform::Platform;

/// Articles on the first page of the list: as many as the API gives who does not say.
const PER_PAGE: u8 = 20;

#[must_use]
pub fn component(articles: ArticleService, platform: &Platform) -> Component {
    let warm = Warm::pages("articles", newest(articles.clone()));
    let pages = Routes::new()
        .get("/", list)
        .get("/articles/{slug}", show)
        .with_state(ArticlePages {
            articles,
            pages: platform.pages.clone(),
            shell: Shell::built(),
        });
    Component {
        name: "article pages",
        pages,
        warm: vec![warm],
        ..Component::default()
    }
}

/// The pages that visitors come for: the list, and what stands on it.
async fn newest(articles: ArticleService) -> anyhow::Result<Vec<String>> {
    let slice = articles.list(&ArticleQuery::published(PER_PAGE)).await?;
    let addresses = slice
        .items
        .iter()
        .map(|article| format!("/articles/{}", article.slug));
    Ok(["/".to_owned()].into_iter().chain(addresses).collect())
}

#[derive(Clone)]
struct ArticlePages {
    articles: ArticleService,
    pages: PageCache,
    shell: Shell,
}

/// The newest articles. Another part of the list (a tag, a later page) the application asks for.
async fn list(
    State(ArticlePages {
        articles,
        pages,
        shell,
    }): State<ArticlePages>,
    request: Parts,
) -> Result<Response, Problem> {
    if request.uri.query().is_some() {
        return empty(&pages, shell, &request).await;
    }
    let page = async move || {
        let slice = articles.list(&ArticleQuery::published(PER_PAGE)).await?;
        let sent = Sent {
            address: "/api/v1/articles",
            answer: &ArticleList::from(slice),
        };
        Ok(shell.page_with(SITE, "Articles", &sent)?.tag(LIST_TAG))
    };
    answer_or_empty(
        pages.render(&request, "/", &PAGE, page).await,
        &pages,
        shell,
        &request,
    )
    .await
}

/// An article that visitors can read. With any other slug the application shows what the API says to it: a draft perhaps.
async fn show(
    State(ArticlePages {
        articles,
        pages,
        shell,
    }): State<ArticlePages>,
    Path(slug): Path<String>,
    request: Parts,
) -> Result<Response, Problem> {
    let address = format!("/articles/{slug}");
    let page = async move || article_page(&articles, &slug, shell).await;
    let answer = pages.render(&request, &address, &PAGE, page).await;
    answer_or_empty(answer, &pages, shell, &request).await
}

async fn article_page(
    articles: &ArticleService,
    slug: &str,
    shell: Shell,
) -> Result<Page, Problem> {
    let missing = || shell.page().status(StatusCode::NOT_FOUND).not_kept();
    let Ok(slug) = Slug::exactly(slug) else {
        return Ok(missing());
    };
    let article = match articles.get_published(&slug).await {
        Ok(article) => article,
        // Not kept, so that made-up addresses do not fill the cache.
        Err(ArticleError::NotFound) => return Ok(missing()),
        Err(error) => return Err(error.into()),
    };
    let (tag, title) = (
        article_tag(article.id),
        format!("{} · {SITE}", article.title),
    );
    let description = article.summary.to_string();
    let sent = Sent {
        address: &format!("/api/v1/articles/by-slug/{slug}"),
        answer: &ArticleDocument::from(article),
    };
    Ok(shell.page_with(&title, &description, &sent)?.tag(tag))
}

/// Without its data the application can still be loaded: it says what is wrong, and tries again.
async fn answer_or_empty(
    answer: Result<Response, Problem>,
    pages: &PageCache,
    shell: Shell,
    request: &Parts,
) -> Result<Response, Problem> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(problem) => {
            tracing::warn!(?problem, "the data of a page cannot be had");
            empty(pages, shell, request).await
        }
    }
}
