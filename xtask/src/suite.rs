//! `cargo xtask test`: every check in order, with what it counted and what it could not do.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::NamedTempFile;

use crate::demo;
use crate::mutate;
use crate::postgres::Postgres;
use crate::process;
use crate::prometheus;
use crate::redis;
use crate::repo;
use crate::service;
use crate::tools;

/// Where a test finds the administration address of a PostgreSQL server.
pub const POSTGRES_URL: &str = "TEST_DATABASE_URL";
/// Where the proof finds the oldest supported cargo-generate.
pub const CARGO_GENERATE: &str = "AXLE_CARGO_GENERATE";
/// Where a test notes that this machine cannot run it.
const SKIPPED: &str = "AXLE_SKIPPED";

type Step = (&'static str, fn(&mut Suite) -> Result<()>);

const STEPS: [Step; 11] = [
    ("template tools: format", |suite| {
        suite.check(workspace("fmt --all --check"))
    }),
    ("template tools: clippy", |suite| {
        suite.check(workspace("clippy --workspace --all-targets -- -D warnings"))
    }),
    ("template in place: format", |suite| {
        suite.check(in_place("fmt --check"))
    }),
    ("template in place: clippy", |suite| {
        suite.check(in_place("clippy --all-targets -- -D warnings"))?;
        suite.check(in_place(
            "clippy --all-targets --features postgres -- -D warnings",
        ))
    }),
    ("template in place: tests on SQLite", |suite| {
        redis::server()?;
        suite.check(in_place("test"))
    }),
    ("template in place: tests on PostgreSQL", |suite| {
        redis::server()?;
        let mut test = in_place("test --features postgres");
        test.env(POSTGRES_URL, suite.postgres_url()?);
        suite.check(test)
    }),
    ("proof: every combination renders right", |suite| {
        let mut test = workspace("test --workspace --lib --bins --test proof");
        test.env(CARGO_GENERATE, tools::oldest_cargo_generate()?);
        suite.check(test)
    }),
    (
        "proof: every combination builds, tests and serves",
        |suite| {
            let mut test = workspace("test --package axle-tests --test services");
            test.env(CARGO_GENERATE, tools::oldest_cargo_generate()?);
            test.env(POSTGRES_URL, suite.postgres_url()?);
            suite.check(test)
        },
    ),
    ("monitoring: a real Prometheus and Alertmanager", |suite| {
        for name in ["prometheus", "promtool", "alertmanager", "amtool"] {
            prometheus::program(name)?;
        }
        suite.check(workspace("test --package axle-tests --test monitoring"))
    }),
    ("browser: the pages of the default service", pages),
    ("browser: the single-page application", application),
];

/// Runs the steps whose name contains `only`, or all, and fails if anything failed.
pub fn run(only: Option<&str>) -> Result<()> {
    let mut suite = Suite::new()?;
    let wanted = |name: &str| only.is_none_or(|text| name.contains(text));
    ensure!(
        STEPS.iter().any(|(name, _)| wanted(name)),
        "no step's name contains that text"
    );
    for (name, work) in STEPS.iter().filter(|(name, _)| wanted(name)) {
        println!("\n=== {name}");
        let (started, failed) = (Instant::now(), suite.failed);
        if let Err(error) = work(&mut suite) {
            process::check_interrupt()?;
            println!("{error:#}");
            suite.failures.push(name);
            // A step that could not even begin its checks has failed one.
            suite.failed = suite.failed.max(failed + 1);
        }
        let took = started.elapsed();
        println!("=== {name}: {:.1} s", took.as_secs_f32());
        suite.times.push((name, took));
    }
    suite.summary()
}

/// What has been counted so far, and the servers the steps share.
struct Suite {
    passed: u32,
    failed: u32,
    /// The steps that did not end well.
    failures: Vec<&'static str>,
    times: Vec<(&'static str, Duration)>,
    skipped: NamedTempFile,
    postgres: Option<Postgres>,
}

impl Suite {
    fn new() -> Result<Self> {
        Ok(Self {
            passed: 0,
            failed: 0,
            failures: Vec::new(),
            times: Vec::new(),
            skipped: NamedTempFile::new().context("cannot create a temporary file")?,
            postgres: None,
        })
    }

    /// Runs one command. What it reports as tests is counted as such, anything else as one check.
    fn check(&mut self, mut command: Command) -> Result<()> {
        command.env(SKIPPED, self.skipped.path());
        let (mut passed, mut failed) = (0, 0);
        let status = process::stream(&mut command, |line| {
            println!("{line}");
            if let Some((more, less)) = test_result(line) {
                passed += more;
                failed += less;
            }
        })?;
        if status.success() && passed == 0 {
            passed = 1;
        }
        if !status.success() && failed == 0 {
            failed = 1;
        }
        self.passed += passed;
        self.failed += failed;
        if !status.success() {
            bail!("`{}` failed", process::shown(&command));
        }
        Ok(())
    }

    /// The administration address of a PostgreSQL server that lives as long as the suite.
    fn postgres_url(&mut self) -> Result<String> {
        let postgres = match self.postgres.take() {
            Some(running) => running,
            None => Postgres::start()?,
        };
        let url = postgres.url("postgres");
        self.postgres = Some(postgres);
        Ok(url)
    }

    fn summary(self) -> Result<()> {
        let skipped = fs::read_to_string(self.skipped.path()).unwrap_or_default();
        println!("\n=== summary");
        for (name, took) in &self.times {
            let verdict = if self.failures.iter().any(|failure| failure == name) {
                "FAILED"
            } else {
                "ok"
            };
            println!("{:>7.1} s  {verdict:6} {name}", took.as_secs_f32());
        }
        for line in skipped.lines() {
            println!("skipped: {line}");
        }
        let total: Duration = self.times.iter().map(|(_, took)| *took).sum();
        println!(
            "{} passed, {} failed, {} skipped in {:.0} s",
            self.passed,
            self.failed,
            skipped.lines().count(),
            total.as_secs_f32()
        );
        if !self.failures.is_empty() {
            bail!(
                "{} of {} steps failed",
                self.failures.len(),
                self.times.len()
            );
        }
        Ok(())
    }
}

/// Notes that this machine cannot run the check called `name`; the summary lists it.
pub fn skip(name: &str, reason: &str) {
    let line = format!("{name}: {reason}");
    eprintln!("skipped: {line}");
    if let Some(path) = std::env::var_os(SKIPPED) {
        let written = OpenOptions::new()
            .append(true)
            .open(path)
            .and_then(|mut file| writeln!(file, "{line}"));
        written.expect("the suite made the file for this");
    }
}

/// The counts of a line like `test result: ok. 12 passed; 3 failed; …` or `12 passed, 3 failed`.
fn test_result(line: &str) -> Option<(u32, u32)> {
    let counts = match line.strip_prefix("test result: ") {
        Some(result) => result.split_once(". ")?.1,
        None => line,
    };
    let (passed, rest) = counts.split_once(" passed")?;
    let failed = rest.get(1..)?.trim_start().split_once(" failed")?.0;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// `cargo <words>` for xtask and the tests.
fn workspace(words: &str) -> Command {
    let mut command = process::cargo();
    command.args(words.split(' ')).current_dir(repo::root());
    command
}

/// `cargo <words>` for the template as it stands.
fn in_place(words: &str) -> Command {
    let mut command = service::cargo(&repo::root().join("template"));
    command.args(words.split(' '));
    command
}

/// Shows the default service to a real browser; `tests/browser` says what is looked at.
fn pages(suite: &mut Suite) -> Result<()> {
    if !is_ready_to_browse(suite)? {
        return Ok(());
    }
    let name = "axle-browser";
    let project = demo::generated(name)?;
    browse(suite, "check.mjs", name, &project)
}

/// Checks, tests and builds the single-page application as its users do, and shows it to a real browser.
fn application(suite: &mut Suite) -> Result<()> {
    if !is_ready_to_browse(suite)? {
        return Ok(());
    }
    let name = "axle-spa";
    let project = demo::generated_with(name, &[("frontend", "spa")])?;
    let folder = project.join("frontend");
    process::run(&mut npm_ci(&folder))?;
    for script in ["check", "test", "build"] {
        let mut npm = Command::new("npm");
        npm.args(["run", script]).current_dir(&folder);
        suite.check(npm)?;
    }
    browse(suite, "spa.mjs", name, &project)
}

/// Whether this machine has what the browser steps need, or could be given it.
fn is_ready_to_browse(suite: &mut Suite) -> Result<bool> {
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
    process::run(&mut npm_ci(&repo::root().join("tests/browser")))?;
    Ok(true)
}

/// Builds and starts the project called `name`, and has `script` look at it.
fn browse(suite: &mut Suite, script: &str, name: &str, project: &Path) -> Result<()> {
    let service = demo::built_and_started(name, project)?;
    let mut check = Command::new("node");
    check
        .arg(script)
        .arg(format!("http://{}", service.address))
        .arg(repo::target().join("screenshots").join(name))
        .current_dir(repo::root().join("tests/browser"));
    suite.check(check)
}

fn npm_ci(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder);
    npm
}

impl Suite {
    fn skip(&mut self, name: &str, reason: &str) -> Result<()> {
        println!("skipped: {name}: {reason}");
        writeln!(self.skipped, "{name}: {reason}").context("cannot note a skipped check")
    }
}

/// `cargo xtask mutate`: says for every mutation how it was noticed, and fails if one was not.
pub fn mutate() -> Result<()> {
    let outcome = mutate::try_all()?;
    for (what, problem) in &outcome.caught {
        println!(
            "noticed   {what}\n          {}",
            problem.lines().next().unwrap_or_default()
        );
    }
    for what in &outcome.survived {
        println!("SURVIVED  {what}");
    }
    println!(
        "{} noticed, {} survived",
        outcome.caught.len(),
        outcome.survived.len()
    );
    if !outcome.survived.is_empty() {
        bail!("the proof is blind to {} mutations", outcome.survived.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::test_result;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.51s";
        assert_eq!(test_result(line), Some((12, 3)));
        assert_eq!(test_result("125 passed, 1 failed"), Some((125, 1)));
        assert_eq!(test_result("running 3 tests"), None);
        assert_eq!(test_result("it passed"), None);
    }
}
