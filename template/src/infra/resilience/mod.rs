//! Pieces that keep one failing part from failing the rest.

mod breaker;

pub use breaker::{Breaker, BreakerSettings, BreakerState, Permit};
