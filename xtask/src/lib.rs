//! The machinery behind `cargo xtask` and the tests: which file answers which question.
//!
//! - [`repo`]: where is the template, and what of it would a clone contain?
//! - [`template`]: what does `cargo-generate.toml` promise, and where are the markers?
//! - [`profiles`]: which combinations of answers must be proven?
//! - [`generate`]: how is a project generated, with the library or with the released binary?
//! - [`proof`]: what must be true of a rendered project?
//! - [`mutate`]: would the proof notice a broken marker?
//! - [`postgres`], [`redis`], [`service`]: the real servers and the real service the tests talk to.
//! - [`process`], [`tools`]: child processes, and the programs a fresh machine lacks.
//! - [`suite`], [`demo`], [`bench`]: the commands.

pub mod accounts;
pub mod bench;
pub mod demo;
pub mod generate;
pub mod mutate;
pub mod postgres;
pub mod process;
pub mod profiles;
pub mod proof;
pub mod redis;
pub mod repo;
pub mod service;
pub mod suite;
pub mod template;
pub mod tools;
