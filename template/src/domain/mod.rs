//! The rules of the service: what things are and what may happen to them. Imports nothing outward.

pub mod articles;
pub mod clock;
pub mod error;
pub mod events;
