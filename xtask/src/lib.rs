//! The machinery behind `cargo xtask` and the tests: which file answers which question.
//!
//! - [`repo`]: where is the template, and what of it would a clone contain?
//! - [`template`]: what does `cargo-generate.toml` promise, and where are the markers?
//! - [`profiles`]: which combinations of answers must be proven?
//! - [`generate`]: how is a project generated, with the library or with the released binary?
//! - [`proof`]: what must be true of a rendered project?
//! - [`mutate`]: would the proof notice a broken marker?
//! - [`postgres`], [`redis`], [`service`]: the real servers and the real service the tests talk to.
//! - [`prometheus`], [`monitoring`]: what watches a service, and what its dashboards ask.
//! - [`ship`], [`image`]: do the scripts, workflows and manifests hold, and is the image small, without privileges, and serving?
//! - [`process`], [`tools`]: child processes, and the programs a fresh machine lacks.
//! - [`browser`]: what does a service look like in Chromium?
//! - [`suite`], [`demo`], [`bench`], [`release`]: the commands.

pub mod accounts;
pub mod bench;
pub mod browser;
pub mod contract;
pub mod demo;
pub mod generate;
pub mod image;
pub mod monitoring;
pub mod mutate;
pub mod postgres;
pub mod process;
pub mod profiles;
pub mod prometheus;
pub mod proof;
pub mod redis;
pub mod release;
pub mod repo;
pub mod service;
pub mod ship;
pub mod suite;
pub mod template;
pub mod tools;
