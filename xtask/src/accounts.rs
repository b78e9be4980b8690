//! The account that the proof and the benchmarks write articles with, where the service has accounts.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::service;

/// What a service with accounts wants in production.
pub const SETTINGS: [(&str, &str); 1] = [("APP__AUTH__SECRET", "vT6mQ2xWk9Zr4LhN8sJd3FbY7cPg5AeU")];

pub const LOGIN: &str = "/api/v1/auth/login";
pub const EMAIL: &str = "writer@example.com";
pub const PASSWORD: &str = "correct horse battery staple";

/// Whether the service has accounts: then it has a subcommand for them.
pub fn are_in(binary: &Path, folder: &Path) -> Result<bool> {
    let help = service::command(binary, folder).args(["users", "--help"]).output();
    let help = help.with_context(|| format!("cannot start {}", binary.display()))?;
    Ok(help.status.success())
}

/// The command that adds the account to a service with the settings `env`.
pub fn add(mut command: Command, env: &[(&str, &str)]) -> Command {
    command
        .args(["users", "add-admin", "--email", EMAIL])
        .envs(SETTINGS)
        .envs(env.iter().copied());
    command
}

/// Runs it; that an earlier start has added the account is as good.
pub fn run(add: &mut Command) -> Result<()> {
    let mut child = add
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().context("the command has no input")?;
    input.write_all(PASSWORD.as_bytes())?;
    drop(input);
    child.wait()?;
    Ok(())
}

/// What signs in.
pub fn credentials() -> String {
    format!(r#"{{"email":"{EMAIL}","password":"{PASSWORD}"}}"#)
}

/// The line that shows the access token of an answer.
pub fn authorization(answer: &str) -> Result<String> {
    let (_, rest) = answer
        .split_once(r#""access_token":""#)
        .with_context(|| format!("no access token: {answer}"))?;
    let token = rest.split('"').next().unwrap_or_default();
    Ok(format!("Authorization: Bearer {token}\r\n"))
}
