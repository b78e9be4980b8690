//! A private PostgreSQL server in a temporary folder, gone when it is dropped.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process;
use crate::tools;

/// How long the server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server that trusts every local connection as user `postgres`.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    programs: PathBuf,
    port: u16,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server on a free port of 127.0.0.1, installing PostgreSQL first if the machine has none.
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new()
            .prefix("axle-postgres")
            .tempdir()
            .context("cannot create a temporary folder for PostgreSQL")?;
        if let Some((user, group)) = account()? {
            chown(folder.path(), Some(user), Some(group))
                .context("cannot give a folder to the user postgres")?;
        }
        let data = folder.path().join("data");
        process::capture(
            as_postgres(&programs.join("initdb"))
                .arg("-D")
                .arg(&data)
                .args([
                    "-U",
                    "postgres",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                    "--no-instructions",
                ]),
        )?;
        let port = free_port()?;
        let log = File::create(folder.path().join("log")).context("cannot write a log file")?;
        let server = as_postgres(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            // The data is thrown away, so nothing need survive a crash.
            .args([
                "-c",
                "fsync=off",
                "-c",
                "synchronous_commit=off",
                "-c",
                "full_page_writes=off",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0) // Ctrl-C is for us; Drop stops the server
            .spawn()
            .context("cannot start PostgreSQL")?;
        let mut postgres = Self {
            server,
            programs,
            port,
            folder,
        };
        postgres.wait_until_ready()?;
        Ok(postgres)
    }

    /// The address of `database` on this server.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .context("cannot run pg_isready")?;
            if ready.success() {
                return Ok(());
            }
            if self.server.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("PostgreSQL did not start:\n{log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's "fast" shutdown; a server that is gone already needs none.
        let _ = kill_process(Pid::from_child(&self.server), Signal::INT);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.server.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Makes an empty database through the server's administration address and returns the new address.
pub fn create_database(admin_url: &str, name: &str) -> Result<String> {
    let (server, _) = admin_url
        .rsplit_once('/')
        .context("the PostgreSQL address names no database")?;
    process::capture(
        Command::new(programs()?.join("psql"))
            .args(["-X", "-q", "-d", admin_url, "-c"])
            .arg(format!("CREATE DATABASE \"{name}\"")),
    )?;
    Ok(format!("{server}/{name}"))
}

/// A port nobody listens on now.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// The folder with PostgreSQL's programs.
fn programs() -> Result<PathBuf> {
    if let Some(found) = find_programs() {
        return Ok(found);
    }
    tools::apt_install("postgresql")?;
    find_programs().context("PostgreSQL is installed, but its programs are nowhere to be found")
}

fn find_programs() -> Option<PathBuf> {
    // Debian keeps every version's programs out of the PATH.
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").is_file())
        .collect();
    versions.sort();
    let on_path = || Some(tools::on_path(&["initdb"])?.parent()?.to_owned());
    versions.pop().or_else(on_path)
}

/// PostgreSQL refuses to run as root; then the account `postgres` is used.
fn account() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let id = |flag| -> Result<u32> {
        let output = process::capture(Command::new("id").args([flag, "postgres"]))
            .context("PostgreSQL needs an account `postgres` when started by root")?;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    Ok(Some((id("-u")?, id("-g")?)))
}

fn as_postgres(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .args(["--pdeathsig", "INT"]) // even if we are killed
        .arg("--")
        .arg(program)
        .current_dir("/"); // the caller's folder may be closed to postgres
    command
}
