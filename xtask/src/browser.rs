//! Shows generated services to a real browser; `tests/browser` has the scripts and says what is looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::accounts;
use crate::demo;
use crate::process;
use crate::repo;
use crate::service;
use crate::suite::{EMBED_ASSETS, Suite};
use crate::tools;

/// The default service: as visitors see it, as a developer sees it change, and what a first visit weighs.
pub fn pages(suite: &mut Suite) -> Result<()> {
    if !is_ready(suite)? {
        return Ok(());
    }
    let name = "axle-browser";
    let project = demo::generated(name)?;
    let service = demo::built_and_started(name, &project)?;
    service.authorization()?; // adds the account
    let address = format!("http://{}", service.address);
    let mut check = script("check.mjs", [&address, &screenshots(name)]);
    check.envs(accounts::CREDENTIALS);
    suite.check(check)?;
    drop(service);

    let binary = service::binary(name, "debug").display().to_string();
    let folder = project.display().to_string();
    let mut development = script("development.mjs", [&folder, &binary]);
    development
        .args(["cargo", "build"])
        .env("CARGO_TARGET_DIR", repo::services_target());
    suite.check(development)?;

    // The sizes are those of a release: its assets, its pages, and the same encoders at the same levels.
    process::run(service::cargo(&project).arg("build").env(EMBED_ASSETS, "1"))?;
    let service = demo::start(name, &project)?;
    let address = format!("http://{}", service.address);
    suite.check(script("budget.mjs", [&address]))
}

/// A service with the feature `pwa`, before and after a deployment.
pub fn offline(suite: &mut Suite) -> Result<()> {
    if !is_ready(suite)? {
        return Ok(());
    }
    let name = "axle-offline";
    let project = demo::generated_with(name, &[("features", "auth,pwa")])?;
    let older = built_release_assets(name, &project, "older")?;
    process::run(service::command(&older, &project).arg("seed"))?;
    let styles = project.join("assets/app.css");
    let text = fs::read_to_string(&styles).context("the stylesheet is gone")?;
    fs::write(&styles, text + "main { padding-block-end: 1px; }\n")?;
    let newer = built_release_assets(name, &project, "newer")?;
    let paths = [&project, &older, &newer].map(|path| path.display().to_string());
    let [project, older, newer] = &paths;
    suite.check(script(
        "offline.mjs",
        [project, older, newer, &screenshots(name)],
    ))
}

/// Checks, tests and builds the single-page application as its users do, and shows it.
pub fn application(suite: &mut Suite) -> Result<()> {
    if !is_ready(suite)? {
        return Ok(());
    }
    let name = "axle-spa";
    let project = demo::generated_with(name, &[("frontend", "spa")])?;
    let folder = project.join("frontend");
    process::run(&mut tools::npm_ci(&folder))?;
    for script in ["check", "test", "build"] {
        let mut npm = Command::new("npm");
        npm.args(["run", script]).current_dir(&folder);
        suite.check(npm)?;
    }
    let service = demo::built_and_started(name, &project)?;
    service.authorization()?; // adds the account
    let address = format!("http://{}", service.address);
    let mut check = script("spa.mjs", [&address, &screenshots(name)]);
    check.envs(accounts::CREDENTIALS);
    suite.check(check)
}

/// What there is to see of a service without pages.
pub fn viewer(suite: &mut Suite) -> Result<()> {
    if !is_ready(suite)? {
        return Ok(());
    }
    let name = "axle-viewer";
    let project = demo::generated_with(name, &[("frontend", "none")])?;
    let service = demo::built_and_started(name, &project)?;
    let address = format!("http://{}", service.address);
    suite.check(script("viewer.mjs", [&address, &screenshots(name)]))
}

/// Builds the project with the assets of a release, and keeps the binary under another name.
fn built_release_assets(name: &str, project: &Path, kept_as: &str) -> Result<PathBuf> {
    process::run(service::cargo(project).arg("build").env(EMBED_ASSETS, "1"))?;
    let kept = project.join(kept_as);
    fs::copy(service::binary(name, "debug"), &kept).context("the binary cannot be copied")?;
    Ok(kept)
}

/// Whether this machine has what a browser needs, or could be given it.
fn is_ready(suite: &mut Suite) -> Result<bool> {
    for program in ["node", "npm"] {
        if tools::on_path(&[program]).is_none() {
            suite.skip("browser", &format!("{program} is not installed"))?;
            return Ok(false);
        }
    }
    if tools::on_path(&["chromium", "google-chrome"]).is_none()
        && let Err(error) = tools::apt_install("chromium")
    {
        suite.skip("browser", &format!("{error:#}"))?;
        return Ok(false);
    }
    process::run(&mut tools::npm_ci(&scripts()))?;
    Ok(true)
}

fn scripts() -> PathBuf {
    repo::root().join("tests/browser")
}

fn script<const N: usize>(name: &str, arguments: [&String; N]) -> Command {
    let mut node = Command::new("node");
    node.arg(name).args(arguments).current_dir(scripts());
    node
}

fn screenshots(name: &str) -> String {
    let folder = repo::target().join("screenshots").join(name);
    folder.display().to_string()
}
