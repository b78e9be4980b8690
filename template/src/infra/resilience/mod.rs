//! Pieces that keep one failing part from failing the rest.

mod breaker;
mod retry;

pub use breaker::{Breaker, BreakerSettings, BreakerState, Permit};
pub use retry::{Backoff, retry};
pub(super) use retry::{count, count_from_now};
