//! Where the template's repository is, and a copy of it as a clone would be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// The folder that holds `cargo-generate.toml`.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies one folder below the root")
}

/// Where everything built here goes; ignored by git.
#[must_use]
pub fn target() -> PathBuf {
    root().join("target")
}

/// The one target folder of the template in place and of every generated service, so that a dependency is compiled once.
#[must_use]
pub fn services_target() -> PathBuf {
    target().join("services")
}

/// Copies the repository without what git ignores, so that build results and local files never matter.
pub fn clean_copy() -> Result<TempDir> {
    let copy = tempfile::Builder::new()
        .prefix("axle-template")
        .tempdir()
        .context("cannot create a temporary folder for a copy of the template")?;
    for file in files()? {
        copy_file(&root().join(&file), &copy.path().join(&file))?;
    }
    Ok(copy)
}

/// Every tracked or new file of the repository that git does not ignore, relative to the root.
fn files() -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .context("cannot run git; install it to list the template's files")?;
    ensure!(
        output.status.success(),
        "git cannot list the template's files: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let listed = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(listed
        .split_terminator('\0')
        .map(PathBuf::from)
        .filter(|file| root().join(file).is_file()) // deleted, but not yet in the index
        .collect())
}

/// Copies one file with its permissions, making its folders.
pub fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Every file below `folder`, relative to it and sorted; `.git` is not looked into.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    visit(folder, &mut |path, is_folder| {
        if !is_folder {
            found.push(relative(path, folder));
        }
    })?;
    found.sort();
    Ok(found)
}

/// Every folder below `folder` that holds nothing, relative to it.
pub fn empty_folders_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    visit(folder, &mut |path, is_folder| {
        if is_folder {
            folders.push(path.to_owned());
        }
    })?;
    let mut empty = Vec::new();
    for path in folders {
        if fs::read_dir(&path)?.next().is_none() {
            empty.push(relative(&path, folder));
        }
    }
    Ok(empty)
}

fn relative(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder)
        .expect("found below the folder")
        .to_owned()
}

fn visit(folder: &Path, found: &mut dyn FnMut(&Path, bool)) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        if is_folder && entry.file_name() == ".git" {
            continue;
        }
        found(&entry.path(), is_folder);
        if is_folder {
            visit(&entry.path(), found)?;
        }
    }
    Ok(())
}
