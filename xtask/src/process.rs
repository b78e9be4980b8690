//! Child processes: cargo with a clean environment, and an interrupt that stops what runs and lets everything clean up.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static FOREGROUND: Mutex<Option<Pid>> = Mutex::new(None);

/// From now on SIGINT and SIGTERM stop the child in the foreground instead of this process, which then returns
/// through its own cleaning up: servers stop, temporary folders go.
pub fn handle_interrupts() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            if let Some(pid) = *FOREGROUND.lock().expect("no holder panics") {
                // It may be gone already, or have had the terminal's signal itself.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    });
    Ok(())
}

/// Fails once an interrupt has come.
pub fn check_interrupt() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits for `child`, which an interrupt stops.
pub fn wait(child: &mut Child) -> Result<ExitStatus> {
    let _foreground = Foreground::set(child);
    child.wait().context("cannot wait for a child process")
}

/// Marks the child an interrupt goes to for as long as it is held.
struct Foreground;

impl Foreground {
    fn set(child: &Child) -> Self {
        *FOREGROUND.lock().expect("no holder panics") = Some(Pid::from_child(child));
        // An interrupt that came before the line above found nothing to stop.
        if INTERRUPTED.load(Ordering::SeqCst) {
            terminate(child);
        }
        Self
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        *FOREGROUND.lock().expect("no holder panics") = None;
    }
}

/// Asks `child` to stop.
pub fn terminate(child: &Child) {
    // A child that is gone has stopped.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
}

/// A cargo command free of what `cargo run` and `cargo test` set for this process: those variables reach build
/// scripts and would make cargo build everything twice.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let of_this_build = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix));
        if of_this_build || name == "CARGO_PRIMARY_PACKAGE" || name == "LD_LIBRARY_PATH" {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command whose output the person at the terminal sees.
pub fn run(command: &mut Command) -> Result<()> {
    check_interrupt()?;
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run `{shown}`"))?;
    let status = wait(&mut child)?;
    check_interrupt()?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a command, handing over every line of its standard output as it comes.
pub fn stream(command: &mut Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    check_interrupt()?;
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{shown}`"))?;
    let output = child.stdout.take().context("the output was piped")?;
    let _foreground = Foreground::set(&child);
    for text in BufReader::new(output).lines() {
        line(&text.with_context(|| format!("cannot read what `{shown}` prints"))?);
    }
    let status = child.wait().context("cannot wait for a child process")?;
    check_interrupt()?;
    Ok(status)
}

/// Runs a command and hands back what it printed; a failure carries it all.
pub fn capture(command: &mut Command) -> Result<Output> {
    let shown = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{shown}`"))?;
    if !output.status.success() {
        bail!(
            "`{shown}` failed ({})\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output)
}

/// The command as one would type it.
#[must_use]
pub fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}
