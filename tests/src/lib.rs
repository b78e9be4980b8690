//! What the proof's tests share: a template to generate from, both releases of cargo-generate, a place to generate into.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use xtask::generate::{self, Request, Tool};
use xtask::process;
use xtask::repo;
use xtask::suite::CARGO_GENERATE;
use xtask::tools;

/// A template to generate from and a folder to generate into, both outside the repository and both gone afterwards.
#[derive(Debug)]
pub struct Workshop {
    source: TempDir,
    output: TempDir,
}

impl Workshop {
    /// A copy of the repository as a clone would be, and an empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            source: repo::clean_copy().expect("the repository can be copied"),
            output: TempDir::new().expect("a temporary folder can be made"),
        }
    }

    /// The copy of the template.
    #[must_use]
    pub fn source(&self) -> &Path {
        self.source.path()
    }

    /// Where projects go.
    #[must_use]
    pub fn output(&self) -> &Path {
        self.output.path()
    }

    /// Generates `name` with `answers` and the defaults for the rest.
    pub fn generate(&self, tool: &Tool, name: &str, answers: &[(&str, &str)]) -> Result<PathBuf> {
        let answers: Vec<_> = answers
            .iter()
            .map(|(option, answer)| ((*option).to_owned(), (*answer).to_owned()))
            .collect();
        let request = Request {
            source: self.source(),
            into: self.output(),
            name,
            answers: &answers,
        };
        generate::project(tool, request)
    }
}

impl Default for Workshop {
    fn default() -> Self {
        Self::new()
    }
}

/// The oldest supported cargo-generate: the suite's, or one that is found or installed now.
#[must_use]
pub fn oldest() -> PathBuf {
    match env::var_os(CARGO_GENERATE) {
        Some(path) => path.into(),
        None => tools::oldest_cargo_generate().expect("cargo-generate can be installed"),
    }
}

/// Both releases, with a name for messages.
#[must_use]
pub fn releases() -> [(&'static str, Tool); 2] {
    [
        (tools::OLDEST, Tool::Binary(oldest())),
        ("the newest", Tool::Library),
    ]
}

/// Makes a git repository of `folder` with everything in it committed.
pub fn commit_all(folder: &Path) -> Result<()> {
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=Axle", "-c", "user.email=axle@example.com"];
        process::capture(
            Command::new("git")
                .args(identity)
                .args(args)
                .current_dir(folder),
        )
    };
    git(&["init", "--quiet"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message", "as it is"])?;
    Ok(())
}

/// Writes `text` to a file, making its folders.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Fails unless both folders hold the same files with the same bytes.
pub fn assert_same_files(one: &Path, other: &Path) -> Result<()> {
    let files = repo::files_below(one)?;
    let (left, right) = (one.display(), other.display());
    ensure!(
        files == repo::files_below(other)?,
        "{left} and {right} list different files"
    );
    for file in files {
        let same = fs::read(one.join(&file))? == fs::read(other.join(&file))?;
        ensure!(
            same,
            "{} differs between {left} and {right}",
            file.display()
        );
    }
    Ok(())
}
