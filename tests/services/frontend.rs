//! A generated service with a single-page application that nobody has built.

use anyhow::{Result, ensure};
use tempfile::TempDir;
use xtask::process;
use xtask::profiles::Profile;
use xtask::service::{self, Service};

use crate::Check;
use crate::service::{Generated, stops_cleanly};

/// What both say has to be done.
const WHAT_TO_RUN: &str = "npm ci && npm run build";

pub fn of(profile: &Profile) -> Vec<(&'static str, Check)> {
    // The other answers make no difference.
    if profile.name != "frontend-spa" {
        return Vec::new();
    }
    vec![
        ("says_that_its_application_is_not_built", says_so),
        ("is_no_release_without_its_application", is_no_release),
    ]
}

fn says_so(generated: &Generated) -> Result<()> {
    let folder = TempDir::new()?;
    let url = generated.new_database("not-built", folder.path())?;
    let env = [("DATABASE_URL", url.as_str())];
    let service = Service::start(&generated.binary()?, generated.project()?, &env)?;
    let answer = service.get("/")?;
    ensure!(answer.text.contains(WHAT_TO_RUN), "{}", answer.text);
    stops_cleanly(service)
}

fn is_no_release(generated: &Generated) -> Result<()> {
    let mut build = service::cargo(generated.project()?);
    let output = process::output(build.args(["build", "--release"]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains(WHAT_TO_RUN),
        "the release build ended with {} and said:\n{said}",
        output.status
    );
    Ok(())
}
