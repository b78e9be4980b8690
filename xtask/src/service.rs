//! Builds, starts, asks and stops a generated service.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::accounts::{self, Writer};
use crate::postgres::free_port;
use crate::process;
use crate::repo;

/// How long a service may take to answer, or to stop.
const PATIENCE: Duration = Duration::from_secs(45);

/// A cargo command for a service, building into the folder all services share. What would make a second build of the
/// same folder faster is left out: it is a third of the size, and most are built once.
#[must_use]
pub fn cargo(folder: &Path) -> Command {
    building(process::cargo(), folder)
}

/// The same for a script of the service's, such as `scripts/test`, which calls cargo.
#[must_use]
pub fn script(folder: &Path, name: &str) -> Command {
    building(process::with_cargo(name.as_ref()), folder)
}

fn building(mut command: Command, folder: &Path) -> Command {
    command
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", repo::services_target())
        .env("CARGO_INCREMENTAL", "0");
    command
}

/// Where a build of the package `name` puts its binary.
#[must_use]
pub fn binary(name: &str, build: &str) -> PathBuf {
    repo::services_target().join(build).join(name)
}

/// A built service about to run in `folder`, with none of the caller's own settings.
#[must_use]
pub fn command(binary: &Path, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("APP_")
            || ["PORT", "DATABASE_URL", "REDIS_URL", "RUST_LOG"].contains(&&*name)
        {
            command.env_remove(&*name);
        }
    }
    command
}

/// What the service answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Head and body as they came.
    pub text: String,
}

impl Answer {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// A running service, stopped when dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// `127.0.0.1:8080`
    pub address: String,
    /// The operator's listener: `127.0.0.1:2112`.
    pub operator: String,
    log: PathBuf,
    /// Who may write, in a service that has accounts.
    writer: Option<Writer>,
    authorization: OnceCell<String>,
}

impl Service {
    /// Starts `binary` in `folder`, on its usual ports if they are free and on others if not, and waits until
    /// `/health` says 200. What the service logs goes to a file.
    pub fn start(binary: &Path, folder: &Path, env: &[(&str, &str)]) -> Result<Self> {
        Self::start_on(binary, folder, (free_or(8080)?, free_or(2112)?), env)
    }

    /// The same on these ports: the public one and the operator's.
    pub fn start_on(
        binary: &Path,
        folder: &Path,
        (port, operator): (u16, u16),
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let log = folder.join("service.log");
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut serve = command(binary, folder);
        let mut writer = None;
        if accounts::are_in(binary, folder)? {
            serve.envs(accounts::SETTINGS);
            writer = Some(Writer::new(command(binary, folder), env));
        }
        let child = serve
            .env("PORT", port.to_string())
            .env("APP__OPERATOR__PORT", operator.to_string())
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0) // Ctrl-C is for us; we pass on one SIGTERM
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut service = Self {
            child,
            address: format!("127.0.0.1:{port}"),
            operator: format!("127.0.0.1:{operator}"),
            log,
            writer,
            authorization: OnceCell::new(),
        };
        service.wait_until_healthy()?;
        Ok(service)
    }

    fn wait_until_healthy(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            process::check_interrupt()?;
            let last = match get(&self.address, "/health") {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => answer.text,
                Err(error) => format!("{error:#}"),
            };
            if let Some(status) = self.child.try_wait()? {
                bail!("the service stopped with {status}:\n{}", self.log());
            }
            if Instant::now() > deadline {
                bail!("the service is not healthy: {last}\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks for `path` on the public listener.
    pub fn get(&self, path: &str) -> Result<Answer> {
        get(&self.address, path)
    }

    /// The line in the head of a request by somebody who may write; empty, if everybody may.
    pub fn authorization(&self) -> Result<&str> {
        if self.authorization.get().is_none() {
            let line = match &self.writer {
                Some(writer) => writer.sign_in(&self.address)?,
                None => String::new(),
            };
            // Nobody else can have been faster.
            let _ = self.authorization.set(line);
        }
        Ok(self.authorization.get().map_or("", String::as_str))
    }

    /// Sends `json` to the public listener, as somebody who may write.
    pub fn send(&self, method: &str, path: &str, json: &str) -> Result<Answer> {
        send(&self.address, method, path, self.authorization()?, json)
    }

    /// What the service has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process, for what the system says about it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets the process stand still for `time`, with all it has begun.
    pub fn freeze(&self, time: Duration) -> Result<()> {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::STOP)?;
        thread::sleep(time);
        kill_process(process, Signal::CONT)?;
        Ok(())
    }

    /// Waits until the service stops: an interrupt asks it to.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        process::wait(&mut self.child)
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        process::terminate(Pid::from_child(&self.child));
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!(
                    "the service did not stop within {PATIENCE:?}:\n{}",
                    self.log()
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.stop();
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// One HTTP request on its own connection.
pub fn get(address: &str, path: &str) -> Result<Answer> {
    ask(address, "GET", path, "Accept: text/html, */*\r\n", "")
}

/// The same with a body, and more lines in the head.
pub fn send(address: &str, method: &str, path: &str, lines: &str, json: &str) -> Result<Answer> {
    let length = json.len();
    let head = format!("Content-Type: application/json\r\n{lines}Content-Length: {length}\r\n");
    ask(address, method, path, &head, json)
}

fn ask(address: &str, method: &str, path: &str, head: &str, body: &str) -> Result<Answer> {
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{head}Connection: close\r\n\r\n{body}"
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).with_context(|| {
        let begun = String::from_utf8_lossy(&bytes);
        format!("{method} {path} is not answered to its end: {begun:?}")
    })?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("{address} does not speak HTTP: {text:?}"))?;
    Ok(Answer { status, text })
}

fn free_or(preferred: u16) -> Result<u16> {
    match TcpListener::bind(("127.0.0.1", preferred)) {
        Ok(_) => Ok(preferred),
        Err(_) => free_port(),
    }
}
