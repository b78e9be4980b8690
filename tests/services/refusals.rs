//! What a started service must survive or refuse with a sentence: a taken port, a broken cache, a database it cannot use.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use xtask::postgres::free_port;
use xtask::process;
use xtask::service::{self, Service};

use crate::Check;
use crate::service::Generated;

pub const OF_SQLITE: [(&str, Check); 3] = [
    ("refuses_a_port_in_use", refuses_a_port_in_use),
    (
        "refuses_a_file_that_is_no_database",
        refuses_a_file_that_is_no_database,
    ),
    ("starts_with_a_broken_cache", starts_with_a_broken_cache),
];

pub const OF_POSTGRES: [(&str, Check); 1] = [(
    "refuses_a_server_that_does_not_answer",
    refuses_a_server_that_does_not_answer,
)];

/// Runs the service in an empty folder until it gives up.
fn run_to_the_end(generated: &Generated, folder: &Path, env: &[(&str, &str)]) -> Result<Output> {
    let mut service = service::command(&generated.binary()?, folder);
    service
        .env("APP__OPERATOR__PORT", free_port()?.to_string())
        .env("APP__DATABASE__STARTUP_TIMEOUT", "1s")
        .envs(env.iter().copied());
    process::output_within(&mut service, Duration::from_secs(30))
}

fn refused_with(output: &Output, words: &str) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1),
        "it stopped with {}: {said}",
        output.status
    );
    ensure!(said.contains(words), "it does not say {words:?}: {said}");
    ensure!(!said.contains("panicked"), "it panicked: {said}");
    Ok(())
}

fn refuses_a_port_in_use(generated: &Generated) -> Result<()> {
    let folder = TempDir::new()?;
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let port = taken.local_addr()?.port().to_string();
    let output = run_to_the_end(generated, folder.path(), &[("PORT", &port)])?;
    refused_with(&output, &port)
}

fn refuses_a_file_that_is_no_database(generated: &Generated) -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("notes.txt");
    fs::write(&file, "These are notes, not a database. ".repeat(100))?;
    let url = format!("sqlite://{}", file.display());
    let port = free_port()?.to_string();
    let output = run_to_the_end(
        generated,
        folder.path(),
        &[("PORT", &port), ("DATABASE_URL", &url)],
    )?;
    refused_with(&output, "notes.txt")?;
    let kept = fs::read_to_string(&file)?;
    ensure!(kept.starts_with("These are notes"), "the file was changed");
    Ok(())
}

fn starts_with_a_broken_cache(generated: &Generated) -> Result<()> {
    let folder = TempDir::new()?;
    fs::create_dir_all(folder.path().join("data"))?;
    fs::write(folder.path().join("data/cache"), "no cache")?;
    let mut service = Service::start(&generated.binary()?, folder.path(), &[])?;
    let status = service.get("/")?.status;
    ensure!(status == 200, "/ answered {status}\n{}", service.log());
    let stopped = service.stop()?;
    ensure!(stopped.success(), "after SIGTERM: {stopped}");
    Ok(())
}

fn refuses_a_server_that_does_not_answer(generated: &Generated) -> Result<()> {
    let folder = TempDir::new()?;
    let (port, nobody) = (free_port()?.to_string(), free_port()?);
    let url = format!("postgres://someone:secret@127.0.0.1:{nobody}/app");
    let output = run_to_the_end(
        generated,
        folder.path(),
        &[("PORT", &port), ("DATABASE_URL", &url)],
    )?;
    refused_with(&output, &nobody.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!said.contains("secret"), "the password is shown: {said}");
    Ok(())
}
