//! `cargo xtask bench --edge`: routes that ask the database, as the service serves them and as axum alone does; and what the
//! log costs.
//!
//! The same handlers, the same database, the same machine: what differs is all that the service does around a handler.

use anyhow::{Result, ensure};

use super::load::{Contender, contender, need_tools, pinned, take_turns};
use super::servers::{build_beside, released, send, start_service, wait_for};
use crate::postgres::free_port;
use crate::service::Service;

/// Everything is on, but the limits are beyond what one client alone reaches, and each page is made anew.
const SETTINGS: [(&str, &str); 3] = [
    ("APP__RATE_LIMIT__REQUESTS", "1000000"),
    ("APP__RATE_LIMIT__BURST", "1000000"),
    ("APP__CACHE__READ_ENABLED", "false"),
];

/// As many as a list shows.
const ARTICLES: usize = 20;

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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap().parse()?;
    let platform = Platform::connect(app::settings::load(None)?.settings, Clock::system()).await?;
    let articles = app::infra::articles::service(&platform);
    let (api, _) = app::handlers::articles::component(articles.clone()).api.split_for_parts();
    let pages = app::features::pages::articles::component(articles, &platform).pages;
    let (pages, _) = pages.into_parts();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, pages.nest("/api/v1", api)).await?;
    Ok(())
}
"#;

/// Measures and prints.
pub fn run() -> Result<()> {
    need_tools()?;
    let project = released()?;
    let bare = build_beside(&project, "bare-api", MANIFEST, MAIN)?;

    let full = start_service(&project, &SETTINGS)?;
    let silent = [&SETTINGS[..], &[("APP__LOG__LEVEL", "off")]].concat();
    let silent = start_service(&project, &silent)?;
    let article = write_articles(&full)?;
    let rounds = [
        ("an article as JSON, one row", article.as_str()),
        ("a list of articles as JSON", "/api/v1/articles?limit=20"),
        ("a list of articles as a page", "/"),
    ];
    for (title, path) in rounds {
        let port = free_port()?;
        let mut alone = pinned(&bare);
        alone
            .arg(port.to_string())
            .current_dir(&project)
            .envs(SETTINGS)
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
        take_turns(title, &mut contenders, None)?;
    }
    Ok(())
}

/// The path of the last one.
fn write_articles(service: &Service) -> Result<String> {
    let mut path = String::new();
    for n in 0..ARTICLES {
        let article = format!(
            r#"{{"title":"Article {n}","summary":"Some words about it.","status":"published","body":"Some text."}}"#
        );
        let sent = send(
            &service.address,
            "POST",
            "/api/v1/articles",
            service.authorization()?,
            &article,
        )?;
        sent.location()?.clone_into(&mut path);
    }
    Ok(path)
}
