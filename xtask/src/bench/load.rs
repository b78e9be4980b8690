//! Servers take turns under load, each on a core of its own beside the load generator's.
//!
//! What counts is the median of the ratios within a turn: a machine that is busy slows all of them down.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use crate::process;
use crate::service::Service;
use crate::tools;

/// Turns that count; one more goes before them.
const TURNS: usize = 7;

const WRK: [&str; 3] = ["-t1", "-c64", "-d3s"];

/// One of the servers that are compared.
pub struct Contender {
    pub name: &'static str,
    pub address: String,
    pub path: String,
    pid: u32,
    /// Held for its end; the service outlives the rounds.
    _server: Option<Stopped>,
    turns: Vec<Turn>,
}

impl Contender {
    pub fn of_service(name: &'static str, service: &Service, path: &str) -> Self {
        Self {
            name,
            address: service.address.clone(),
            path: path.to_owned(),
            pid: service.pid(),
            _server: None,
            turns: Vec::new(),
        }
    }
}

/// A process that is stopped with what holds it.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        process::terminate(Pid::from_child(&self.0));
        let _ = self.0.wait();
    }
}

#[derive(Clone, Copy)]
struct Turn {
    requests_per_second: f64,
    /// Of the server's processor time, for each request.
    micros: f64,
}

/// Fails if a program that measures is missing.
pub fn need_tools() -> Result<()> {
    for tool in ["wrk", "taskset"] {
        ensure!(
            tools::on_path(&[tool]).is_some(),
            "{tool} is not installed; install it and try again"
        );
    }
    Ok(())
}

/// Measures and prints; the first is what the others are held against.
pub fn take_turns(title: &str, contenders: &mut [Contender], accepted: Option<&str>) -> Result<()> {
    let servers = contenders.len();
    println!("Measuring {title}; {servers} servers take {TURNS} turns …");
    for turn in 0..=TURNS {
        for contender in contenders.iter_mut() {
            let measured = measure(contender, accepted)?;
            if turn > 0 {
                contender.turns.push(measured);
            }
        }
    }
    print(title, contenders);
    Ok(())
}

fn print(title: &str, contenders: &[Contender]) {
    println!(
        "\n| {title}: one core, 64 connections | requests/s | against the first | CPU a request |\n|---|---|---|---|"
    );
    let base = &contenders[0].turns;
    for Contender { name, turns, .. } in contenders {
        let each = |of: fn(&Turn) -> f64| median(turns.iter().map(of).collect());
        let ratios = turns.iter().zip(base);
        let ratio = median(
            ratios
                .map(|(own, bare)| own.requests_per_second / bare.requests_per_second)
                .collect(),
        );
        println!(
            "| {name} | {:.0} | {:.0}% | {:.1} µs |",
            each(|turn| turn.requests_per_second),
            ratio * 100.0,
            each(|turn| turn.micros)
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server that stays on the first core; the other is the load generator's.
pub fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

/// Starts a server that listens on `port`.
pub fn contender(
    name: &'static str,
    port: u16,
    path: &str,
    mut command: Command,
) -> Result<Contender> {
    let server = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    Ok(Contender {
        name,
        address: format!("127.0.0.1:{port}"),
        path: path.to_owned(),
        pid: server.id(),
        _server: Some(Stopped(server)),
        turns: Vec::new(),
    })
}

fn measure(contender: &Contender, accepted: Option<&str>) -> Result<Turn> {
    let url = format!("http://{}{}", contender.address, contender.path);
    let before = cpu_micros(contender.pid)?;
    let mut wrk = Command::new("taskset");
    wrk.args(["-c", "1", "wrk"]).args(WRK);
    if let Some(accepted) = accepted {
        wrk.args(["-H", &format!("Accept-Encoding: {accepted}")]);
    }
    let output = process::capture(wrk.arg(url))?;
    let spent = cpu_micros(contender.pid)? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |after: &str| -> Option<f64> {
        text.split(after)
            .nth(1)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    ensure!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{} failed under load:\n{text}",
        contender.name
    );
    let requests: Option<f64> = text
        .lines()
        .find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    Ok(Turn {
        requests_per_second: number("Requests/sec:").context("wrk does not say how fast it was")?,
        micros: spent / requests.context("wrk does not say how many requests it sent")?,
    })
}

/// The processor time that a process and its children have taken so far.
fn cpu_micros(pid: u32) -> Result<f64> {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok());
    let mut ticks = 0;
    for pid in children.chain([pid]) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat
            .rsplit_once(") ")
            .context("an unknown form of /proc/PID/stat")?;
        let times = fields.split(' ').skip(11).take(2);
        ticks += times
            .filter_map(|time| time.parse::<u32>().ok())
            .sum::<u32>();
    }
    // Linux reports hundredths of a second, whatever it counts in.
    Ok(f64::from(ticks) * 10_000.0)
}
