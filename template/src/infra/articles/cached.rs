//! Articles with a cache in front: visitors' reads come out of it, every write clears what it changed.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::articles::{
    Address, Article, ArticleId, ArticleQuery, ArticleRepository, RepositoryError, Slice, Slug,
    Version,
};
use crate::domain::error::StoreError;
use crate::infra::cache::{Cache, Loaded, Policy, Store, Weigh};

/// Carried by whatever shows a list of articles.
pub const LIST_TAG: &str = "articles";

/// Carried by whatever shows this article.
#[must_use]
pub fn article_tag(id: ArticleId) -> String {
    format!("article:{id}")
}

impl Weigh for Article {}

pub struct CachedArticles {
    inner: Arc<dyn ArticleRepository>,
    by_slug: Cache<Option<Article>>,
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
    async fn clear_after(&self, result: &Result<(), RepositoryError>, id: ArticleId) {
        use RepositoryError::{SlugTaken, Stale};
        if !matches!(result, Err(SlugTaken | Stale)) {
            let tags = [LIST_TAG.to_owned(), article_tag(id)];
            self.store.invalidate_tags(tags).await;
        }
    }
}

#[async_trait]
impl ArticleRepository for CachedArticles {
    async fn insert(&self, article: &Article) -> Result<(), RepositoryError> {
        let result = self.inner.insert(article).await;
        self.clear_after(&result, article.id).await;
        result
    }

    async fn update(&self, article: &Article, expected: Version) -> Result<(), RepositoryError> {
        let result = self.inner.update(article, expected).await;
        self.clear_after(&result, article.id).await;
        result
    }

    async fn delete(&self, id: ArticleId, expected: Version) -> Result<(), RepositoryError> {
        let result = self.inner.delete(id, expected).await;
        self.clear_after(&result, id).await;
        result
    }

    async fn find(&self, id: ArticleId) -> Result<Option<Article>, StoreError> {
        self.inner.find(id).await
    }

    async fn find_by_slug(&self, slug: &Slug) -> Result<Option<Article>, StoreError> {
        let (inner, wanted) = (Arc::clone(&self.inner), slug.clone());
        let load = async move || -> Result<_, StoreError> {
            let article = inner.find_by_slug(&wanted).await?;
            Ok(match &article {
                Some(found) => {
                    let tag = article_tag(found.id);
                    Loaded::new(article).tag(tag)
                }
                // Any article may be the one that is missing.
                None => Loaded::absent(article).tag(LIST_TAG),
            })
        };
        let cached = self
            .by_slug
            .fetch(slug.as_str(), &Policy::new(), load)
            .await?;
        Ok((*cached).clone())
    }

    async fn list(&self, query: &ArticleQuery) -> Result<Slice<Article>, StoreError> {
        self.inner.list(query).await
    }

    async fn addresses(&self, skip: u32, limit: u32) -> Result<Vec<Address>, StoreError> {
        self.inner.addresses(skip, limit).await
    }

    async fn count_published(&self) -> Result<u32, StoreError> {
        self.inner.count_published().await
    }
}
