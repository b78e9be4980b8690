//! Articles: what they are, what may be done to them, and what the rest of the service may ask for.

mod commands;
mod entity;
mod error;
mod markdown;
mod repository;
mod samples;
mod service;
mod values;

pub use commands::{Address, ArticleContent, ArticleQuery, Cursor, Slice, Sort};
pub use entity::{Article, ArticleId, Status, Version};
pub use error::{ArticleError, RepositoryError};
pub use markdown::Markdown;
pub use repository::ArticleRepository;
pub use samples::add_samples;
pub use service::{ArticleService, events};
pub use values::{Slug, Summary, Tag, Tags, Title};
