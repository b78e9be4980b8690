//! The article itself and the rules of its life.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::commands::ArticleContent;
use super::markdown::Markdown;
use super::values::{Slug, Summary, Tags, Title};
use crate::domain::error::Invalid;

/// A `UUIDv7` (RFC 9562): ids sort by creation.
pub type ArticleId = Uuid;

/// Counts the changes of an article from 1, so that a writer can say which one they saw.
pub type Version = i64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Draft,
    Published,
}

impl Status {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
        }
    }

    /// # Errors
    /// If `text` is not one of the two names.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "draft" => Ok(Self::Draft),
            "published" => Ok(Self::Published),
            _ => Err(Invalid("must be draft or published")),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    pub id: ArticleId,
    /// Unique among articles.
    pub slug: Slug,
    pub title: Title,
    pub summary: Summary,
    pub body: Markdown,
    pub tags: Tags,
    pub status: Status,
    /// When it was first published; kept when it is taken back and published again.
    pub published_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub version: Version,
}

impl Article {
    /// # Errors
    /// If no slug is given and none can be made from the title.
    pub fn new(
        id: ArticleId,
        content: ArticleContent,
        now: DateTime<Utc>,
    ) -> Result<Self, Invalid> {
        let slug = match content.slug {
            Some(slug) => slug,
            None => Slug::from_title(&content.title)?,
        };
        Ok(Self {
            id,
            slug,
            title: content.title,
            summary: content.summary,
            body: content.body,
            tags: content.tags,
            status: content.status,
            published_at: (content.status == Status::Published).then_some(now),
            created_at: now,
            updated_at: now,
            version: 1,
        })
    }

    /// The article after a change: without a slug it keeps its own, so that links go on working.
    #[must_use]
    pub fn revised(&self, content: ArticleContent, now: DateTime<Utc>) -> Self {
        let first_published = (content.status == Status::Published).then_some(now);
        Self {
            id: self.id,
            slug: content.slug.unwrap_or_else(|| self.slug.clone()),
            title: content.title,
            summary: content.summary,
            body: content.body,
            tags: content.tags,
            status: content.status,
            published_at: self.published_at.or(first_published),
            created_at: self.created_at,
            updated_at: now,
            version: self.version + 1,
        }
    }

    #[must_use]
    pub fn is_published(&self) -> bool {
        self.status == Status::Published
    }

    /// The date lists are sorted by.
    #[must_use]
    pub fn date(&self) -> DateTime<Utc> {
        self.published_at.unwrap_or(self.created_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(status: Status) -> ArticleContent {
        ArticleContent {
            slug: None,
            title: Title::parse("A title").unwrap(),
            summary: Summary::parse("").unwrap(),
            body: Markdown::parse("").unwrap(),
            tags: Tags::default(),
            status,
        }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn a_draft_has_no_publication_date() {
        let draft = Article::new(Uuid::nil(), content(Status::Draft), at(1)).unwrap();
        assert_eq!(draft.published_at, None);
        assert_eq!(draft.date(), at(1));
    }

    #[test]
    fn the_first_publication_date_is_kept() {
        let draft = Article::new(Uuid::nil(), content(Status::Draft), at(1)).unwrap();
        let published = draft.revised(content(Status::Published), at(2));
        let taken_back = published.revised(content(Status::Draft), at(3));
        let again = taken_back.revised(content(Status::Published), at(4));
        assert_eq!(published.published_at, Some(at(2)));
        assert_eq!(again.published_at, Some(at(2)));
        assert_eq!(
            (again.created_at, again.updated_at, again.version),
            (at(1), at(4), 4)
        );
    }

    #[test]
    fn a_change_without_a_slug_keeps_the_address() {
        let article = Article::new(Uuid::nil(), content(Status::Draft), at(1)).unwrap();
        let title = Title::parse("Another title").unwrap();
        let revised = article.revised(
            ArticleContent {
                title,
                ..content(Status::Draft)
            },
            at(2),
        );
        assert_eq!(revised.slug.as_str(), "a-title");
    }
}
