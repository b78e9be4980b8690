//! Articles in memory: the twin of the SQL store, for tests of the rules without a database.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::domain::articles::{
    Address, Article, ArticleId, ArticleQuery, ArticleRepository, Cursor, RepositoryError, Slice,
    Slug, Sort, Version,
};
use crate::domain::error::StoreError;

#[derive(Default)]
pub struct MemoryArticles(Mutex<BTreeMap<ArticleId, Article>>);

impl MemoryArticles {
    fn articles(&self) -> MutexGuard<'_, BTreeMap<ArticleId, Article>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ArticleRepository for MemoryArticles {
    async fn insert(&self, article: &Article) -> Result<(), RepositoryError> {
        let mut articles = self.articles();
        refuse_taken_slug(&articles, article)?;
        articles.insert(article.id, article.clone());
        Ok(())
    }

    async fn update(&self, article: &Article, expected: Version) -> Result<(), RepositoryError> {
        let mut articles = self.articles();
        if articles
            .get(&article.id)
            .is_none_or(|stored| stored.version != expected)
        {
            return Err(RepositoryError::Stale);
        }
        refuse_taken_slug(&articles, article)?;
        articles.insert(article.id, article.clone());
        Ok(())
    }

    async fn delete(&self, id: ArticleId, expected: Version) -> Result<(), RepositoryError> {
        let mut articles = self.articles();
        if articles
            .get(&id)
            .is_none_or(|stored| stored.version != expected)
        {
            return Err(RepositoryError::Stale);
        }
        articles.remove(&id);
        Ok(())
    }

    async fn find(&self, id: ArticleId) -> Result<Option<Article>, StoreError> {
        Ok(self.articles().get(&id).cloned())
    }

    async fn find_by_slug(&self, slug: &Slug) -> Result<Option<Article>, StoreError> {
        Ok(self
            .articles()
            .values()
            .find(|article| article.slug == *slug)
            .cloned())
    }

    async fn list(&self, query: &ArticleQuery) -> Result<Slice<Article>, StoreError> {
        let place = |article: &Article| Cursor::of(article, query.sort);
        let mut found: Vec<Article> = self
            .articles()
            .values()
            .filter(|article| query.status.is_none_or(|status| article.status == status))
            .filter(|article| {
                query
                    .tag
                    .as_ref()
                    .is_none_or(|tag| article.tags.contains(tag))
            })
            .filter(|article| {
                query.after.as_ref().is_none_or(|after| match query.sort {
                    Sort::Newest => place(article) < *after,
                    Sort::Oldest | Sort::Title => place(article) > *after,
                })
            })
            .cloned()
            .collect();
        found.sort_by_key(place);
        if query.sort == Sort::Newest {
            found.reverse();
        }
        found.truncate(usize::from(query.limit) + 1);
        Ok(query.slice(found))
    }

    async fn addresses(&self, skip: u32, limit: u32) -> Result<Vec<Address>, StoreError> {
        let articles = self.articles();
        // Sorted by id, which is by creation.
        let published = articles.values().filter(|article| article.is_published());
        let addresses = published.map(|article| Address {
            slug: article.slug.clone(),
            updated_at: article.updated_at,
        });
        Ok(addresses.skip(skip as usize).take(limit as usize).collect())
    }

    async fn count_published(&self) -> Result<u32, StoreError> {
        let articles = self.articles();
        let published = articles.values().filter(|article| article.is_published());
        Ok(u32::try_from(published.count()).unwrap_or(u32::MAX))
    }
}

fn refuse_taken_slug(
    articles: &BTreeMap<ArticleId, Article>,
    article: &Article,
) -> Result<(), RepositoryError> {
    let taken = articles
        .values()
        .any(|other| other.id != article.id && other.slug == article.slug);
    if taken {
        Err(RepositoryError::SlugTaken)
    } else {
        Ok(())
    }
}
