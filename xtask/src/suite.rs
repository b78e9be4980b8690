//! `cargo xtask test`: every check in order, with what it counted and what it could not do.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::NamedTempFile;

use crate::browser;
use crate::contract;
use crate::mutate;
use crate::postgres::Postgres;
use crate::process;
use crate::prometheus;
use crate::redis;
use crate::repo;
use crate::service;
use crate::ship;
use crate::tools;

/// Where a test finds the administration address of a PostgreSQL server.
pub const POSTGRES_URL: &str = "TEST_DATABASE_URL";
/// Where the proof finds the oldest supported cargo-generate.
pub const CARGO_GENERATE: &str = "AXLE_CARGO_GENERATE";
/// Gives a debug build the assets of a release.
pub const EMBED_ASSETS: &str = "EMBED_ASSETS";
/// Where a test notes that this machine cannot run it.
const SKIPPED: &str = "AXLE_SKIPPED";

type Step = (&'static str, fn(&mut Suite) -> Result<()>);

const STEPS: [Step; 17] = [
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
    (
        "template in place: tests with the assets of a release",
        |suite| {
            let mut test = in_place("test --test it -- assets pages:: page_cache pwa::");
            test.env(EMBED_ASSETS, "1");
            suite.check(test)
        },
    ),
    ("template in place: tests on PostgreSQL", |suite| {
        redis::server()?;
        let mut test = in_place("test --features postgres");
        test.env(POSTGRES_URL, suite.postgres_url()?);
        suite.check(test)
    }),
    ("proof: every combination renders right", |suite| {
        let mut test = workspace("test --workspace --lib --bins --test proof");
        test.env(CARGO_GENERATE, tools::oldest_cargo_generate()?);
        if let Some(folder) = in_memory() {
            test.env("TMPDIR", folder);
        }
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
    ("contract: the API and its document", contract::kept),
    ("monitoring: a real Prometheus and Alertmanager", |suite| {
        for name in ["prometheus", "promtool", "alertmanager", "amtool"] {
            prometheus::program(name)?;
        }
        redis::server()?;
        suite.check(workspace("test --package axle-tests --test monitoring"))
    }),
    ("browser: the pages of the default service", browser::pages),
    ("browser: a site without a network", browser::offline),
    ("browser: the single-page application", browser::application),
    ("browser: a service without pages", browser::viewer),
    ("ship: scripts, workflows and manifests", ship::linted),
    ("ship: the image of the default service", ship::image),
];

const GIB: u64 = 1 << 30;

/// What a run from nothing leaves in `target`, with some air.
const NEEDED_GIB: u64 = 20;

/// Runs the steps whose name contains `only`, or all, and fails if anything failed.
pub fn run(only: Option<&str>) -> Result<()> {
    let mut suite = Suite::new()?;
    let wanted = |name: &str| only.is_none_or(|text| name.contains(text));
    ensure!(
        STEPS.iter().any(|(name, _)| wanted(name)),
        "no step's name contains that text"
    );
    if only.is_none() {
        require_room(&repo::target())?;
    }
    for (name, work) in STEPS.iter().filter(|(name, _)| wanted(name)) {
        println!("\n=== {name}");
        let (started, failed) = (Instant::now(), suite.failed);
        if let Err(error) = work(&mut suite) {
            process::check_interrupt()?;
            println!("{error:#}");
            suite.failures.push(name);
            suite.reasons.push(format!("{name}: {error:#}"));
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
pub struct Suite {
    passed: u32,
    failed: u32,
    /// The steps that did not end well.
    failures: Vec<&'static str>,
    /// What failed in them, for the end of a log that may be all somebody sees.
    reasons: Vec<String>,
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
            reasons: Vec::new(),
            times: Vec::new(),
            skipped: NamedTempFile::new().context("cannot create a temporary file")?,
            postgres: None,
        })
    }

    /// Runs one command. What it reports as tests is counted as such, anything else as one check.
    pub fn check(&mut self, mut command: Command) -> Result<()> {
        command.env(SKIPPED, self.skipped.path());
        let (mut passed, mut failed) = (0, 0);
        let status = process::stream(&mut command, |line| {
            println!("{line}");
            if is_failure(line) {
                self.reasons.push(line.to_owned());
            }
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
    pub fn postgres_url(&mut self) -> Result<String> {
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
        for reason in &self.reasons {
            println!("  {reason}");
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

/// Where files live in memory, if there is room. Some hundred projects are generated and thrown away: on a disk most of
/// that time goes into finding free inodes.
fn in_memory() -> Option<&'static Path> {
    let folder = Path::new("/dev/shm");
    let disk = rustix::fs::statvfs(folder).ok()?;
    (disk.f_bavail * disk.f_frsize >= GIB).then_some(folder)
}

/// A disk that is full after half an hour is better known at the start. A later run needs less, and is let through.
fn require_room(target: &Path) -> Result<()> {
    fs::create_dir_all(target).context("cannot create the target folder")?;
    let disk = rustix::fs::statvfs(target).context("cannot ask how full the disk is")?;
    let free = disk.f_bavail * disk.f_frsize / GIB;
    let is_new = !repo::services_target().exists();
    ensure!(
        !is_new || free >= NEEDED_GIB,
        "the disk of {} has {free} GiB free; a run from nothing needs {NEEDED_GIB} GiB",
        target.display()
    );
    Ok(())
}

/// Whether there is a step of this name.
#[cfg(test)]
pub fn has_step(wanted: &str) -> bool {
    STEPS.iter().any(|(name, _)| *name == wanted)
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

/// Whether a line names a test that failed: `test it_works ... FAILED`, or `FAILED: what does not hold`.
fn is_failure(line: &str) -> bool {
    line.starts_with("FAILED: ") || (line.starts_with("test ") && line.ends_with(" FAILED"))
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

impl Suite {
    /// A check that is not one command has passed.
    pub fn count_one(&mut self) {
        self.passed += 1;
    }

    pub fn skip(&mut self, name: &str, reason: &str) -> Result<()> {
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
    use super::{is_failure, test_result};

    #[test]
    fn a_failed_test_is_named_at_the_end() {
        assert!(is_failure("test it_works ... FAILED"));
        assert!(is_failure("FAILED: The page moved."));
        assert!(!is_failure("test it_works ... ok"));
        assert!(!is_failure("test result: FAILED. 0 passed; 1 failed; …"));
    }

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.51s";
        assert_eq!(test_result(line), Some((12, 3)));
        assert_eq!(test_result("125 passed, 1 failed"), Some((125, 1)));
        assert_eq!(test_result("running 3 tests"), None);
        assert_eq!(test_result("it passed"), None);
    }
}
