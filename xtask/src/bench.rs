//! `cargo xtask bench`: how long generating, building and starting take, as a Markdown table.

mod assets;
mod cache;
mod edge;
mod http;
mod image;
mod load;
mod servers;
mod telemetry;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::demo;
use crate::generate::{self, Request, Tool};
use crate::process;
use crate::repo;
use crate::service::{self, Service};
use crate::tools;

const NAME: &str = "axle-bench";
/// What is edited.
const HANDLER: &str = "src/handlers/articles/mod.rs";
const RUNS: usize = 5;

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Options {
    /// Also measure a debug build from nothing (minutes)
    #[arg(long, conflicts_with = "alone")]
    cold: bool,
    /// Also measure the rebuild after an edited handler
    #[arg(long, conflicts_with = "alone")]
    incremental: bool,
    /// Measure only how fast a cached page is served, against bare axum and nginx; needs wrk, taskset and two quiet cores
    #[arg(long, group = "alone")]
    http: bool,
    /// Measure only what the cache costs beside what it is made of
    #[arg(long, group = "alone")]
    cache: bool,
    /// Measure only what the asset pipeline takes for two thousand files, and for one of them
    #[arg(long, group = "alone")]
    assets: bool,
    /// Measure only what everything around a handler costs; needs wrk, taskset and two quiet cores
    #[arg(long, group = "alone")]
    edge: bool,
    /// Measure only what the log and the traces cost; needs wrk, taskset and two quiet cores
    #[arg(long, group = "alone")]
    telemetry: bool,
    /// Measure only the image: what it weighs, and how long it takes to build and to start; needs root, and many minutes
    #[arg(long, group = "alone")]
    image: bool,
}

/// Measures and prints. A row is the median of five runs, but for the cold build, memory and size, which are read once.
pub fn run(options: &Options) -> Result<()> {
    if options.http {
        return http::run();
    }
    if options.cache {
        return cache::run();
    }
    if options.assets {
        return assets::run();
    }
    if options.edge {
        return edge::run();
    }
    if options.telemetry {
        return telemetry::run();
    }
    if options.image {
        return image::run();
    }
    let mut rows = vec![(
        "generate, cargo-generate as a library".to_owned(),
        generation(&Tool::Library)?,
    )];
    let oldest = Tool::Binary(tools::oldest_cargo_generate()?);
    rows.push((
        format!("generate, cargo-generate {}", tools::OLDEST),
        generation(&oldest)?,
    ));

    let project = demo::generated(NAME)?;
    if options.cold {
        rows.push(cold_build(&project)?);
    }
    if options.incremental {
        rows.push(incremental_build(&project)?);
    }
    println!("Building for release; this takes some minutes …");
    process::run(service::cargo(&project).args(["build", "--release"]))?;
    let binary = service::binary(NAME, "release");
    process::run(service::command(&binary, &project).arg("seed"))?;
    rows.push((
        "start to first 200, release".to_owned(),
        start(&binary, &project)?,
    ));
    rows.push((
        "idle memory (RSS) after one page, release".to_owned(),
        idle_memory(&binary, &project)?,
    ));
    let size = fs::metadata(&binary)?.len();
    rows.push((
        "binary, release".to_owned(),
        format!("{:.1} MiB", mebibytes(size)),
    ));

    println!("\n| measured | result |\n|---|---|");
    for (what, result) in rows {
        println!("| {what} | {result} |");
    }
    Ok(())
}

fn generation(tool: &Tool) -> Result<String> {
    let source = repo::clean_copy()?;
    median(|| {
        let into = TempDir::new().context("cannot create a temporary folder")?;
        let started = Instant::now();
        let request = Request {
            source: source.path(),
            into: into.path(),
            name: NAME,
            answers: &[],
        };
        generate::project(tool, request)?;
        Ok(started.elapsed())
    })
}

fn cold_build(project: &Path) -> Result<(String, String)> {
    let target = TempDir::new().context("cannot create a temporary folder")?;
    let started = Instant::now();
    let mut build = service::cargo(project);
    build.arg("build").env("CARGO_TARGET_DIR", target.path());
    process::run(&mut build)?;
    let took = started.elapsed();
    let crates = compiled_crates(project)?;
    let cores = thread::available_parallelism()?;
    Ok((
        format!("debug build from nothing, {crates} crates, {cores} cores"),
        format!("{:.0} s", took.as_secs_f32()),
    ))
}

/// The packages that a build for this machine compiles, the service included.
fn compiled_crates(project: &Path) -> Result<usize> {
    let mut tree = service::cargo(project);
    tree.args(["tree", "--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p}"]);
    let output = process::capture(&mut tree)?;
    let packages = String::from_utf8_lossy(&output.stdout);
    let packages = packages.lines().map(|line| line.trim_end_matches(" (*)"));
    Ok(packages.collect::<BTreeSet<_>>().len())
}

fn incremental_build(project: &Path) -> Result<(String, String)> {
    let handler = project.join(HANDLER);
    let source = fs::read_to_string(&handler).context("the handler to edit is gone")?;
    let build = || {
        let mut build = service::cargo(project);
        // As its owner builds it.
        build
            .args(["build", "--quiet"])
            .env("CARGO_INCREMENTAL", "1");
        process::run(&mut build)
    };
    build()?;
    let mut edits = 0;
    let took = median(|| {
        edits += 1;
        // A new item changes the crate's code; a comment would not.
        fs::write(
            &handler,
            format!("{source}\n#[doc(hidden)]\npub const EDIT: u32 = {edits};\n"),
        )?;
        let started = Instant::now();
        build()?;
        let mut service = Service::start(&service::binary(NAME, "debug"), project, &[])?;
        let took = started.elapsed();
        service.stop()?;
        Ok(took)
    })?;
    fs::write(&handler, source)?;
    Ok(("handler edited to first 200, debug".to_owned(), took))
}

fn start(binary: &Path, project: &Path) -> Result<String> {
    median(|| {
        let started = Instant::now();
        let mut service = Service::start(binary, project, &[("APP_ENV", "production")])?;
        let took = started.elapsed();
        service.stop()?;
        Ok(took)
    })
}

fn idle_memory(binary: &Path, project: &Path) -> Result<String> {
    let service = Service::start(binary, project, &[("APP_ENV", "production")])?;
    service.get("/")?;
    thread::sleep(Duration::from_secs(2));
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes: u64 = line
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .context("the system does not say how much memory a process uses")?;
    Ok(format!("{:.1} MiB", mebibytes(kibibytes * 1024)))
}

fn median(mut measure: impl FnMut() -> Result<Duration>) -> Result<String> {
    let mut times = (0..RUNS).map(|_| measure()).collect::<Result<Vec<_>>>()?;
    times.sort();
    let median = times[RUNS / 2];
    Ok(if median < Duration::from_secs(1) {
        format!("{} ms", median.as_millis())
    } else {
        format!("{:.1} s", median.as_secs_f32())
    })
}

#[expect(clippy::cast_precision_loss, reason = "rounded to a tenth when shown")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
