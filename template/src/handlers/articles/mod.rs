//! Articles as a JSON API: `/api/v1/articles`.

mod documents;
mod listing;

use axum::extract::State;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderName, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::documents::ArticleBody;
pub use self::documents::{ArticleDocument, ArticleList};
use self::listing::ListParams;
use crate::component::Component;
use crate::domain::articles::{
    Article, ArticleError, ArticleQuery, ArticleService, Slug, Status, add_samples,
};
use crate::http::extract::{IfMatch, Json, Path, Query, Unpublished};
use crate::http::problem::ProblemDocument;
use crate::http::responses::WithBody;
use crate::http::{FieldError, Kind, Problem};

#[must_use]
pub fn component(articles: ArticleService) -> Component {
    let api = OpenApiRouter::new()
        .routes(routes!(list_articles, create_article))
        .routes(routes!(get_article, update_article, delete_article))
        .routes(routes!(get_article_by_slug))
        .with_state(articles.clone());
    Component {
        name: "articles",
        api,
        samples: Some(Box::pin(async move { add_samples(&articles).await })),
        ..Component::default()
    }
}

/// A list of articles
///
/// Without their bodies. Follow `next` to go on; articles added meanwhile do not shift the pages.
#[utoipa::path(
    get, path = "/articles", tag = "articles", params(ListParams),
    responses(
        (status = 200, description = "One page of the list", body = ArticleList),
        (status = 400, description = "The request cannot be read", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn list_articles(
    State(articles): State<ArticleService>,
    Unpublished(drafts): Unpublished,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ArticleList>, Problem> {
    let query = ArticleQuery::try_from(params)?;
    if query.status != Some(Status::Published) {
        drafts.map_err(|why| Problem::new(why).detail("Drafts are for who writes."))?;
    }
    let slice = articles.list(&query).await?;
    Ok(axum::Json(slice.into()))
}

/// One article
///
/// A draft only for who may write. Its `ETag` is what `If-Match` wants when it is changed.
#[utoipa::path(
    get, path = "/articles/{id}", tag = "articles", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The article", body = ArticleDocument, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "It is the version that `If-None-Match` names"),
        (status = 404, description = "There is no such article", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn get_article(
    State(articles): State<ArticleService>,
    drafts: Unpublished,
    Path(id): Path<Uuid>,
) -> Result<([(HeaderName, String); 1], axum::Json<ArticleDocument>), Problem> {
    let article = visible(articles.get(id).await?, drafts)?;
    Ok(([(ETAG, etag(&article))], axum::Json(article.into())))
}

/// The article with this slug
///
/// A draft too, for who may write. Its `ETag` is what `If-Match` wants when it is changed.
#[utoipa::path(
    get, path = "/articles/by-slug/{slug}", tag = "articles", params(("slug" = String, Path)),
    responses(
        (status = 200, description = "The article", body = ArticleDocument, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "It is the version that `If-None-Match` names"),
        (status = 404, description = "There is no such article", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn get_article_by_slug(
    State(articles): State<ArticleService>,
    drafts: Unpublished,
    Path(slug): Path<String>,
) -> Result<([(HeaderName, String); 1], axum::Json<ArticleDocument>), Problem> {
    let slug = Slug::exactly(&slug).map_err(|_| Problem::new(Kind::NotFound))?;
    let article = visible(articles.get_for_writing(&slug).await?, drafts)?;
    // Another article may get the slug, and be of the same version.
    let tag = format!("\"{}.{}\"", article.version, article.id);
    Ok(([(ETAG, tag)], axum::Json(article.into())))
}

/// Adds an article
#[utoipa::path(
    post, path = "/articles", tag = "articles", request_body = ArticleBody,
    responses(
        (status = 201, description = "The new article", body = ArticleDocument, headers(("ETag" = String, description = "Its version"), ("Location" = String, description = "Where it is"))),
        (status = 409, description = "The slug is taken", body = ProblemDocument, content_type = "application/problem+json"),
        WithBody,
    )
)]
async fn create_article(
    State(articles): State<ArticleService>,
    Json(body): Json<ArticleBody>,
) -> Result<
    (
        StatusCode,
        [(HeaderName, String); 2],
        axum::Json<ArticleDocument>,
    ),
    Problem,
> {
    let article = articles.create(body.try_into()?).await?;
    let location = format!("/api/v1/articles/{}", article.id);
    let headers = [(ETAG, etag(&article)), (LOCATION, location)];
    Ok((StatusCode::CREATED, headers, axum::Json(article.into())))
}

/// Replaces an article's content
///
/// With `If-Match` only if nobody has changed it since.
#[utoipa::path(
    put, path = "/articles/{id}", tag = "articles", request_body = ArticleBody,
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "The ETag last seen")),
    responses(
        (status = 200, description = "The article", body = ArticleDocument, headers(("ETag" = String, description = "Its version"))),
        (status = 404, description = "There is no such article", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The slug is taken", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, description = "It has changed since", body = ProblemDocument, content_type = "application/problem+json"),
        WithBody,
    )
)]
async fn update_article(
    State(articles): State<ArticleService>,
    Path(id): Path<Uuid>,
    IfMatch(version): IfMatch,
    Json(body): Json<ArticleBody>,
) -> Result<([(HeaderName, String); 1], axum::Json<ArticleDocument>), Problem> {
    let article = articles.update(id, body.try_into()?, version).await?;
    Ok(([(ETAG, etag(&article))], axum::Json(article.into())))
}

/// Deletes an article
///
/// With `If-Match` only if nobody has changed it since.
#[utoipa::path(
    delete, path = "/articles/{id}", tag = "articles",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "The ETag last seen")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such article", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, description = "It has changed since", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn delete_article(
    State(articles): State<ArticleService>,
    Path(id): Path<Uuid>,
    IfMatch(version): IfMatch,
) -> Result<StatusCode, Problem> {
    articles.delete(id, version).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<ArticleError> for Problem {
    fn from(error: ArticleError) -> Self {
        let detail = error.to_string();
        match error {
            ArticleError::NotFound => Problem::new(Kind::NotFound),
            ArticleError::SlugTaken(_) => Problem::new(Kind::Conflict).detail(detail),
            ArticleError::NoSlug(rule) => {
                Problem::invalid(vec![FieldError::new("/slug", rule.to_string())])
            }
            ArticleError::Changed { .. } => Problem::new(Kind::PreconditionFailed).detail(detail),
            ArticleError::WrongCursor => Problem::new(Kind::Malformed).detail(detail),
            ArticleError::Store(error) => error.into(),
        }
    }
}

/// Who may not see a draft is not told that there is one.
fn visible(article: Article, Unpublished(drafts): Unpublished) -> Result<Article, Problem> {
    if article.is_published() || drafts.is_ok() {
        Ok(article)
    } else {
        Err(Problem::new(Kind::NotFound))
    }
}

/// The version, as an entity tag.
fn etag(article: &Article) -> String {
    format!("\"{}\"", article.version)
}
