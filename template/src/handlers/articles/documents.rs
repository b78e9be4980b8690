//! Articles as clients send and receive them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use super::listing::encode_cursor;
use crate::domain::articles::{
    Article, ArticleContent, Markdown, Slice, Slug, Status, Summary, Tag, Tags, Title,
};
use crate::domain::error::Invalid;

/// What a writer sends.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArticleBody {
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
    #[serde(default = "draft")]
    #[validate(custom(function = status_rule))]
    #[schema(value_type = StatusName, default = "draft")]
    status: String,
}

fn draft() -> String {
    Status::Draft.as_str().to_owned()
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StatusName {
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

fn status_rule(status: &str) -> Result<(), ValidationError> {
    rule(Status::parse(status))
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
            status: Status::parse(&body.status)?,
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ArticleList {
    pub items: Vec<ArticleSummary>,
    /// Send it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ArticleSummary {
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
pub struct ArticleDocument {
    #[serde(flatten)]
    summary: ArticleSummary,
    /// Markdown.
    body: String,
    /// The same as sanitised HTML.
    body_html: String,
}

impl From<Slice<Article>> for ArticleList {
    fn from(slice: Slice<Article>) -> Self {
        Self {
            items: slice.items.into_iter().map(ArticleSummary::from).collect(),
            next: slice.next.as_ref().map(encode_cursor),
        }
    }
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
