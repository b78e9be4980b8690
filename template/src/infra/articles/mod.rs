//! Articles in the outside world: in SQL, in a cache in front of it, and in memory for tests.

mod cached;
mod memory;
mod sql;

use std::sync::Arc;

pub use cached::{CachedArticles, LIST_TAG, article_tag};
pub use memory::MemoryArticles;
pub use sql::SqlArticles;

use crate::domain::articles::ArticleService;
use crate::platform::Platform;

/// The articles of this service: stored in its database, read through its cache.
#[must_use]
pub fn service(platform: &Platform) -> ArticleService {
    let sql = SqlArticles::new(platform.database.clone());
    let cached = CachedArticles::new(Arc::new(sql), &platform.cache);
    ArticleService::new(
        Arc::new(cached),
        platform.events.clone(),
        platform.clock.clone(),
    )
}
