//! What can go wrong with an article.

use super::entity::Version;
use super::values::Slug;
use crate::domain::error::{Invalid, StoreError};

/// What [`ArticleService`](super::ArticleService) answers instead of a result.
#[derive(Debug, thiserror::Error)]
pub enum ArticleError {
    #[error("there is no such article")]
    NotFound,
    #[error("the slug `{0}` is taken by another article")]
    SlugTaken(Slug),
    #[error("the slug {0}")]
    NoSlug(Invalid),
    #[error("the article has changed since: it is at version {current}")]
    Changed { current: Version },
    #[error("the cursor belongs to a list in another order")]
    WrongCursor,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a repository answers instead of a result.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error("the slug is taken")]
    SlugTaken,
    /// The article is gone or no longer at the expected version.
    #[error("the article has changed")]
    Stale,
    #[error(transparent)]
    Store(#[from] StoreError),
}
