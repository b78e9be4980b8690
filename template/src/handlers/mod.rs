//! HTTP in, one call of the domain, HTTP out: one file or folder per noun.

pub mod articles;
pub mod operator;
pub mod system;
