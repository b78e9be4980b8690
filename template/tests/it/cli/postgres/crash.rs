//! A server of the test's own that crashes, freezes and comes back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cli::http;
use crate::cli::process::{PATIENCE, Place, Service, free_port, is_root, signal};

struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: String,
    process: Option<Child>,
}

impl Server {
    /// `None` where the server's programs are not installed.
    fn start() -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let programs = versions
            .flatten()
            .map(|version| version.path().join("bin"))
            .find(|programs| programs.join("initdb").exists())?;
        let folder = tempfile::tempdir().expect("a folder");
        if is_root() {
            // It refuses to run as root.
            let mut chown = Command::new("chown");
            chown.arg("postgres:").arg(folder.path());
            assert!(chown.status().is_ok_and(|status| status.success()));
        }
        let mut server = Self {
            programs,
            folder,
            port: free_port(),
            process: None,
        };
        let made = server
            .command("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"])
            .args(["--no-sync", "-D"])
            .arg(server.data())
            .stdout(Stdio::null())
            .status();
        assert!(made.is_ok_and(|status| status.success()));
        server.run();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            setpriv.arg(program);
            setpriv
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path());
        command
    }

    fn run(&mut self) {
        let process = self
            .command("postgres")
            .args(["-p", &self.port, "-c", "listen_addresses=127.0.0.1", "-k"])
            .arg(self.folder.path())
            .arg("-D")
            .arg(self.data())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.expect("the server starts"));
    }

    /// Ends it without a checkpoint: what it has committed is in its log only.
    fn crash(&mut self) {
        let mut process = self.process.take().expect("it runs");
        signal("QUIT", process.id());
        process.wait().expect("its end");
    }

    /// Sends a signal to the server and to all that it has started.
    fn signal_all(&self, name: &str) {
        let server = self.process.as_ref().expect("it runs").id();
        let children = Path::new("/proc").join(format!("{server}/task/{server}/children"));
        let children = fs::read_to_string(children).expect("the list of its processes");
        signal(name, server);
        for child in children.split_whitespace() {
            signal(name, child.parse().expect("a number"));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.signal_all("CONT");
            self.crash();
        }
    }
}

fn serve(place: &Place, server: &Server) -> Service {
    place.serve_with(&[
        ("DATABASE_URL", &server.url()),
        ("APP__DATABASE__ACQUIRE_TIMEOUT", "500ms"),
        ("APP__DATABASE__STATEMENT_TIMEOUT", "500ms"),
    ])
}

/// Tries until a write goes through, and expects nothing but patience to be asked for until then.
fn publish_when_it_is_back(service: &Service, title: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = service.try_to_publish(title);
        if answer.status == 201 {
            return;
        }
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.header("retry-after").is_some());
        assert!(Instant::now() < deadline, "it does not come back");
    }
}

#[test]
fn what_was_answered_survives_a_crash_of_the_server() {
    let Some(mut server) = Server::start() else {
        println!("skipped: no PostgreSQL server is installed here");
        return;
    };
    let place = Place::new();
    let service = serve(&place, &server);
    let is_over = AtomicBool::new(false);
    let (address, lines) = (service.address(), service.headers());
    let kept = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut kept = Vec::new();
            for number in 0.. {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let title = format!("Number {number}");
                let article = format!(r#"{{"title":"{title}","status":"published"}}"#);
                let answer = http::send_with(address, "POST", "/api/v1/articles", &lines, &article);
                match answer.status {
                    201 => kept.push(title),
                    status => assert_eq!(status, 503, "{}", answer.body),
                }
            }
            kept
        });
        for _ in 0..3 {
            server.crash();
            assert_eq!(service.get("/health/live").status, 200);
            server.run();
            publish_when_it_is_back(&service, &format!("Back {:?}", Instant::now()));
        }
        is_over.store(true, Ordering::SeqCst);
        writer.join().expect("no panic")
    });
    assert!(!kept.is_empty());
    for title in kept {
        let slug = title.to_lowercase().replace(' ', "-");
        let again = format!(r#"{{"title":"{title}","slug":"{slug}"}}"#);
        let answer = service.send("POST", "/api/v1/articles", &again);
        assert_eq!(answer.status, 409, "{title} is gone: {}", answer.body);
    }
}

#[test]
fn a_frozen_server_costs_no_more_than_the_limits_say_and_is_used_when_it_thaws() {
    let Some(server) = Server::start() else {
        println!("skipped: no PostgreSQL server is installed here");
        return;
    };
    let place = Place::new();
    let service = serve(&place, &server);
    service.publish("Before");
    server.signal_all("STOP");
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(service.get("/api/v1/articles").status, 503);
    }
    // Twenty times the limits would be longer: the circuit breaker answers most of them.
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(service.get("/health/live").status, 200);
    server.signal_all("CONT");
    publish_when_it_is_back(&service, "After");
    assert_eq!(service.titles(), ["After", "Before"]);
}
