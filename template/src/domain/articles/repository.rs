//! The port: what the articles need of a store.

use async_trait::async_trait;

use super::commands::{Address, ArticleQuery, Slice};
use super::entity::{Article, ArticleId, Version};
use super::error::RepositoryError;
use super::values::Slug;
use crate::domain::error::StoreError;

/// A trait because there are three of them: SQL, a cache in front of it, and memory for tests.
#[async_trait]
pub trait ArticleRepository: Send + Sync {
    /// # Errors
    /// [`RepositoryError::SlugTaken`], or the store's.
    async fn insert(&self, article: &Article) -> Result<(), RepositoryError>;

    /// Replaces the article if the stored one is at version `expected`.
    ///
    /// # Errors
    /// [`RepositoryError::Stale`], [`RepositoryError::SlugTaken`], or the store's.
    async fn update(&self, article: &Article, expected: Version) -> Result<(), RepositoryError>;

    /// Deletes the article if the stored one is at version `expected`.
    ///
    /// # Errors
    /// [`RepositoryError::Stale`], or the store's.
    async fn delete(&self, id: ArticleId, expected: Version) -> Result<(), RepositoryError>;

    /// Always the stored state, never a cached one: writers compare versions with it.
    async fn find(&self, id: ArticleId) -> Result<Option<Article>, StoreError>;

    /// What visitors read; a cache may answer.
    async fn find_by_slug(&self, slug: &Slug) -> Result<Option<Article>, StoreError>;

    /// At most `query.limit` articles, and the cursor of the last if there are more.
    async fn list(&self, query: &ArticleQuery) -> Result<Slice<Article>, StoreError>;

    /// The addresses of the published articles in the order they were created, at most `limit` after the first `skip`.
    async fn addresses(&self, skip: u32, limit: u32) -> Result<Vec<Address>, StoreError>;

    /// How many articles are published.
    async fn count_published(&self) -> Result<u32, StoreError>;
}
