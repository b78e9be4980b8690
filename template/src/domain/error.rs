//! The errors every aggregate shares: a value that breaks a rule, and a store that does not answer.

use std::sync::Arc;

/// Shared, because all who wait for one answer get the same error.
type Source = Arc<dyn std::error::Error + Send + Sync>;

/// Why a value was refused, in words for the person who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// What a repository reports when the store behind it is the problem. Its cause is for the log only.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot answer now; the same call may succeed later.
    #[error("the store is unavailable")]
    Unavailable(#[source] Source),
    /// The call failed and repeating it will not help.
    #[error("the store failed")]
    Failed(#[source] Source),
}
