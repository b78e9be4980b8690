//! A generated service with a single-page application that nobody has built.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;
use xtask::process;
use xtask::repo;
use xtask::service::Service;

use crate::Check;
use crate::service::{Generated, stops_cleanly};

/// What both say has to be done.
const WHAT_TO_RUN: &str = "npm ci && npm run build";

pub const OF_AN_APPLICATION: [(&str, Check); 2] = [
    ("says_that_its_application_is_not_built", says_so),
    ("is_no_release_without_its_application", is_no_release),
];

fn says_so(generated: &Generated) -> Result<()> {
    let folder = TempDir::new()?;
    let url = generated.new_database("not-built", folder.path())?;
    let env = [("DATABASE_URL", url.as_str())];
    let service = Service::start(&generated.binary()?, generated.project()?, &env)?;
    let answer = service.get("/")?;
    ensure!(answer.text.contains(WHAT_TO_RUN), "{}", answer.text);
    stops_cleanly(service)
}

/// Asks the build script, which a release build runs after all its dependencies are compiled.
fn is_no_release(generated: &Generated) -> Result<()> {
    generated.binary()?;
    let out = TempDir::new()?;
    let mut script = Command::new(build_script(&generated.name())?);
    script
        .current_dir(generated.project()?)
        .env("PROFILE", "release")
        .env("OUT_DIR", out.path());
    let output = process::output(&mut script)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains(WHAT_TO_RUN),
        "the build script ended with {} and said:\n{said}",
        output.status
    );
    Ok(())
}

/// The build script of the project called `name`, as cargo has compiled it.
fn build_script(name: &str) -> Result<PathBuf> {
    let builds = repo::services_target().join("debug/build");
    for entry in fs::read_dir(&builds)? {
        let folder = entry?;
        let is_its = folder
            .file_name()
            .to_string_lossy()
            .rsplit_once('-')
            .is_some_and(|(of, _)| of == name);
        let script = folder.path().join("build-script-main");
        if is_its && script.exists() {
            return Ok(script);
        }
    }
    bail!("{} has no build script of {name}", builds.display())
}
