//! The account that the proof and the benchmarks write articles with, where the service has accounts.

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::service;

/// What a service with accounts wants in production; and proofs sign in more often than people do.
pub const SETTINGS: [(&str, &str); 2] = [
    ("APP__AUTH__SECRET", "vT6mQ2xWk9Zr4LhN8sJd3FbY7cPg5AeU"),
    ("APP__AUTH__ATTEMPTS", "1000"),
];

const LOGIN: &str = "/api/v1/auth/login";
const EMAIL: &str = "writer@example.com";
const PASSWORD: &str = "correct horse battery staple";

/// What a check in a browser signs in with.
pub const CREDENTIALS: [(&str, &str); 2] = [("WRITER_EMAIL", EMAIL), ("WRITER_PASSWORD", PASSWORD)];

/// Whether the service has accounts: then it has a subcommand for them.
pub fn are_in(binary: &Path, folder: &Path) -> Result<bool> {
    let help = service::command(binary, folder)
        .args(["users", "--help"])
        .output();
    let help = help.with_context(|| format!("cannot start {}", binary.display()))?;
    Ok(help.status.success())
}

/// Somebody who may write. The account is made when there is something to write.
#[derive(Debug)]
pub struct Writer {
    add: RefCell<Command>,
}

impl Writer {
    /// Of a service that `command` would start, with the settings `env`.
    #[must_use]
    pub fn new(mut command: Command, env: &[(&str, &str)]) -> Self {
        command
            .args(["users", "add-admin", "--email", EMAIL])
            .envs(SETTINGS)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self {
            add: RefCell::new(command),
        }
    }

    /// The line in the head of a request that shows who sends it.
    pub fn sign_in(&self, address: &str) -> Result<String> {
        let mut child = self.add.borrow_mut().spawn()?;
        let mut input = child.stdin.take().context("the command has no input")?;
        input.write_all(PASSWORD.as_bytes())?;
        drop(input);
        // That an earlier start on the same database has added it is as good.
        child.wait()?;
        let credentials = format!(r#"{{"email":"{EMAIL}","password":"{PASSWORD}"}}"#);
        let answer = service::send(address, "POST", LOGIN, "", &credentials)?;
        let (_, rest) = answer
            .text
            .split_once(r#""access_token":""#)
            .with_context(|| format!("nobody can sign in: {}", answer.text))?;
        let token = rest.split('"').next().unwrap_or_default();
        Ok(format!("Authorization: Bearer {token}\r\n"))
    }
}
