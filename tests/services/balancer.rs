//! Behind `HAProxy`, which asks `/health/ready`, an instance is replaced under load and no client notices. The project tests the
//! same behind a balancer of its own, for which nothing has to be installed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use xtask::postgres::free_port;
use xtask::process;
use xtask::service::{self, Service};
use xtask::tools;

use crate::Check;
use crate::service::{Generated, stops_cleanly};

const PATIENCE: Duration = Duration::from_secs(30);

/// Requests on one connection of a client.
const KEPT: usize = 50;

const CLIENTS: usize = 4;

pub const OF_THE_DEFAULTS: [(&str, Check); 1] = [(
    "an_instance_behind_haproxy_is_replaced_without_a_failed_request",
    an_instance_behind_haproxy_is_replaced_without_a_failed_request,
)];

fn an_instance_behind_haproxy_is_replaced_without_a_failed_request(
    generated: &Generated,
) -> Result<()> {
    let folder = TempDir::new()?;
    let database = generated.new_database("balancer", folder.path())?;
    let start = |port: u16| {
        let home = folder.path().join(port.to_string());
        fs::create_dir_all(&home)?;
        let env = [
            ("DATABASE_URL", database.as_str()),
            // Longer than it takes to notice, on a machine that does other things besides.
            ("APP__SERVER__DRAIN_DELAY", "3s"),
            // All clients come from one address.
            ("APP__RATE_LIMIT__ENABLED", "false"),
        ];
        Service::start_on(&generated.binary()?, &home, (port, free_port()?), &env)
    };
    let ports = [free_port()?, free_port()?, free_port()?];
    let (one, two) = (start(ports[0])?, start(ports[1])?);
    let balancer = Balancer::start(folder.path(), &ports)?;
    balancer.wait_for(&[true, true, false])?;
    let is_over = AtomicBool::new(false);
    let authorization = one.authorization()?.to_owned();
    let made = thread::scope(|scope| {
        let (address, authorization, is_over) = (&balancer.address, &authorization, &is_over);
        let come = |client| scope.spawn(move || load(address, authorization, is_over, client));
        let clients: Vec<_> = (0..CLIENTS).map(come).collect();
        let replaced = replace(one, &balancer, || start(ports[2]));
        is_over.store(true, Ordering::Relaxed);
        let made = clients.into_iter().map(|client| match client.join() {
            Ok(made) => made,
            Err(_) => bail!("a client panicked"),
        });
        let made = made.sum::<Result<usize>>()?;
        stops_cleanly(replaced?)?;
        anyhow::Ok(made)
    })?;
    ensure!(made > 100, "the load was {made} requests");
    let served = balancer.counts()?;
    ensure!(
        served.iter().all(|requests| *requests > 0),
        "of {made} requests the instances had {served:?}"
    );
    stops_cleanly(two)
}

/// The new one comes before the old one goes.
fn replace(
    old: Service,
    balancer: &Balancer,
    start: impl FnOnce() -> Result<Service>,
) -> Result<Service> {
    let new = start()?;
    balancer.wait_for(&[true, true, true])?;
    stops_cleanly(old)?;
    balancer.wait_for(&[false, true, true])?;
    Ok(new)
}

/// Reads and writes one request after the other, most on connections that are kept; the first that fails is an error.
fn load(address: &str, authorization: &str, is_over: &AtomicBool, client: usize) -> Result<usize> {
    let mut made: usize = 0;
    while !is_over.load(Ordering::Relaxed) {
        let mut stream = BufReader::new(TcpStream::connect(address)?);
        stream.get_ref().set_read_timeout(Some(PATIENCE))?;
        while !is_over.load(Ordering::Relaxed) {
            let is_write = made.is_multiple_of(4);
            let (method, body) = if is_write {
                (
                    "POST",
                    format!(r#"{{"title":"Client {client}, request {made}"}}"#),
                )
            } else {
                ("GET", String::new())
            };
            let request = format!(
                "{method} /api/v1/articles HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{authorization}\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let status = exchange(&mut stream, &request)?;
            let expected = if is_write { "201" } else { "200" };
            ensure!(
                status.contains(expected),
                "request {made}, {method}: {status}"
            );
            made += 1;
            if made.is_multiple_of(KEPT) {
                break;
            }
        }
    }
    Ok(made)
}

/// Sends a request, reads the answer to its end, and hands over its first line.
fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> Result<String> {
    stream.get_mut().write_all(request.as_bytes())?;
    let mut status = String::new();
    stream.read_line(&mut status)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        ensure!(stream.read_line(&mut line)? > 0, "cut off after {status:?}");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse()?;
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    Ok(status)
}

struct Balancer {
    program: Child,
    address: String,
    statistics: String,
}

impl Balancer {
    /// Every failed connection shows: it tries none twice.
    fn start(folder: &Path, instances: &[u16]) -> Result<Self> {
        if tools::on_path(&["haproxy"]).is_none() && !Path::new("/usr/sbin/haproxy").exists() {
            tools::apt_install("haproxy")?;
        }
        let (port, statistics) = (free_port()?, free_port()?);
        let servers: Vec<_> = instances
            .iter()
            .map(|port| format!("  server s{port} 127.0.0.1:{port} check\n"))
            .collect();
        let servers = servers.concat();
        let configuration = format!(
            "defaults\n  mode http\n  retries 0\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             frontend service\n  bind 127.0.0.1:{port}\n  default_backend instances\n\
             backend instances\n  option httpchk GET /health/ready\n  http-check expect status 200\n  \
             default-server inter 100ms fall 1 rise 1\n{servers}\
             frontend statistics\n  bind 127.0.0.1:{statistics}\n  stats enable\n  stats uri /\n"
        );
        let file = folder.join("haproxy.cfg");
        fs::write(&file, configuration)?;
        let program = Command::new("haproxy")
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .env("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start HAProxy")?;
        Ok(Self {
            program,
            address: format!("127.0.0.1:{port}"),
            statistics: format!("127.0.0.1:{statistics}"),
        })
    }

    /// The lines about the instances, in order, as their fields.
    fn lines(&self) -> Result<Vec<Vec<String>>> {
        let answer = service::get(&self.statistics, "/;csv")?;
        let lines = answer.text.lines();
        let lines = lines.filter(|line| line.starts_with("instances,s"));
        let fields = |line: &str| line.split(',').map(str::to_owned).collect();
        Ok(lines.map(fields).collect())
    }

    /// Waits until it sends requests to those instances and to no other.
    fn wait_for(&self, expected: &[bool]) -> Result<()> {
        const STATUS: usize = 17;
        let deadline = Instant::now() + PATIENCE;
        loop {
            process::check_interrupt()?;
            let lines = self.lines().unwrap_or_default();
            let up: Vec<_> = lines.iter().map(|line| line[STATUS] == "UP").collect();
            if up == expected {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{up:?} instead of {expected:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many requests each instance has had.
    fn counts(&self) -> Result<Vec<u64>> {
        const SESSIONS: usize = 7;
        let lines = self.lines()?;
        let counts = lines.iter().map(|line| Ok(line[SESSIONS].parse()?));
        counts.collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
