//! Programs a fresh machine lacks: each is found, or installed, or named in one sentence.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::repo;

/// The oldest cargo-generate the template supports; it is tested as a binary, the newest as a library.
pub const OLDEST: &str = "0.23.14";

/// The oldest supported cargo-generate: from the `PATH`, from an earlier run, or installed now.
pub fn oldest_cargo_generate() -> Result<PathBuf> {
    let own = repo::target().join("tools");
    let installed = own.join("bin/cargo-generate");
    for candidate in [Path::new("cargo-generate"), &installed] {
        if version(candidate).as_deref() == Some(OLDEST) {
            return Ok(candidate.to_owned());
        }
    }
    install("cargo-generate", OLDEST)?;
    Ok(installed)
}

/// cargo-machete, in the version that the projects install with `scripts/tool`.
pub fn cargo_machete() -> Result<PathBuf> {
    let installed = repo::target().join("tools/bin/cargo-machete");
    if !installed.is_file() {
        let versions = fs::read_to_string(repo::root().join("template/scripts/tool"))?;
        let version = versions.split_once("cargo-machete) version=");
        let version = version.and_then(|(_, after)| after.split_whitespace().next());
        let version = version.context("scripts/tool names no version of cargo-machete")?;
        install("cargo-machete", version)?;
    }
    Ok(installed)
}

/// Installs a program of cargo's into `target/tools`.
fn install(name: &str, version: &str) -> Result<()> {
    eprintln!("Installing {name} {version} into target/tools; this takes some minutes, once.");
    let mut install = process::cargo();
    install
        .args([
            "install",
            &format!("{name}@{version}"),
            "--locked",
            "--debug",
            "--root",
        ])
        .arg(repo::target().join("tools"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("CARGO_TARGET_DIR"); // a temporary folder, gone when it is done
    process::run(&mut install)
}

fn version(binary: &Path) -> Option<String> {
    let output = Command::new(binary)
        .args(["generate", "--version"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().last().map(str::to_owned)
}

/// The first of `names` that is on the `PATH`.
#[must_use]
pub fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|candidate| candidate.is_file())
}

/// Installs a Debian package, or says how to.
pub fn apt_install(package: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() || on_path(&["apt-get"]).is_none() {
        bail!(
            "{package} is not installed and cannot be installed from here; install it and try again"
        );
    }
    eprintln!("Installing {package} with apt-get; this takes about a minute, once.");
    process::run(Command::new("apt-get").args(["update", "-qq"]))?;
    process::run(
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends", package])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Installs what the `package-lock.json` in `folder` names.
#[must_use]
pub fn npm_ci(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder);
    npm
}
