//! `cargo xtask bench --http`: a cached page and an asset, with everything on, against a bare axum route and nginx with the
//! same bytes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::load::{Contender, contender, need_tools, pinned, take_turns};
use super::servers::{build_beside, released, send, start_service, wait_for};
use crate::postgres::free_port;
use crate::service::Service;

/// Bytes of the page.
const PAGE: usize = 4096;

/// A route that returns bytes, as axum's documentation has it.
const BARE_MANIFEST: &str = r#"[package]
name = "bare-axum"
version = "0.0.0"
edition = "2024"

[dependencies]
axum = { version = "0.8", default-features = false, features = ["http1", "tokio"] }
tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }

[profile.release]
lto = "fat"
codegen-units = 1

[workspace]
"#;

const BARE_MAIN: &str = r#"use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, routing::get};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().unwrap().parse().unwrap();
    let page = Bytes::from(std::fs::read(arguments.next().unwrap()).unwrap());
    let page = || async move { ([(CONTENT_TYPE, "text/html; charset=utf-8")], page) };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    axum::serve(listener, Router::new().route("/page.html", get(page))).await.unwrap();
}
"#;

/// What is measured: the same bytes from every server.
struct Round {
    title: &'static str,
    /// Where the service has it.
    path: String,
    /// Sent with each request.
    accepted: Option<&'static str>,
    bytes: Vec<u8>,
    /// The file that nginx is asked for.
    file: &'static str,
}

/// Measures and prints.
pub fn run() -> Result<()> {
    need_tools()?;
    let project = released(&[])?;
    let bare = build_beside(&project, "bare-axum", BARE_MANIFEST, BARE_MAIN)?;

    // The links of a page do not tell one server from another.
    let address = ("APP__SERVER__PUBLIC_URL", "https://example.com");
    let service = start_service(&project, &[address])?;
    let silent = start_service(&project, &[address, ("APP__LOG__LEVEL", "off")])?;
    let folder = project.join("bench");
    fs::create_dir_all(&folder)?;
    let rounds = [
        Round {
            title: "a page in memory",
            path: "/articles/bench".to_owned(),
            accepted: None,
            bytes: make_page(&service.address, service.authorization()?)?,
            file: "page.html",
        },
        asset(&service.address)?,
    ];
    for round in rounds {
        compare(&round, [&service, &silent], &bare, &folder)?;
    }
    Ok(())
}

/// The stylesheet, as it is compressed.
fn asset(address: &str) -> Result<Round> {
    let page = wait_for(address, "/", None)?;
    let page = String::from_utf8_lossy(&page);
    let is_style =
        |part: &&str| part.starts_with("/assets/") && part.strip_suffix(".css").is_some();
    let path = page.split('"').find(is_style);
    let path = path.context("the front page has no stylesheet")?.to_owned();
    // Of those that nginx can have beside a file as it comes.
    let accepted = Some("gzip");
    Ok(Round {
        title: "an asset, compressed",
        bytes: wait_for(address, &path, accepted)?,
        path,
        accepted,
        file: "asset.css",
    })
}

fn compare(
    round: &Round,
    [service, silent]: [&Service; 2],
    bare: &Path,
    folder: &Path,
) -> Result<()> {
    let bytes = folder.join(round.file);
    fs::write(&bytes, &round.bytes)?;
    // nginx wants the file itself to be there too.
    fs::write(folder.join(format!("{}.gz", round.file)), &round.bytes)?;
    let mut contenders = vec![start_bare(bare, &bytes)?];
    for (name, service) in [
        ("the service", service),
        ("the service, with its log off", silent),
    ] {
        contenders.push(Contender::of_service(name, service, &round.path));
    }
    match start_nginx(folder, round.file)? {
        Some(nginx) => contenders.push(nginx),
        None => println!("Skipped: nginx is not installed."),
    }
    for contender in &contenders {
        let body = wait_for(&contender.address, &contender.path, round.accepted)?;
        let name = contender.name;
        ensure!(body == round.bytes, "{name} does not send the same");
    }
    let title = format!("{}, {} bytes", round.title, round.bytes.len());
    take_turns(&title, &mut contenders, round.accepted)
}

/// Writes an article whose page has exactly [`PAGE`] bytes.
fn make_page(address: &str, authorization: &str) -> Result<Vec<u8>> {
    let article = |length: usize| {
        format!(
            r#"{{"title":"A page","slug":"bench","status":"published","body":"{}"}}"#,
            "x".repeat(length)
        )
    };
    let first = 1000;
    let created = send(
        address,
        "POST",
        "/api/v1/articles",
        authorization,
        &article(first),
    )?;
    let location = created.location()?;
    let length = wait_for(address, "/articles/bench", None)?.len();
    let body = (first + PAGE)
        .checked_sub(length)
        .context("the frame of a page alone is too long")?;
    send(address, "PUT", location, authorization, &article(body))?;
    let page = wait_for(address, "/articles/bench", None)?;
    ensure!(page.len() == PAGE, "the page has {} bytes", page.len());
    Ok(page)
}

fn start_bare(binary: &Path, bytes: &Path) -> Result<Contender> {
    let port = free_port()?;
    let mut command = pinned(binary);
    command.arg(port.to_string()).arg(bytes);
    contender("a bare axum route", port, "/page.html", command)
}

/// nginx as a package sets it up: the file from disk, a line in the access log for each request.
fn start_nginx(folder: &Path, served: &str) -> Result<Option<Contender>> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = format!("{path}:/usr/sbin").leak();
    let Some(nginx) = std::env::split_paths(folders)
        .map(|folder| folder.join("nginx"))
        .find(|nginx| nginx.is_file())
    else {
        return Ok(None);
    };
    let port = free_port()?;
    let here = folder.display();
    let configuration = format!(
        "daemon off; worker_processes 1; pid {here}/nginx.pid; error_log {here}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  types {{ text/html html; text/css css; }}\n  gzip_static on; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n  \
         access_log {here}/access.log combined;\n  server {{ listen 127.0.0.1:{port}; root {here}; }}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = pinned(&nginx);
    command.arg("-c").arg(file);
    let path = format!("/{served}");
    contender("nginx with its access log", port, &path, command).map(Some)
}
