//! `cargo xtask bench --edge`: a route that reads one row, as the service serves it and as axum alone does; and what its log
//! costs.
//!
//! The same handler, the same database, the same machine: what differs is all that the service does around a handler.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::http::{
    Contender, contender, need_tools, pinned, send, start_service, take_turns, wait_for,
};
use crate::demo;
use crate::postgres::free_port;
use crate::process;
use crate::repo;
use crate::service;

const NAME: &str = "axle-bench";

/// On, like everything else, but for what one client alone would reach.
const LIMITS: [(&str, &str); 2] = [
    ("APP__RATE_LIMIT__REQUESTS", "1000000"),
    ("APP__RATE_LIMIT__BURST", "1000000"),
];

const MANIFEST: &str = r#"[package]
name = "bare-api"
version = "0.0.0"
edition = "2024"

[dependencies]
anyhow = "1"
axum = { version = "0.8", default-features = false, features = ["http1", "tokio"] }
app = { package = "axle-bench", path = "../axle-bench" }
tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }

[profile.release]
lto = "thin"
codegen-units = 1
strip = "symbols"

[workspace]
"#;

/// The routes of the sample as they are, without anything around them.
const MAIN: &str = r#"use app::domain::clock::Clock;
use app::platform::Platform;
use axum::Router;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap().parse()?;
    let platform = Platform::connect(app::settings::load(None)?.settings, Clock::system()).await?;
    let articles = app::infra::articles::service(&platform);
    let (api, _) = app::handlers::articles::component(articles).api.split_for_parts();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, Router::new().nest("/api/v1", api)).await?;
    Ok(())
}
"#;

/// Measures and prints.
pub fn run() -> Result<()> {
    need_tools()?;
    let project = demo::generated(NAME)?;
    println!("Building for release; this takes some minutes …");
    process::run(service::cargo(&project).args(["build", "--release"]))?;
    let bare = build_bare(&project)?;

    let full = start_service(&project, &LIMITS)?;
    let silent = [&LIMITS[..], &[("APP__LOG__LEVEL", "off")]].concat();
    let silent = start_service(&project, &silent)?;
    let article = r#"{"title":"A row","status":"published","body":"Some text."}"#;
    let authorization = full.authorization()?;
    let created = send(
        &full.address,
        "POST",
        "/api/v1/articles",
        authorization,
        article,
    )?;
    let path = created
        .head
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .context("the article was not written")?;

    let port = free_port()?;
    let mut alone = pinned(&bare);
    alone
        .arg(port.to_string())
        .current_dir(&project)
        .env("APP_ENV", "test");
    let mut contenders = [
        contender("the handler alone, in axum", port, path, alone)?,
        Contender::of_service("the service", &full, path),
        Contender::of_service("the service, without its log", &silent, path),
    ];
    let first = wait_for(&contenders[0].address, path, None)?;
    for contender in &contenders {
        let body = wait_for(&contender.address, path, None)?;
        ensure!(body == first, "two servers do not send the same");
    }
    take_turns("an article as JSON, from SQLite", &mut contenders, None)
}

/// Builds the handler alone with the versions that the service was built with.
fn build_bare(project: &Path) -> Result<PathBuf> {
    let folder = repo::target().join("bare-api");
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), MANIFEST)?;
    fs::write(folder.join("src/main.rs"), MAIN)?;
    fs::copy(project.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    process::run(service::cargo(&folder).args(["build", "--release"]))?;
    Ok(service::binary("bare-api", "release"))
}
