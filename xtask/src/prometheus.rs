//! A private Prometheus and a private Alertmanager in temporary folders, gone when they are dropped.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::service;
use crate::tools;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// One of the two, running.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `127.0.0.1:9090`
    pub address: String,
}

/// Prometheus with the configuration in `folder`, which has the parts of `monitoring/`; there it keeps its data too.
pub fn prometheus(folder: &Path, port: u16) -> Result<Server> {
    let arguments = [
        format!(
            "--config.file={}",
            folder.join("prometheus/prometheus.yml").display()
        ),
        format!("--storage.tsdb.path={}", folder.join("tsdb").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    Server::start(&program("prometheus")?, &arguments, folder, port)
}

/// Alertmanager with the configuration in `folder`, where it keeps its data too.
pub fn alertmanager(folder: &Path, port: u16) -> Result<Server> {
    let arguments = [
        format!(
            "--config.file={}",
            folder.join("alertmanager/alertmanager.yml").display()
        ),
        format!("--storage.path={}", folder.join("silences").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    Server::start(&program("alertmanager")?, &arguments, folder, port)
}

/// A program of Prometheus' family; installed if the machine has none.
pub fn program(name: &str) -> Result<PathBuf> {
    let debian = format!("prometheus-{name}");
    let find = || tools::on_path(&[name, &debian]);
    if let Some(program) = find() {
        return Ok(program);
    }
    let package = match name {
        "alertmanager" | "amtool" => "prometheus-alertmanager",
        _ => "prometheus",
    };
    tools::apt_install(package)?;
    find().with_context(|| format!("{package} is installed, but `{name}` is not on the PATH"))
}

impl Server {
    /// Starts `program` and waits until it is ready on `port`; what it says goes to a file in `folder`.
    pub fn start(program: &Path, arguments: &[String], folder: &Path, port: u16) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().display();
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).context("cannot write a log file")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0) // Ctrl-C is for us; Drop stops the server
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut server = Self {
            child,
            address: format!("127.0.0.1:{port}"),
        };
        let deadline = Instant::now() + PATIENCE;
        while !service::get(&server.address, "/-/ready").is_ok_and(|ready| ready.status == 200) {
            if server.child.try_wait()?.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!("{name} did not start:\n{said}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What it has stored goes with its folder.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
