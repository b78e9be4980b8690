//! Articles with a cache in front: visitors' reads come out of it, every write clears what it changed.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::articles::{
    Article, ArticleId, ArticleQuery, ArticleRepository, RepositoryError, Slice, Slug, Version,
};
use crate::domain::error::StoreError;
use crate::infra::cache::{Cache, Loaded, Store};

/// Carried by whatever shows a list of articles.
pub const LIST_TAG: &str = "articles";

/// Carried by whatever shows this article.
#[must_use]
pub fn article_tag(id: ArticleId) -> String {
    format!("article:{id}")
}

pub struct CachedArticles {
    inner: Arc<dyn ArticleRepository>,
    by_slug: Cache<Article>,
    store: Store,
}

impl CachedArticles {
    #[must_use]
    pub fn new(inner: Arc<dyn ArticleRepository>, store: &Store) -> Self {
        Self {
            inner,
            by_slug: store.namespace("articles"),
            store: store.clone(),
        }
    }

    /// Clears what a write has changed. One that was refused has changed nothing; one whose answer was lost may have.
    fn clear_after(&self, result: &Result<(), RepositoryError>, id: ArticleId) {
        use RepositoryError::{SlugTaken, Stale};
        if !matches!(result, Err(SlugTaken | Stale)) {
            let tags = [LIST_TAG.to_owned(), article_tag(id)];
            self.store.invalidate_tags(tags);
        }
    }
}

#[async_trait]
impl ArticleRepository for CachedArticles {
    async fn insert(&self, article: &Article) -> Result<(), RepositoryError> {
        let result = self.inner.insert(article).await;
        self.clear_after(&result, article.id);
        result
    }

    async fn update(&self, article: &Article, expected: Version) -> Result<(), RepositoryError> {
        let result = self.inner.update(article, expected).await;
        self.clear_after(&result, article.id);
        result
    }

    async fn delete(&self, id: ArticleId, expected: Version) -> Result<(), RepositoryError> {
        let result = self.inner.delete(id, expected).await;
        self.clear_after(&result, id);
        result
    }

    async fn find(&self, id: ArticleId) -> Result<Option<Article>, StoreError> {
        self.inner.find(id).await
    }

    async fn find_by_slug(&self, slug: &Slug) -> Result<Option<Article>, StoreError> {
        // What is missing is not kept: addresses that do not exist have no end.
        let load = async || match self.inner.find_by_slug(slug).await {
            Ok(Some(article)) => {
                let tag = article_tag(article.id);
                Ok(Loaded::new(article).tag(tag))
            }
            Ok(None) => Err(None),
            Err(error) => Err(Some(error)),
        };
        match self.by_slug.fetch(slug.as_str(), load).await {
            Ok(cached) => Ok(Some(Arc::unwrap_or_clone(cached.value))),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    async fn list(&self, query: &ArticleQuery) -> Result<Slice<Article>, StoreError> {
        self.inner.list(query).await
    }
}
