//! `cargo xtask bench --edge`: routes that ask the database, as the service serves them and as axum alone does; and what each
//! layer costs that can be switched off.
//!
//! The same handlers, the same database, the same machine: what differs is all that the service does around a handler.

use anyhow::{Result, ensure};

use super::load::{Contender, contender, need_tools, pinned, take_turns};
use super::servers::{UNLIMITED, build_beside, released, start_service, wait_for, write_article};
use crate::postgres::free_port;

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
lto = "fat"
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
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, pages.into_router().nest("/api/v1", api)).await?;
    Ok(())
}
"#;

/// Measures and prints.
pub fn run() -> Result<()> {
    need_tools()?;
    let project = released(&[])?;
    let bare = build_beside(&project, "bare-api", MANIFEST, MAIN)?;

    // Everything is on, each page is made anew, and its links do not tell one server from another.
    let own = [
        ("APP__CACHE__READ_ENABLED", "false"),
        ("APP__SERVER__PUBLIC_URL", "https://example.com"),
    ];
    let settings = [&UNLIMITED[..], &own].concat();
    let full = start_service(&project, &settings)?;
    let without = |off| start_service(&project, &[&settings[..], &[off]].concat());
    let silent = without(("APP__LOG__LEVEL", "off"))?;
    let generous = without(("APP__RATE_LIMIT__ENABLED", "false"))?;
    let roomy = without(("APP__SERVER__CONCURRENCY", "0"))?;
    let articles = (1..=ARTICLES).map(|n| write_article(&full, &format!("Article {n}")));
    let articles = articles.collect::<Result<Vec<_>>>()?;
    let rounds = [
        ("an article as JSON, one row", articles[0].as_str()),
        ("a list of articles as JSON", "/api/v1/articles?limit=20"),
        ("a list of articles as a page", "/"),
    ];
    for (title, path) in rounds {
        let port = free_port()?;
        let mut alone = pinned(&bare);
        alone
            .arg(port.to_string())
            .current_dir(&project)
            .envs(settings.iter().copied())
            .env("APP_ENV", "test");
        let mut contenders = vec![contender("the handler alone, in axum", port, path, alone)?];
        for (name, service) in [
            ("the service", &full),
            ("the service, with its log off", &silent),
            ("the service, with no limits of clients", &generous),
            ("the service, with no limit of what is done at once", &roomy),
        ] {
            contenders.push(Contender::of_service(name, service, path));
        }
        let first = wait_for(&contenders[0].address, path, None)?;
        for contender in &contenders {
            let body = wait_for(&contender.address, path, None)?;
            ensure!(body == first, "two servers do not send the same");
        }
        take_turns(title, &mut contenders, None)?;
    }
    Ok(())
}
