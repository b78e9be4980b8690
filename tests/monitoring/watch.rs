//! A service under load, Prometheus that scrapes it by copies of the shipped files in which time runs faster, Alertmanager,
//! and the webhook that it calls.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use xtask::monitoring::{self, PATIENCE};
use xtask::postgres::free_port;
use xtask::process;
use xtask::prometheus::{self, Server};
use xtask::repo;
use xtask::service::{self, Service};

/// How long the service stands still, and how many requests it has in its hands meanwhile.
const HANG: Duration = Duration::from_millis(300);
const REQUESTS: usize = 8;

pub struct Watch {
    binary: PathBuf,
    ports: (u16, u16),
    /// The service, in a folder of its own; none while it is down.
    running: Option<(Service, TempDir)>,
    prometheus: Server,
    _alertmanager: Server,
    alerts: Receiver<(String, String)>,
    /// What the webhook was told so far: status and name.
    told: BTreeSet<(String, String)>,
    _load: Load,
    _folder: TempDir,
}

impl Watch {
    /// Watches a service with these settings.
    pub fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let template = repo::root().join("template");
        process::capture(service::cargo(&template).arg("build"))?;
        let binary = service::binary("service", "debug");
        let ports = (free_port()?, free_port()?);
        let (own, alerting) = (free_port()?, free_port()?);
        let (webhook, alerts) = listen()?;
        let folder = TempDir::new()?;
        configure(folder.path(), [ports.1, own, alerting, webhook])?;
        let running = start_service(&binary, ports, settings, |_| Ok(()))?;
        Ok(Self {
            _load: Load::start(&running.0)?,
            running: Some(running),
            _alertmanager: prometheus::alertmanager(folder.path(), alerting)?,
            prometheus: prometheus::prometheus(folder.path(), own)?,
            binary,
            ports,
            alerts,
            told: BTreeSet::new(),
            _folder: folder,
        })
    }

    /// Where Prometheus is asked.
    pub fn prometheus(&self) -> &str {
        &self.prometheus.address
    }

    /// Waits until the webhook was told of every one of `alerts` that it is `status`.
    pub fn wait_for(&mut self, status: &str, alerts: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        for alert in alerts {
            let wanted = (status.to_owned(), (*alert).to_owned());
            while !self.told.remove(&wanted) {
                let left = deadline.saturating_duration_since(Instant::now());
                let told = self.alerts.recv_timeout(left);
                let told = told.unwrap_or_else(|_| panic!("not told: {wanted:?}\n{}", self.log()));
                self.told.insert(told);
            }
        }
    }

    /// Lets the service stand still with requests in its hands, again and again, until the webhook is told that `alert` fires.
    pub fn hang_until(&mut self, alert: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let wanted = ("firing".to_owned(), alert.to_owned());
        while !self.told.remove(&wanted) {
            ensure!(Instant::now() < deadline, "not told: {wanted:?}");
            self.hang()?;
            self.told.extend(self.alerts.try_iter());
        }
        Ok(())
    }

    fn hang(&self) -> Result<()> {
        let (service, _) = self.running.as_ref().context("it runs")?;
        let (address, authorization) = (&service.address, service.authorization()?);
        let head = format!(
            "POST /api/v1/articles HTTP/1.1\r\nHost: {address}\r\n{authorization}\
             Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        );
        let begin = |_| {
            let mut request = TcpStream::connect(address)?;
            request.write_all(head.as_bytes())?;
            Ok(request)
        };
        let requests = (0..REQUESTS).map(begin).collect::<Result<Vec<_>>>()?;
        // It has read the heads then, and waits for the bodies.
        thread::sleep(Duration::from_millis(20));
        service.freeze(HANG)?;
        for mut request in requests {
            // Those it has refused at once need none.
            let _ = request.write_all(b"{}");
            let _ = request.read_to_end(&mut Vec::new());
        }
        Ok(())
    }

    /// Overwrites what the running service has stored.
    pub fn damage_database(&self) -> Result<()> {
        let (_, folder) = self.running.as_ref().context("it runs")?;
        for name in ["app.db", "app.db-wal"] {
            let file = folder.path().join("data").join(name);
            let length = fs::metadata(&file)?.len();
            let mut file = fs::OpenOptions::new().write(true).open(&file)?;
            file.write_all(&vec![0xa5; usize::try_from(length)?])?;
        }
        Ok(())
    }

    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Starts the service anew, at the same addresses, as nobody has set it up, with data of its own that `prepare` may
    /// spoil.
    pub fn restart(&mut self, prepare: impl Fn(&Path) -> std::io::Result<()>) -> Result<()> {
        self.stop();
        self.running = Some(start_service(&self.binary, self.ports, &[], prepare)?);
        Ok(())
    }

    /// The last lines of the service's log, for a message.
    pub fn log(&self) -> String {
        let log = self.running.as_ref().map(|(service, _)| service.log());
        let log = log.unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(5).collect();
        last.join("\n")
    }
}

fn start_service(
    binary: &Path,
    ports: (u16, u16),
    settings: &[(&str, &str)],
    prepare: impl Fn(&Path) -> std::io::Result<()>,
) -> Result<(Service, TempDir)> {
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    fs::create_dir(&data)?;
    prepare(&data)?;
    let service = Service::start_on(binary, folder.path(), ports, settings)?;
    Ok((service, folder))
}

/// Copies of the shipped files with the ports of this test.
fn configure(folder: &Path, [operator, own, alerting, webhook]: [u16; 4]) -> Result<()> {
    let shipped = repo::root().join("monitoring");
    monitoring::copy_faster(&shipped, folder, |text| {
        let ports = [(":2112", operator), (":9090", own), (":9093", alerting)];
        let text = ports.iter().fold(text, |text, (usual, port)| {
            text.replace(usual, &format!(":{port}"))
        });
        // The example of a receiver, switched on.
        text.replace("# webhook_configs:", "webhook_configs:")
            .replace(
                "#   - url: http://127.0.0.1:9099/",
                &format!("  - url: http://127.0.0.1:{webhook}/"),
            )
    })
}

/// Visitors of all kinds, until it is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    fn start(service: &Service) -> Result<Self> {
        let (address, operator) = (service.address.clone(), service.operator.clone());
        let authorization = service.authorization()?.to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let visits = move || {
            for n in 0_u64.. {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                for path in [
                    "/",
                    "/api/v1/articles",
                    "/nowhere",
                    "/sitemap.xml",
                    "/health",
                ] {
                    // The service is down for a part of the time.
                    let _ = service::get(&address, path);
                }
                let article =
                    format!(r#"{{"title":"Number {n}","body":"Text.","status":"published"}}"#);
                let path = "/api/v1/articles";
                let _ = service::send(&address, "POST", path, &authorization, &article);
                let _ = service::get(&operator, "/admin/cache/stats");
            }
        };
        Ok(Self {
            stop,
            thread: Some(thread::spawn(visits)),
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A webhook on a port of its own, and the status and name of each alert it is told of.
fn listen() -> Result<(u16, Receiver<(String, String)>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(Value::Object(notice)) = receive(stream) else {
                continue;
            };
            for alert in notice["alerts"].as_array().into_iter().flatten() {
                let status = alert["status"].as_str().unwrap_or_default();
                let name = alert["labels"]["alertname"].as_str().unwrap_or_default();
                if tell.send((status.to_owned(), name.to_owned())).is_err() {
                    return;
                }
            }
        }
    });
    Ok((port, told))
}

/// Reads one request with a JSON body and thanks for it.
fn receive(stream: TcpStream) -> Result<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.get_mut().write_all(answer)?;
    Ok(serde_json::from_slice(&body)?)
}
