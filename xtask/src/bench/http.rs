//! `cargo xtask bench --http`: a cached page and an asset, with everything on, against a bare axum route and nginx with the
//! same bytes.
//!
//! One core for the server, one for the load generator, keep-alive, 64 connections. The servers take turns, several times
//! over, and what counts is the median of the ratios within a turn: a machine that is busy slows all of them down.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use crate::demo;
use crate::postgres::free_port;
use crate::process;
use crate::repo;
use crate::service::{self, Service};
use crate::tools;

const NAME: &str = "axle-bench";

/// Bytes of the page.
const PAGE: usize = 4096;

/// Turns that count; one more goes before them.
const TURNS: usize = 7;

const WRK: [&str; 3] = ["-t1", "-c64", "-d3s"];

const PATIENCE: Duration = Duration::from_secs(10);

/// A route that returns bytes, as axum's documentation has it.
const BARE_MANIFEST: &str = r#"[package]
name = "bare-axum"
version = "0.0.0"
edition = "2024"

[dependencies]
axum = { version = "0.8", default-features = false, features = ["http1", "tokio"] }
tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }

[profile.release]
lto = "thin"
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

/// One of the servers that are compared.
pub(super) struct Contender {
    name: &'static str,
    pub address: String,
    pub path: String,
    pid: u32,
    /// Held for its end; the service outlives the rounds.
    _server: Option<Stopped>,
    turns: Vec<Turn>,
}

impl Contender {
    pub fn of_service(name: &'static str, service: &Service, path: &str) -> Self {
        Self {
            name,
            address: service.address.clone(),
            path: path.to_owned(),
            pid: service.pid(),
            _server: None,
            turns: Vec::new(),
        }
    }
}

/// A process that is stopped with what holds it.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        process::terminate(Pid::from_child(&self.0));
        let _ = self.0.wait();
    }
}

#[derive(Clone, Copy)]
struct Turn {
    requests_per_second: f64,
    /// Of the server's processor time, for each request.
    micros: f64,
}

pub(super) fn need_tools() -> Result<()> {
    for tool in ["wrk", "taskset"] {
        ensure!(
            tools::on_path(&[tool]).is_some(),
            "{tool} is not installed; install it and try again"
        );
    }
    Ok(())
}

/// Measures and prints.
pub fn run() -> Result<()> {
    need_tools()?;
    let project = demo::generated(NAME)?;
    println!("Building for release; this takes some minutes …");
    process::run(service::cargo(&project).args(["build", "--release"]))?;
    let bare = build_bare(&project)?;

    let service = start_service(&project, &[])?;
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
        compare(&round, &service, &bare, &folder)?;
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

fn compare(round: &Round, service: &Service, bare: &Path, folder: &Path) -> Result<()> {
    let bytes = folder.join(round.file);
    fs::write(&bytes, &round.bytes)?;
    // nginx wants the file itself to be there too.
    fs::write(folder.join(format!("{}.gz", round.file)), &round.bytes)?;
    let mut contenders = vec![start_bare(bare, &bytes)?];
    contenders.push(Contender::of_service("the service", service, &round.path));
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

/// Measures and prints; the first is what the others are held against.
pub(super) fn take_turns(
    title: &str,
    contenders: &mut [Contender],
    accepted: Option<&str>,
) -> Result<()> {
    let servers = contenders.len();
    println!("Measuring {title}; {servers} servers take {TURNS} turns …");
    for turn in 0..=TURNS {
        for contender in contenders.iter_mut() {
            let measured = measure(contender, accepted)?;
            if turn > 0 {
                contender.turns.push(measured);
            }
        }
    }
    print(title, contenders);
    Ok(())
}

fn print(title: &str, contenders: &[Contender]) {
    println!(
        "\n| {title}: one core, 64 connections | requests/s | against the first | CPU a request |\n|---|---|---|---|"
    );
    let base = &contenders[0].turns;
    for Contender { name, turns, .. } in contenders {
        let each = |of: fn(&Turn) -> f64| median(turns.iter().map(of).collect());
        let ratios = turns.iter().zip(base);
        let ratio = median(
            ratios
                .map(|(own, bare)| own.requests_per_second / bare.requests_per_second)
                .collect(),
        );
        println!(
            "| {name} | {:.0} | {:.0}% | {:.1} µs |",
            each(|turn| turn.requests_per_second),
            ratio * 100.0,
            each(|turn| turn.micros)
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Builds the bare route with the versions that the service was built with.
fn build_bare(project: &Path) -> Result<PathBuf> {
    let folder = repo::target().join("bare-axum");
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), BARE_MANIFEST)?;
    fs::write(folder.join("src/main.rs"), BARE_MAIN)?;
    fs::copy(project.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    process::run(service::cargo(&folder).args(["build", "--release"]))?;
    Ok(service::binary("bare-axum", "release"))
}

/// The service as it runs in production, on the first core.
pub(super) fn start_service(project: &Path, more: &[(&str, &str)]) -> Result<Service> {
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
    let location = created
        .head
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .context("the article was not written")?;
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

pub(super) fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

pub(super) fn contender(
    name: &'static str,
    port: u16,
    path: &str,
    mut command: Command,
) -> Result<Contender> {
    let server = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    Ok(Contender {
        name,
        address: format!("127.0.0.1:{port}"),
        path: path.to_owned(),
        pid: server.id(),
        _server: Some(Stopped(server)),
        turns: Vec::new(),
    })
}

fn measure(contender: &Contender, accepted: Option<&str>) -> Result<Turn> {
    let url = format!("http://{}{}", contender.address, contender.path);
    let before = cpu_micros(contender.pid)?;
    let mut wrk = Command::new("taskset");
    wrk.args(["-c", "1", "wrk"]).args(WRK);
    if let Some(accepted) = accepted {
        wrk.args(["-H", &format!("Accept-Encoding: {accepted}")]);
    }
    let output = process::capture(wrk.arg(url))?;
    let spent = cpu_micros(contender.pid)? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |after: &str| -> Option<f64> {
        text.split(after)
            .nth(1)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    ensure!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{} failed under load:\n{text}",
        contender.name
    );
    let requests: Option<f64> = text
        .lines()
        .find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    Ok(Turn {
        requests_per_second: number("Requests/sec:").context("wrk does not say how fast it was")?,
        micros: spent / requests.context("wrk does not say how many requests it sent")?,
    })
}

/// The processor time that a process and its children have taken so far.
fn cpu_micros(pid: u32) -> Result<f64> {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok());
    let mut ticks = 0;
    for pid in children.chain([pid]) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat
            .rsplit_once(") ")
            .context("an unknown form of /proc/PID/stat")?;
        let times = fields.split(' ').skip(11).take(2);
        ticks += times
            .filter_map(|time| time.parse::<u32>().ok())
            .sum::<u32>();
    }
    // Linux reports hundredths of a second, whatever it counts in.
    Ok(f64::from(ticks) * 10_000.0)
}

pub(super) struct Answer {
    pub head: String,
    body: Vec<u8>,
}

/// One request on a connection of its own.
pub(super) fn send(
    address: &str,
    method: &str,
    path: &str,
    lines: &str,
    json: &str,
) -> Result<Answer> {
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
pub(super) fn wait_for(address: &str, path: &str, accepted: Option<&str>) -> Result<Vec<u8>> {
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
