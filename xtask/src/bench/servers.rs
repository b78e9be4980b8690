//! What the benchmarks over HTTP measure: the service, built and run as in production, a program beside it, and what is
//! sent to them before.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::demo;
use crate::process;
use crate::repo;
use crate::service::{self, Service};

const NAME: &str = "axle-bench";

const PATIENCE: Duration = Duration::from_secs(10);

/// The limits of a client are beyond what one alone reaches.
pub const UNLIMITED: [(&str, &str); 2] = [
    ("APP__RATE_LIMIT__REQUESTS", "1000000"),
    ("APP__RATE_LIMIT__BURST", "1000000"),
];

/// A project with these answers, and the defaults for the rest, built for release.
pub fn released(answers: &[(&str, &str)]) -> Result<PathBuf> {
    let project = demo::generated_with(NAME, answers)?;
    println!("Building for release; this takes some minutes …");
    process::run(service::cargo(&project).args(["build", "--release"]))?;
    Ok(project)
}

/// Builds a program beside the service, with the versions that the service was built with.
pub fn build_beside(project: &Path, name: &str, manifest: &str, main: &str) -> Result<PathBuf> {
    let folder = repo::target().join(name);
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("src/main.rs"), main)?;
    fs::copy(project.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    process::run(service::cargo(&folder).args(["build", "--release"]))?;
    Ok(service::binary(name, "release"))
}

/// The service as it runs in production, on the first core.
pub fn start_service(project: &Path, more: &[(&str, &str)]) -> Result<Service> {
    // A service is started by the path of its binary alone.
    let pinned = project.join("pinned.sh");
    let binary = service::binary(NAME, "release");
    fs::write(
        &pinned,
        format!(
            "#!/bin/sh\nexec taskset -c 0 '{}' \"$@\"\n",
            binary.display()
        ),
    )?;
    fs::set_permissions(&pinned, fs::Permissions::from_mode(0o755))?;
    let production = [
        ("APP_ENV", "production"),
        ("APP__SERVER__HOST", "127.0.0.1"),
    ];
    Service::start(&pinned, project, &[&production, more].concat())
}

pub struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Where what was written is.
    pub fn location(&self) -> Result<&str> {
        let mut lines = self.head.lines();
        lines
            .find_map(|line| line.strip_prefix("location: "))
            .context("nothing was written")
    }
}

/// One request on a connection of its own.
pub fn send(address: &str, method: &str, path: &str, lines: &str, json: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {lines}Content-Length: {}\r\n\r\n{json}",
        json.len()
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.with_context(|| format!("{address} does not speak HTTP"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    ensure!(
        head.starts_with("HTTP/1.1 2"),
        "{method} {path} was answered with\n{head}"
    );
    Ok(Answer {
        head,
        body: bytes.split_off(end + 4),
    })
}

/// What is at `path`, as soon as there is something.
pub fn wait_for(address: &str, path: &str, accepted: Option<&str>) -> Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let accepted = accepted.map(|coding| format!("Accept-Encoding: {coding}\r\n"));
    let accepted = accepted.unwrap_or_default();
    loop {
        match send(address, "GET", path, &accepted, "") {
            Ok(answer) => return Ok(answer.body),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Publishes a short article; the path of its JSON.
pub fn write_article(service: &Service, title: &str) -> Result<String> {
    let article = format!(
        r#"{{"title":"{title}","summary":"Some words about it.","status":"published","body":"Some text."}}"#
    );
    let authorization = service.authorization()?;
    let path = "/api/v1/articles";
    let written = send(&service.address, "POST", path, authorization, &article)?;
    Ok(written.location()?.to_owned())
}
