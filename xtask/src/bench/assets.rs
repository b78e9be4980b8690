//! `cargo xtask bench --assets`: time and memory of the asset pipeline for a large tree, and for one file of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{NAME, mebibytes};
use crate::demo;
use crate::process;
use crate::repo;
use crate::service;

/// Of each kind.
const FILES: usize = 1000;

/// Between two looks at the memory of the process, which the system remembers the peak of.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Measures and prints.
pub fn run() -> Result<()> {
    let project = demo::generated(NAME)?;
    process::run(service::cargo(&project).arg("build"))?;
    let compiler = compiler()?;
    let folder = TempDir::new().context("cannot create a temporary folder")?;
    let sources = folder.path().join("assets");
    for n in 0..FILES {
        write(&sources.join(format!("css/{n}.css")), &stylesheet(n))?;
        write(&sources.join(format!("js/{n}.ts")), &module(n))?;
    }
    println!(
        "\n| {FILES} stylesheets and {FILES} modules | time | memory, at most |\n|---|---|---|"
    );
    for how in ["release", "development"] {
        let out = folder.path().join(how);
        let measure = |what: &str, made: usize| -> Result<()> {
            let (took, memory, steps) = run_pipeline(&compiler, how, &sources, &out)?;
            ensure!(steps >= made, "{what} made {steps} things and not {made}");
            ensure!(made > 1 || steps < 10, "{what} made {steps} things");
            println!(
                "| {how}, {what} | {:.2} s | {:.0} MiB |",
                took.as_secs_f32(),
                mebibytes(memory)
            );
            Ok(())
        };
        measure("all of them", 2 * FILES)?;
        measure("none changed", 0)?;
        write(&sources.join("js/7.ts"), &module(FILES + how.len()))?;
        measure("one module changed", 1)?;
    }
    Ok(())
}

/// Some 700 bytes of rules.
fn stylesheet(n: usize) -> String {
    let rule = |m| format!(".page-{n} .part-{m} {{ color: #{n:06x}; & a {{ margin: {m}px }} }}\n");
    (0..10).map(rule).collect()
}

/// Some 700 bytes of functions.
fn module(n: usize) -> String {
    let function = |m| {
        format!("export function f{m}(given: number): number {{ return given * {n} + {m}; }}\n")
    };
    (0..10).map(function).collect()
}

/// How long it took, the most memory it had in bytes, and how many steps were not kept from before.
fn run_pipeline(
    compiler: &Path,
    how: &str,
    sources: &Path,
    out: &Path,
) -> Result<(Duration, u64, usize)> {
    let report = out.with_extension("report");
    let started = Instant::now();
    let mut child = Command::new(compiler)
        .args(["assets", how])
        .args([sources, out])
        .stdout(Stdio::from(fs::File::create(&report)?))
        .spawn()
        .with_context(|| format!("cannot start {}", compiler.display()))?;
    let mut peak = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
        peak = peak.max(status.ok().and_then(|text| peak_of(&text)).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(BETWEEN_LOOKS);
    };
    let took = started.elapsed();
    ensure!(status.success(), "the pipeline ended with {status}");
    let report = fs::read_to_string(&report)?;
    let made = report.lines().filter(|line| line.starts_with("made "));
    Ok((took, peak, made.count()))
}

/// In bytes. A process that has ended has no such line.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The project's build script, which is the pipeline: the newest that cargo has compiled.
fn compiler() -> Result<PathBuf> {
    let builds = repo::services_target().join("debug/build");
    let mut newest = None;
    for entry in fs::read_dir(&builds)? {
        let folder = entry?.path();
        let script = folder.join("build-script-main");
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let is_its = name.rsplit_once('-').is_some_and(|(of, _)| of == NAME);
        if is_its && script.exists() {
            newest = newest.max(Some((fs::metadata(&script)?.modified()?, script)));
        }
    }
    match newest {
        Some((_, script)) => Ok(script),
        None => bail!("{} has no build script of {NAME}", builds.display()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
