//! What comes out of the cache, and what a type has to offer to go in.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::memory::Entry;
use crate::domain::error::StoreError;

/// What the cache needs to know of a type to keep its values.
pub trait Weigh: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The memory a value takes, in bytes; estimated by its size when encoded. What cannot be encoded is not kept: it weighs
    /// more than there is room for.
    fn weight(&self) -> usize {
        let encoded = postcard::experimental::serialized_size(self).unwrap_or(usize::MAX);
        size_of_val(self).saturating_add(encoded)
    }
}

impl Weigh for String {}
impl Weigh for Vec<u8> {}
impl Weigh for Bytes {}
impl<T: Weigh> Weigh for Option<T> {
    fn weight(&self) -> usize {
        self.as_ref().map_or(size_of_val(self), Weigh::weight)
    }
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Memory.
    L1,
    /// The second tier.
    L2,
    /// One of both; past its time, and a new one is on its way.
    Stale,
    /// Neither: it was loaded.
    Loader,
}

/// A value out of the cache.
#[derive(Debug)]
pub struct Cached<V> {
    pub(super) entry: Arc<Entry<V>>,
    pub(super) source: Source,
    pub(super) is_kept: bool,
}

impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            ..*self
        }
    }
}

impl<V> Deref for Cached<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.entry.value
    }
}

impl<V> Cached<V> {
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether the next caller may get it, too.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// When it was loaded, in microseconds since the Unix epoch.
    #[must_use]
    pub fn stored_at(&self) -> i64 {
        self.entry.header.stored_at
    }
}

/// Why a value could not be loaded, where its loader did not say so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadFailed {
    #[error("loading the value panicked")]
    Panicked,
    #[error("loading the value took too long")]
    TimedOut,
}

/// To a repository with a cache in front, a load that failed is a read that failed.
impl From<LoadFailed> for StoreError {
    fn from(error: LoadFailed) -> Self {
        match error {
            LoadFailed::Panicked => Self::Failed(Arc::new(error)),
            LoadFailed::TimedOut => Self::Unavailable(Arc::new(error)),
        }
    }
}
