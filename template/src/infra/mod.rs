//! The outside world: databases and caches, behind what the domain asks for.

pub mod articles;
pub mod cache;
pub mod db;
pub mod error_reports;
pub mod outbound;
pub mod rate_limit;
pub mod resilience;
