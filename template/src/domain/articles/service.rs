//! What one can do with articles: the use cases, one method each.

use std::sync::Arc;

use uuid::{NoContext, Timestamp, Uuid};

use super::commands::{Address, ArticleContent, ArticleQuery, Slice};
use super::entity::{Article, ArticleId, Version};
use super::error::{ArticleError, RepositoryError};
use super::repository::ArticleRepository;
use super::values::Slug;
use crate::domain::clock::Clock;
use crate::domain::events::{Event, Events};

/// The names of the events this service publishes.
pub mod events {
    pub const CREATED: &str = "article.created";
    pub const UPDATED: &str = "article.updated";
    /// In addition to created or updated, when visitors can read it from now on.
    pub const PUBLISHED: &str = "article.published";
    pub const DELETED: &str = "article.deleted";
}

#[derive(Clone)]
pub struct ArticleService {
    repository: Arc<dyn ArticleRepository>,
    events: Events,
    clock: Clock,
}

impl ArticleService {
    #[must_use]
    pub fn new(repository: Arc<dyn ArticleRepository>, events: Events, clock: Clock) -> Self {
        Self {
            repository,
            events,
            clock,
        }
    }

    /// # Errors
    /// [`ArticleError::WrongCursor`] if the cursor belongs to another order, or the store's.
    pub async fn list(&self, query: &ArticleQuery) -> Result<Slice<Article>, ArticleError> {
        if query
            .after
            .as_ref()
            .is_some_and(|cursor| !cursor.fits(query.sort))
        {
            return Err(ArticleError::WrongCursor);
        }
        Ok(self.repository.list(query).await?)
    }

    /// Where visitors find articles, in the order they were created: at most `limit` after the first `skip`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn addresses(&self, skip: u32, limit: u32) -> Result<Vec<Address>, ArticleError> {
        Ok(self.repository.addresses(skip, limit).await?)
    }

    /// How many articles visitors can read.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn count_published(&self) -> Result<u32, ArticleError> {
        Ok(self.repository.count_published().await?)
    }

    /// # Errors
    /// [`ArticleError::NotFound`], or the store's.
    pub async fn get(&self, id: ArticleId) -> Result<Article, ArticleError> {
        self.repository
            .find(id)
            .await?
            .ok_or(ArticleError::NotFound)
    }

    /// The article visitors see at `slug`; a draft is not found.
    ///
    /// # Errors
    /// [`ArticleError::NotFound`], or the store's.
    pub async fn get_published(&self, slug: &Slug) -> Result<Article, ArticleError> {
        let article = self.repository.find_by_slug(slug).await?;
        article
            .filter(Article::is_published)
            .ok_or(ArticleError::NotFound)
    }

    /// The article at `slug` for a writer: a draft is found too, and its version is the stored one.
    ///
    /// # Errors
    /// [`ArticleError::NotFound`], or the store's.
    pub async fn get_for_writing(&self, slug: &Slug) -> Result<Article, ArticleError> {
        let found = self.repository.find_by_slug(slug).await?;
        self.get(found.ok_or(ArticleError::NotFound)?.id).await
    }

    /// # Errors
    /// [`ArticleError::SlugTaken`], [`ArticleError::NoSlug`], or the store's.
    pub async fn create(&self, content: ArticleContent) -> Result<Article, ArticleError> {
        let now = self.clock.now();
        let id = Uuid::new_v7(Timestamp::from_unix(
            NoContext,
            now.timestamp().unsigned_abs(),
            now.timestamp_subsec_nanos(),
        ));
        let article = Article::new(id, content, now).map_err(ArticleError::NoSlug)?;
        match self.repository.insert(&article).await {
            Ok(()) => {}
            Err(RepositoryError::SlugTaken) => return Err(ArticleError::SlugTaken(article.slug)),
            Err(RepositoryError::Store(error)) => return Err(error.into()),
            Err(RepositoryError::Stale) => return Err(ArticleError::NotFound),
        }
        self.publish(events::CREATED, &article);
        if article.is_published() {
            self.publish(events::PUBLISHED, &article);
        }
        Ok(article)
    }

    /// Replaces the article's content. With `expected` it does so only at that version.
    ///
    /// # Errors
    /// [`ArticleError::NotFound`], [`ArticleError::Changed`], [`ArticleError::SlugTaken`], or the store's.
    pub async fn update(
        &self,
        id: ArticleId,
        content: ArticleContent,
        expected: Option<Version>,
    ) -> Result<Article, ArticleError> {
        let before = self.at_version(id, expected).await?;
        let after = before.revised(content, self.clock.now());
        match self.repository.update(&after, before.version).await {
            Ok(()) => {}
            Err(RepositoryError::SlugTaken) => return Err(ArticleError::SlugTaken(after.slug)),
            Err(RepositoryError::Stale) => return Err(self.changed(id).await),
            Err(RepositoryError::Store(error)) => return Err(error.into()),
        }
        self.publish(events::UPDATED, &after);
        if after.is_published() && !before.is_published() {
            self.publish(events::PUBLISHED, &after);
        }
        Ok(after)
    }

    /// With `expected` the article is deleted only at that version.
    ///
    /// # Errors
    /// [`ArticleError::NotFound`], [`ArticleError::Changed`], or the store's.
    pub async fn delete(
        &self,
        id: ArticleId,
        expected: Option<Version>,
    ) -> Result<(), ArticleError> {
        let article = self.at_version(id, expected).await?;
        match self.repository.delete(id, article.version).await {
            Ok(()) => {}
            Err(RepositoryError::Store(error)) => return Err(error.into()),
            Err(RepositoryError::Stale | RepositoryError::SlugTaken) => {
                return Err(self.changed(id).await);
            }
        }
        self.publish(events::DELETED, &article);
        Ok(())
    }

    async fn at_version(
        &self,
        id: ArticleId,
        expected: Option<Version>,
    ) -> Result<Article, ArticleError> {
        let article = self.get(id).await?;
        match expected {
            Some(expected) if expected != article.version => Err(ArticleError::Changed {
                current: article.version,
            }),
            _ => Ok(article),
        }
    }

    /// Another writer was faster: says what the article is now.
    async fn changed(&self, id: ArticleId) -> ArticleError {
        match self.get(id).await {
            Ok(article) => ArticleError::Changed {
                current: article.version,
            },
            Err(error) => error,
        }
    }

    fn publish(&self, name: &'static str, article: &Article) {
        self.events.publish(Event {
            name,
            subject: article.id,
            at: self.clock.now(),
        });
    }
}
