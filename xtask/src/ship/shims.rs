//! Programs that stand in for those that need what is not here: a registry, a cluster, GitHub.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::tools;

/// A folder of them, in front of all other programs, and gone when dropped.
pub struct Shims {
    folder: TempDir,
}

impl Shims {
    pub fn new() -> Result<Self> {
        Ok(Self {
            folder: TempDir::new()?,
        })
    }

    /// Adds the program `name`, which is a script for `sh`.
    pub fn write(&self, name: &str, script: &str) -> Result<()> {
        let path = self.folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Adds the program `name`, which writes down what it is asked for and then does what `script` says.
    pub fn record(&self, name: &str, script: &str) -> Result<()> {
        let asked = self.folder.path().join(".asked");
        self.write(
            name,
            &format!("echo \"{name} $*\" >> {}\n{script}", asked.display()),
        )
    }

    /// What the programs that write it down were asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.folder.path().join(".asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }

    /// The `PATH` with them at its front.
    #[must_use]
    pub fn path(&self) -> String {
        let path = env::var("PATH").unwrap_or_default();
        format!("{}:{path}", self.folder.path().display())
    }

    /// Where the real program is.
    pub fn real(name: &str) -> Result<String> {
        let path = tools::on_path(&[name]).with_context(|| format!("{name} is not installed"))?;
        Ok(path.display().to_string())
    }
}
