//! The errors every aggregate shares: a value that breaks a rule, and a store that does not answer.

use std::sync::Arc;

/// Shared, because all who wait for one answer get the same error.
pub type Source = Arc<dyn std::error::Error + Send + Sync>;

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
    /// Another record stands against it.
    #[error("{0}")]
    Conflict(#[source] RuleBroken),
    /// A value breaks a rule that only the store knows.
    #[error("{0}")]
    Refused(#[source] RuleBroken),
    /// The call failed and repeating it will not help.
    #[error("the store failed")]
    Failed(#[source] Source),
}

/// Which rule of a store was broken, and by what.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} {rule}", .field.unwrap_or("a value"))]
pub struct RuleBroken {
    /// The field it is about, where that is known.
    pub field: Option<&'static str>,
    pub rule: Invalid,
    #[source]
    pub source: Source,
}
