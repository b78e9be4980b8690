//! Child processes: cargo with a clean environment, and an interrupt that stops what runs and lets everything clean up.
//!
//! Every child leads a process group of its own, so that Ctrl-C reaches this process alone, which passes it on.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static FOREGROUND: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// From now on SIGINT, SIGTERM and SIGHUP stop the child in the foreground instead of this process, which then
/// returns through its own cleaning up: servers stop, temporary folders go.
pub fn handle_interrupts() -> Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot handle signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            for pid in FOREGROUND.lock().expect("no holder panics").iter() {
                terminate(*pid);
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

/// Marks a child as one an interrupt stops, for as long as it is held.
struct Foreground(Pid);

impl Foreground {
    fn set(child: &Child) -> Self {
        let pid = Pid::from_child(child);
        FOREGROUND.lock().expect("no holder panics").push(pid);
        // An interrupt that came before the line above found nothing to stop.
        if INTERRUPTED.load(Ordering::SeqCst) {
            terminate(pid);
        }
        Self(pid)
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let mut all = FOREGROUND.lock().expect("no holder panics");
        all.retain(|pid| *pid != self.0);
    }
}

/// Asks a process and what it has started to stop.
pub fn terminate(leader: Pid) {
    // A process that is gone has stopped.
    let _ = kill_process_group(leader, Signal::TERM);
}

/// A cargo command free of what `cargo run` and `cargo test` set for this process: those variables reach build
/// scripts and would make cargo build everything twice.
#[must_use]
pub fn cargo() -> Command {
    with_cargo("cargo".as_ref())
}

/// The same for a program that calls cargo.
#[must_use]
pub fn with_cargo(program: &OsStr) -> Command {
    let mut command = Command::new(program);
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
        .process_group(0)
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
        .process_group(0)
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
    let output = output(command)?;
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

/// Runs a command to its end, whatever that is, and hands back what it printed.
pub fn output(command: &mut Command) -> Result<Output> {
    let (child, foreground) = spawn_piped(command)?;
    let output = child.wait_with_output();
    drop(foreground);
    check_interrupt()?;
    output.with_context(|| format!("cannot read what `{}` prints", shown(command)))
}

/// Like [`output`], for a command that may not end by itself: after `patience` it is stopped, which is an error.
pub fn output_within(command: &mut Command, patience: Duration) -> Result<Output> {
    let (child, foreground) = spawn_piped(command)?;
    let leader = foreground.0;
    let (running, ended) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let late = ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
        if late {
            terminate(leader);
        }
        late
    });
    let output = child.wait_with_output();
    drop(running);
    drop(foreground);
    let late = watch.join().expect("watching cannot panic");
    check_interrupt()?;
    let shown = shown(command);
    let output = output.with_context(|| format!("cannot read what `{shown}` prints"))?;
    if late {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` did not end within {patience:?}; it said:\n{said}");
    }
    Ok(output)
}

fn spawn_piped(command: &mut Command) -> Result<(Child, Foreground)> {
    check_interrupt()?;
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    let foreground = Foreground::set(&child);
    Ok((child, foreground))
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
