//! A private Redis server in a temporary folder, gone when it is dropped.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::postgres::free_port;
use crate::tools;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server that keeps everything in memory.
#[derive(Debug)]
pub struct Redis {
    server: Child,
    port: u16,
    folder: TempDir,
}

impl Redis {
    /// Starts a server on a free port of 127.0.0.1, installing Redis first if the machine has none.
    pub fn start() -> Result<Self> {
        Self::start_on(free_port()?)
    }

    /// Starts an empty server on `port`.
    pub fn start_on(port: u16) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("axle-redis")
            .tempdir()
            .context("cannot create a temporary folder for Redis")?;
        let log = File::create(folder.path().join("log")).context("cannot write a log file")?;
        let server = Command::new(server()?)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0) // Ctrl-C is for us; Drop stops the server
            .spawn()
            .context("cannot start Redis")?;
        let mut redis = Self {
            server,
            port,
            folder,
        };
        redis.wait_until_ready()?;
        Ok(redis)
    }

    /// The server's address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Lets the server stand still for good: connections to it are open, and nobody answers.
    pub fn freeze(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.server), Signal::STOP)?;
        Ok(())
    }

    /// Ends the server on the spot and hands back the port it had.
    #[must_use]
    pub fn kill(self) -> u16 {
        self.port
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.answers() {
            if self.server.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("Redis did not start:\n{log}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let ping = || -> std::io::Result<[u8; 7]> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 7];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        ping().is_ok_and(|answer| &answer == b"+PONG\r\n")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The address of a server on `port`, whether it runs or not.
#[must_use]
pub fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// The program, which the tests of a service with Redis start by themselves too; installed if the machine has none.
pub fn server() -> Result<PathBuf> {
    let found = || tools::on_path(&["redis-server"]);
    if let Some(program) = found() {
        return Ok(program);
    }
    tools::apt_install("redis-server")?;
    found().context("Redis is installed, but `redis-server` is not on the PATH")
}
