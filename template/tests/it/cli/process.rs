//! A folder and a database to run the real binary in, and the binary while it runs.{% capture body %}

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use app::infra::db::Driver;
use sqlx::{Connection, Database};
use tempfile::TempDir;

use super::http::{self, Answer}; //~{% if features contains "auth" %}
use super::users::Writer; //~{% endif %}
use crate::support::TestDatabase;

/// Longer than anything here takes, on a machine that does other things besides.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where `cargo llvm-cov` has a process note what it runs through; without, it would do so where it runs.
pub const PROFILE: &str = "LLVM_PROFILE_FILE";

/// Where one test runs the binary, as often as it likes.
pub struct Place {
    pub database: TestDatabase,
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            database: block_on(TestDatabase::create(folder.path())),
            folder,
        }
    }

    /// Does something to the database behind the service's back.
    pub fn execute(&self, sql: &'static str) {
        let done = block_on(async {
            let mut connection =
                <Driver as Database>::Connection::connect(&self.database.url).await?;
            sqlx::query(sql).execute(&mut connection).await?;
            connection.close().await
        });
        done.expect("the statement succeeds");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let folder = path.parent().expect("a file in the folder");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// The binary with nothing in its environment but what a test needs: any free port, and the database.
    pub fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(std::env::var_os(PROFILE).map(|file| (PROFILE, file)))
            .env("PORT", "0")
            .env("APP__OPERATOR__PORT", "0")
            .env("DATABASE_URL", &self.database.url)
            .env("APP__CACHE__L1_CAPACITY", "16MiB")
            // What is in the cache is what the test has asked for.
            .env("APP__CACHE__WARMUP_ENABLED", "false")
            // Tests ask as quickly as they can.
            .env("APP__RATE_LIMIT__ENABLED", "false") //~{% if features contains "auth" %}
            .envs(super::users::VARIABLES) //~{% endif %}
            .envs(variables.iter().copied());
        command
    }

    /// Runs a subcommand to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with(arguments, &[])
    }

    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
        finish(&mut self.command(arguments, variables))
    }

    /// Starts the service and waits until it serves.
    pub fn serve(&self) -> Service {
        self.serve_with(&[])
    }

    pub fn serve_with(&self, variables: &[(&str, &str)]) -> Service {
        let mut service = self.start_with(variables);
        service.wait_until_it_serves();
        service
    }

    /// Starts the service without waiting for anything.
    pub fn start_with(&self, variables: &[(&str, &str)]) -> Service {
        self.start_through(|command| command, variables)
    }

    /// The same by what the test makes of the command.
    pub fn start_through(
        &self,
        wrap: impl FnOnce(Command) -> Command,
        variables: &[(&str, &str)],
    ) -> Service {
        Service::spawn(wrap(self.command(&["serve"], variables))) //~{% if features contains "auth" %}
            .written_by(Writer::new(self, variables)) //~{% endif %}
    }
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Beside the folder of the test binary.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>");
    profile.join(env!("CARGO_PKG_NAME"))
}

/// What a finished run has left.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The one line of an error, which is all it may print.
    #[track_caller]
    pub fn error(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:?}");
        let lines: Vec<_> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{}", self.stderr);
        lines[0].strip_prefix("error: ").expect("an error")
    }

    /// The lines below the one that says that the settings are wrong.
    #[track_caller]
    pub fn problems(&self) -> Vec<&str> {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stdout, "");
        let mut lines = self.stderr.lines();
        assert_eq!(lines.next(), Some("error: the settings are not valid:"));
        lines.map(str::trim).collect()
    }

    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }
}

/// Waits for a command, but not forever.
pub fn finish(command: &mut Command) -> Finished {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let id = child.id();
    let (finished, output) = mpsc::channel();
    thread::spawn(move || finished.send(child.wait_with_output()));
    let Ok(output) = output.recv_timeout(PATIENCE) else {
        signal("KILL", id);
        panic!("{command:?} did not end");
    };
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("the output of the command");
    Finished {
        code: status.code(),
        stdout: String::from_utf8(stdout).expect("UTF-8"),
        stderr: String::from_utf8(stderr).expect("UTF-8"),
    }
}

pub fn signal(name: &str, id: u32) {
    // The shell has `kill` even where no package brings it.
    let kill = format!("kill -{name} {id}");
    let _ = Command::new("sh").args(["-c", &kill]).status();
}

/// The service while it runs. It is killed when it is dropped.
pub struct Service {
    child: Child,
    lines: Receiver<String>,
    /// What it has logged so far.
    pub log: Vec<String>,
    public: Option<SocketAddr>,
    operator: Option<SocketAddr>, //~{% if features contains "auth" %}
    /// Who may write to it.
    writer: Option<Writer>, //~{% endif %}
}

impl Service {
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::spawn_with_input(command)
    }

    /// The same with the standard input that the command has.
    pub fn spawn_with_input(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self {
            child,
            lines,
            log: Vec::new(),
            public: None,
            operator: None, //~{% if features contains "auth" %}
            // Nobody, unless the test says so.
            writer: None, //~{% endif %}
        }
    } //~{% if features contains "auth" %}

    fn written_by(mut self, writer: Writer) -> Self {
        self.writer = Some(writer);
        self
    } //~{% endif %}

    #[track_caller]
    pub fn wait_until_it_serves(&mut self) {
        let line = self.wait_for("serving");
        self.public = address(&line, "public");
        self.operator = address(&line, "operator");
    }

    /// The next line of the log that contains `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with `{text}` in the log: {:#?}", self.log)
            };
            self.log.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Whether a line logged up to now contains `text`.
    pub fn has_logged(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }

    pub fn address(&self) -> SocketAddr {
        self.public.expect("it serves")
    }

    pub fn operator(&self) -> SocketAddr {
        self.operator.expect("it serves")
    }

    pub fn get(&self, path: &str) -> Answer {
        http::get(self.address(), path)
    }

    /// Sends what only a writer may.
    pub fn send(&self, method: &str, path: &str, json: &str) -> Answer {
        http::send_with(self.address(), method, path, &self.headers(), json)
    }

    /// The lines that a writer's request has besides the usual ones.
    pub fn headers(&self) -> String {
        let lines = [
            // For whoever looks at the traffic.
            format!("user-agent: the writer of {}\r\n", self.child.id()), //~{% if features contains "auth" %}
            self.writer
                .as_ref()
                .map_or_else(String::new, |writer| writer.header(self.address())), //~{% endif %}
        ];
        lines.concat()
    }

    /// The status of a check in `/health`.
    pub fn health(&self, check: &str) -> String {
        let health = self.get("/health").json();
        health["checks"][check].as_str().unwrap_or("none").into()
    }

    pub fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Waits for the end of the process, and for all that it logs until then.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        assert!(self.ends_within(PATIENCE), "still running: {:#?}", self.log);
        self.child.wait().expect("its end")
    }

    /// Reads the log until the process ends or the time is over.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Stops it in order.
    #[track_caller]
    pub fn stop(mut self) -> Vec<String> {
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{:#?}", self.log);
        std::mem::take(&mut self.log)
    }

    /// Ends it on the spot.
    pub fn kill(mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("its end");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `public="http://127.0.0.1:8080"`, or the same in JSON.
fn address(line: &str, field: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(field)?;
    let (_, rest) = rest.split_once("://")?;
    rest.split('"').next()?.parse().ok()
}

/// The same command, run by a shell after `preparation`. `$$` is the process that it becomes.
pub fn through_shell(preparation: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(format!("{preparation}; exec \"$0\" \"$@\""))
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell
}

/// A port on which nothing listens.
pub fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener
        .local_addr()
        .expect("an address")
        .port()
        .to_string()
}

/// Whether the tests run as root, whom permissions do not stop.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Every file below `folder`.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
