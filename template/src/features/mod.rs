//! Optional slices: each is a folder here and a line in `app.rs`; delete both to be rid of it.

pub mod pages;
