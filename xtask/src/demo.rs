//! `cargo xtask demo`: the template's main promise, from one command to a site in the browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::generate::{self, Request, Tool};
use crate::process;
use crate::repo;
use crate::service::{self, Service};

const NAME: &str = "axle-demo";

/// Generates the default service, builds it, fills it with articles and serves it until interrupted.
pub fn run() -> Result<()> {
    let project = generated(NAME)?;
    let mut service = built_and_started(NAME, &project)?;
    println!();
    println!("  site       http://{}/", service.address);
    println!("  API docs   http://{}/api/docs", service.address);
    println!("  health     http://{}/health", service.address);
    println!("  metrics    http://{}/metrics", service.operator);
    println!("  project    {}", project.display());
    println!();
    println!("Ctrl-C stops it.");
    let status = service.wait()?;
    ensure!(
        status.success(),
        "the service stopped with {status}:\n{}",
        service.log()
    );
    println!("\nStopped.");
    Ok(())
}

/// The default project, fresh, in `target/<name>`.
pub fn generated(name: &str) -> Result<PathBuf> {
    generated_with(name, &[])
}

/// The same with `answers`, and the defaults for the rest.
pub fn generated_with(name: &str, answers: &[(&str, &str)]) -> Result<PathBuf> {
    let folder = repo::target().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let started = Instant::now();
    println!("Generating {name} …");
    let source = repo::clean_copy()?;
    let answers: Vec<_> = answers
        .iter()
        .map(|(option, answer)| ((*option).to_owned(), (*answer).to_owned()))
        .collect();
    let request = Request {
        source: source.path(),
        into: &repo::target(),
        name,
        answers: &answers,
    };
    let project = generate::project(&Tool::Library, request)?;
    println!("Generated in {:.1} s.", started.elapsed().as_secs_f32());
    Ok(project)
}

/// Builds a generated project, runs `seed` and starts it.
pub fn built_and_started(name: &str, project: &Path) -> Result<Service> {
    let started = Instant::now();
    println!("Building it; the first time this compiles every dependency and takes some minutes …");
    process::run(service::cargo(project).arg("build"))?;
    println!("Built in {:.1} s.", started.elapsed().as_secs_f32());
    let binary = service::binary(name, "debug");
    println!("Filling its database with articles …");
    process::run(service::command(&binary, project).arg("seed"))?;
    start(name, project)
}

/// Starts a project that is built and has its articles.
pub fn start(name: &str, project: &Path) -> Result<Service> {
    let started = Instant::now();
    println!("Starting it …");
    let service = Service::start(&service::binary(name, "debug"), project, &[])?;
    println!(
        "First answer after {:.0} ms.",
        started.elapsed().as_secs_f32() * 1000.0
    );
    Ok(service)
}
