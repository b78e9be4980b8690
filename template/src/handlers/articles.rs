//! Articles as a JSON API: `/api/v1/articles`.

use axum::extract::State;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderName, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use crate::component::Component;
use crate::domain::articles::{
    Article, ArticleContent, ArticleError, ArticleQuery, ArticleService, Cursor, Markdown, Slug,
    Sort, Status, Summary, Tag, Tags, Title,
};
use crate::domain::error::Invalid;
use crate::http::extract::{IfMatch, Json, Path, Query};
use crate::http::problem::ProblemDocument;
use crate::http::{FieldError, Kind, Problem};
use crate::infra::articles::add_samples;

#[must_use]
pub fn component(articles: ArticleService) -> Component {
    let api = OpenApiRouter::new()
        .routes(routes!(list_articles, create_article))
        .routes(routes!(get_article, update_article, delete_article))
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
        (status = 200, body = ArticleList),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn list_articles(
    State(articles): State<ArticleService>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ArticleList>, Problem> {
    let query = ArticleQuery::try_from(params)?;
    let slice = articles.list(&query).await?;
    Ok(axum::Json(ArticleList {
        items: slice.items.into_iter().map(ArticleSummary::from).collect(),
        next: slice.next.as_ref().map(encode_cursor),
    }))
}

/// One article
///
/// Its `ETag` is what `If-Match` wants when it is changed.
#[utoipa::path(
    get, path = "/articles/{id}", tag = "articles", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = ArticleDocument, headers(("ETag" = String))),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn get_article(
    State(articles): State<ArticleService>,
    Path(id): Path<Uuid>,
) -> Result<([(HeaderName, String); 1], axum::Json<ArticleDocument>), Problem> {
    let article = articles.get(id).await?;
    Ok(([(ETAG, etag(&article))], axum::Json(article.into())))
}

/// Adds an article
#[utoipa::path(
    post, path = "/articles", tag = "articles", request_body = ArticleBody,
    responses(
        (status = 201, body = ArticleDocument, headers(("ETag" = String), ("Location" = String))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The slug is taken", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "Every wrong value at once", body = ProblemDocument, content_type = "application/problem+json"),
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
        (status = 200, body = ArticleDocument, headers(("ETag" = String))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The slug is taken", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, description = "It has changed since", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "Every wrong value at once", body = ProblemDocument, content_type = "application/problem+json"),
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
        (status = 204),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
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

/// The version, as an entity tag.
fn etag(article: &Article) -> String {
    format!("\"{}\"", article.version)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only articles with this tag.
    tag: Option<String>,
    /// Only articles with this status; without it, published ones.
    status: Option<StatusFilter>,
    #[param(inline)]
    sort: Option<SortName>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Articles per page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u8>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StatusFilter {
    Draft,
    Published,
    All,
}

/// Dates are those of publication, or of creation for drafts.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SortName {
    Newest,
    Oldest,
    Title,
}

impl TryFrom<ListParams> for ArticleQuery {
    type Error = Problem;

    fn try_from(params: ListParams) -> Result<Self, Problem> {
        let malformed = |name: &str, rule: &str| {
            Problem::new(Kind::Malformed).detail(format!("`{name}` {rule}"))
        };
        let limit = params.limit.unwrap_or(20);
        if !(1..=Self::MAX_LIMIT).contains(&limit) {
            return Err(malformed("limit", "must be 1 to 100"));
        }
        let tag = params.tag.as_deref().map(Tag::parse).transpose();
        let cursor = params.cursor.as_deref().map(decode_cursor);
        Ok(Self {
            status: match params.status {
                None | Some(StatusFilter::Published) => Some(Status::Published),
                Some(StatusFilter::Draft) => Some(Status::Draft),
                Some(StatusFilter::All) => None,
            },
            tag: tag.map_err(|rule| malformed("tag", rule.0))?,
            sort: match params.sort {
                None | Some(SortName::Newest) => Sort::Newest,
                Some(SortName::Oldest) => Sort::Oldest,
                Some(SortName::Title) => Sort::Title,
            },
            after: match cursor {
                None => None,
                Some(Some(cursor)) => Some(cursor),
                Some(None) => {
                    return Err(malformed("cursor", "must be the `next` of the page before"));
                }
            },
            limit,
        })
    }
}

/// Opaque to clients: they only send it back.
fn encode_cursor(cursor: &Cursor) -> String {
    let text = match cursor {
        Cursor::Date(date, id) => format!("d {id} {}", date.timestamp_micros()),
        Cursor::Title(title, id) => format!("t {id} {title}"),
    };
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

fn decode_cursor(text: &str) -> Option<Cursor> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let mut parts = text.splitn(3, ' ');
    let (kind, id, key) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    match kind {
        "d" => {
            let date = DateTime::from_timestamp_micros(key.parse().ok()?)?;
            // The years a store can compare.
            (1..=9999)
                .contains(&date.year())
                .then_some(Cursor::Date(date, id))
        }
        "t" => Some(Cursor::Title(Title::parse(key).ok()?.into(), id)),
        _ => None,
    }
}

/// What a writer sends.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ArticleBody {
    /// Made from the title when absent.
    #[validate(custom(function = slug_rule))]
    #[schema(
        pattern = "^[a-z0-9]+(-[a-z0-9]+)*$",
        max_length = 80,
        example = "hello-world"
    )]
    slug: Option<String>,
    // Missing and empty are one mistake; a default lets the validator report it with all others.
    #[serde(default)]
    #[validate(custom(function = title_rule))]
    #[schema(
        required = true,
        min_length = 1,
        max_length = 120,
        example = "Hello, world"
    )]
    title: String,
    #[serde(default)]
    #[validate(custom(function = summary_rule))]
    #[schema(max_length = 280)]
    summary: String,
    /// Markdown.
    #[serde(default)]
    #[validate(custom(function = body_rule))]
    #[schema(max_length = 100_000)]
    body: String,
    #[serde(default)]
    #[validate(custom(function = tags_rule))]
    #[schema(max_items = 10)]
    tags: Vec<String>,
    #[serde(default)]
    status: StatusName,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StatusName {
    #[default]
    Draft,
    Published,
}

/// The validator asks the domain, which has the rules.
fn rule<T>(parsed: Result<T, Invalid>) -> Result<(), ValidationError> {
    parsed
        .map(drop)
        .map_err(|rule| ValidationError::new("domain").with_message(rule.0.into()))
}

fn slug_rule(slug: &str) -> Result<(), ValidationError> {
    rule(Slug::parse(slug))
}

fn title_rule(title: &str) -> Result<(), ValidationError> {
    rule(Title::parse(title))
}

fn summary_rule(summary: &str) -> Result<(), ValidationError> {
    rule(Summary::parse(summary))
}

fn body_rule(body: &str) -> Result<(), ValidationError> {
    rule(Markdown::parse(body))
}

fn tags_rule(tags: &[String]) -> Result<(), ValidationError> {
    rule(parse_tags(tags))
}

fn parse_tags(tags: &[String]) -> Result<Tags, Invalid> {
    Tags::new(
        tags.iter()
            .map(|tag| Tag::parse(tag))
            .collect::<Result<_, _>>()?,
    )
}

impl TryFrom<ArticleBody> for ArticleContent {
    type Error = Invalid;

    fn try_from(body: ArticleBody) -> Result<Self, Invalid> {
        Ok(Self {
            slug: body.slug.as_deref().map(Slug::parse).transpose()?,
            title: Title::parse(&body.title)?,
            summary: Summary::parse(&body.summary)?,
            body: Markdown::parse(&body.body)?,
            tags: parse_tags(&body.tags)?,
            status: match body.status {
                StatusName::Draft => Status::Draft,
                StatusName::Published => Status::Published,
            },
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ArticleList {
    items: Vec<ArticleSummary>,
    /// Send it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ArticleSummary {
    id: Uuid,
    slug: String,
    title: String,
    summary: String,
    tags: Vec<String>,
    status: StatusName,
    /// When it was first published.
    published_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct ArticleDocument {
    #[serde(flatten)]
    summary: ArticleSummary,
    /// Markdown.
    body: String,
    /// The same as sanitised HTML.
    body_html: String,
}

impl From<Article> for ArticleSummary {
    fn from(article: Article) -> Self {
        Self {
            id: article.id,
            slug: article.slug.into(),
            title: article.title.into(),
            summary: article.summary.into(),
            tags: article.tags.iter().map(ToString::to_string).collect(),
            status: match article.status {
                Status::Draft => StatusName::Draft,
                Status::Published => StatusName::Published,
            },
            published_at: article.published_at,
            created_at: article.created_at,
            updated_at: article.updated_at,
            version: article.version,
        }
    }
}

impl From<Article> for ArticleDocument {
    fn from(article: Article) -> Self {
        Self {
            body: article.body.as_str().to_owned(),
            body_html: article.body.to_html(),
            summary: article.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_way_to_the_client_and_back() {
        let date = DateTime::from_timestamp_micros(1_767_225_600_123_456).unwrap();
        for cursor in [
            Cursor::Date(date, Uuid::max()),
            Cursor::Title("Ein Titel – mit Raum".into(), Uuid::nil()),
        ] {
            assert_eq!(decode_cursor(&encode_cursor(&cursor)), Some(cursor));
        }
    }

    #[test]
    fn a_cursor_of_someone_else_is_refused() {
        for text in [
            "",
            "abc",
            "ZCAwIDA",
            "%",
            &BASE64_URL_SAFE_NO_PAD.encode("d x 1"),
        ] {
            assert_eq!(decode_cursor(text), None, "{text}");
        }
    }
}
