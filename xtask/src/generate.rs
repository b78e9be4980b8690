//! Generates a project: with cargo-generate as a library, or with a released binary.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_generate::{GenerateArgs, TemplatePath, Vcs};

/// Which cargo-generate does the work.
#[derive(Debug, Clone)]
pub enum Tool {
    /// The newest, compiled into this crate.
    Library,
    /// A binary; the oldest supported one in the tests.
    Binary(PathBuf),
}

/// What to generate.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// A folder with `cargo-generate.toml`.
    pub source: &'a Path,
    /// The folder the project's own folder is made in.
    pub into: &'a Path,
    pub name: &'a str,
    /// Options that are not left to their defaults.
    pub answers: &'a [(String, String)],
}

/// Generates a project without asking anything and returns its folder. Git is not initialised.
pub fn project(tool: &Tool, request: Request<'_>) -> Result<PathBuf> {
    fs::create_dir_all(request.into)
        .with_context(|| format!("cannot create {}", request.into.display()))?;
    // The user's own cargo-generate settings may hold values; an empty file stands in for them.
    let settings = tempfile::NamedTempFile::new().context("cannot create a temporary file")?;
    match tool {
        Tool::Library => with_library(request, settings.path()),
        Tool::Binary(binary) => with_binary(binary, request, settings.path()),
    }
}

fn with_library(request: Request<'_>, settings: &Path) -> Result<PathBuf> {
    let source = request
        .source
        .to_str()
        .context("the template's path is not UTF-8")?;
    let args = GenerateArgs {
        template_path: TemplatePath {
            path: Some(source.to_owned()),
            ..TemplatePath::default()
        },
        name: Some(request.name.to_owned()),
        define: definitions(request.answers),
        destination: Some(request.into.to_owned()),
        config: Some(settings.to_owned()),
        vcs: Some(Vcs::None),
        silent: true,
        quiet: true,
        no_workspace: true,
        no_fmt: true, // what the template renders is what is proven
        ..GenerateArgs::default()
    };
    cargo_generate::generate(args)
}

fn with_binary(binary: &Path, request: Request<'_>, settings: &Path) -> Result<PathBuf> {
    let output = command(binary, request.into)
        .arg("--path")
        .arg(request.source)
        .args([
            "--name",
            request.name,
            "--silent",
            "--vcs",
            "none",
            "--no-workspace",
        ])
        .arg("--config")
        .arg(settings)
        .args(
            definitions(request.answers)
                .iter()
                .flat_map(|define| ["-d", define]),
        )
        .output()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let folder = request.into.join(request.name);
    ensure!(
        folder.is_dir(),
        "cargo-generate made no {}",
        folder.display()
    );
    Ok(folder)
}

/// `cargo-generate generate` run in `folder`, without colours and without the caller's wish for backtraces.
#[must_use]
pub fn command(binary: &Path, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .arg("generate")
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env_remove("RUST_BACKTRACE");
    command
}

fn definitions(answers: &[(String, String)]) -> Vec<String> {
    answers
        .iter()
        .map(|(name, answer)| format!("{name}={answer}"))
        .collect()
}

/// Whether a file may be executed; the template's scripts must stay so.
pub fn is_executable(path: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(file.metadata()?.permissions().mode() & 0o111 != 0)
}
