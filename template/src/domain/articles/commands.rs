//! What can be asked of articles: the content a writer gives, and the questions a reader puts.

use chrono::{DateTime, Utc};

use super::entity::{Article, ArticleId, Status};
use super::markdown::Markdown;
use super::values::{Slug, Summary, Tag, Tags, Title};

/// Everything a writer decides about an article; creating and updating both take it whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArticleContent {
    /// Made from the title when absent.
    pub slug: Option<Slug>,
    pub title: Title,
    pub summary: Summary,
    pub body: Markdown,
    pub tags: Tags,
    pub status: Status,
}

/// Which articles to list, in which order, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArticleQuery {
    pub status: Option<Status>,
    pub tag: Option<Tag>,
    pub sort: Sort,
    pub after: Option<Cursor>,
    /// 1 to [`ArticleQuery::MAX_LIMIT`].
    pub limit: u8,
}

impl ArticleQuery {
    pub const MAX_LIMIT: u8 = 100;

    /// The first `limit` published articles, newest first: what a visitor sees.
    #[must_use]
    pub fn published(limit: u8) -> Self {
        Self {
            status: Some(Status::Published),
            tag: None,
            sort: Sort::Newest,
            after: None,
            limit,
        }
    }

    /// Makes a page of what a store found when it looked for one article more than `limit`.
    #[must_use]
    pub fn slice(&self, mut found: Vec<Article>) -> Slice<Article> {
        let more = found.len() > usize::from(self.limit);
        found.truncate(usize::from(self.limit));
        let last = found.last().filter(|_| more);
        Slice {
            next: last.map(|article| Cursor::of(article, self.sort)),
            items: found,
        }
    }
}

/// Where a published article is, and when it was last changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub slug: Slug,
    pub updated_at: DateTime<Utc>,
}

/// The order of a list. Dates are the day of publication, or of creation for a draft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Newest,
    Oldest,
    Title,
}

/// The place of one article in a sorted list: the list goes on behind it, whatever is added before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cursor {
    Date(DateTime<Utc>, ArticleId),
    Title(String, ArticleId),
}

impl Cursor {
    /// The place of `article` in a list sorted by `sort`.
    #[must_use]
    pub fn of(article: &Article, sort: Sort) -> Self {
        match sort {
            Sort::Newest | Sort::Oldest => Self::Date(article.date(), article.id),
            Sort::Title => Self::Title(article.title.to_string(), article.id),
        }
    }

    /// Whether a list sorted by `sort` can go on from here.
    #[must_use]
    pub fn fits(&self, sort: Sort) -> bool {
        matches!(
            (self, sort),
            (Self::Date(..), Sort::Newest | Sort::Oldest) | (Self::Title(..), Sort::Title)
        )
    }
}

/// One page of a list, and where the next one starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<T> {
    pub items: Vec<T>,
    pub next: Option<Cursor>,
}
