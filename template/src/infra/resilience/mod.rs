//! Pieces that keep one failing part from failing the rest.

mod breaker;
mod retry;

pub use breaker::{Breaker, BreakerSettings, BreakerState, Permit};
pub(super) use retry::count;
pub use retry::{Backoff, retry};
