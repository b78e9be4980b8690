//! One of two instances behind a balancer is replaced under load, and no client notices.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::http;
use super::process::{PATIENCE, Place};

/// How often the balancer asks whether an instance is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Passes connections on to the instances that say that they are ready, in turn.
#[derive(Clone)]
struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    instances: Mutex<Vec<SocketAddr>>,
    ready: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
    is_over: AtomicBool,
}

impl Balancer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let balancer = Self {
            address: listener.local_addr().expect("an address"),
            shared: Arc::default(),
        };
        let (asking, passing) = (balancer.clone(), balancer.clone());
        thread::spawn(move || asking.ask_the_instances());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let balancer = passing.clone();
                // A client whose connection ends early counts that itself.
                thread::spawn(move || balancer.pass_on(client));
            }
        });
        balancer
    }

    fn add(&self, instance: SocketAddr) {
        self.shared
            .instances
            .lock()
            .expect("no panic")
            .push(instance);
    }

    fn ask_the_instances(&self) {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            let instances = self.shared.instances.lock().expect("no panic").clone();
            let ready = instances.into_iter().filter(|instance| is_ready(*instance));
            let ready = ready.collect();
            *self.shared.ready.lock().expect("no panic") = ready;
            thread::park_timeout(ASK_EVERY);
        }
    }

    fn is_sending_to(&self, instance: SocketAddr) -> bool {
        let ready = self.shared.ready.lock().expect("no panic");
        ready.contains(&instance)
    }

    fn pass_on(&self, mut client: TcpStream) -> io::Result<()> {
        let turn = self.shared.turn.fetch_add(1, Ordering::SeqCst);
        let ready = self.shared.ready.lock().expect("no panic").clone();
        let mut server = TcpStream::connect(ready[turn % ready.len()])?;
        let (mut questions, mut on) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut questions, &mut on);
            let _ = on.shutdown(Shutdown::Write);
        });
        io::copy(&mut server, &mut client)?;
        client.shutdown(Shutdown::Both)
    }
}

fn is_ready(instance: SocketAddr) -> bool {
    let request = http::request(instance, "GET", "/health/ready", "", "");
    let mut answer = Vec::new();
    let asked = TcpStream::connect(instance).and_then(|mut stream| {
        stream.write_all(request.as_bytes())?;
        stream.read_to_end(&mut answer)
    });
    asked.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::park_timeout(ASK_EVERY);
    }
}

/// Asks again and again, for reads and for writes, until `is_over`; gives the number of requests and what went wrong.
fn load(
    address: SocketAddr,
    lines: &str,
    is_over: &AtomicBool,
    client: usize,
) -> (usize, Vec<String>) {
    let (mut made, mut wrong) = (0, Vec::new());
    while !is_over.load(Ordering::SeqCst) {
        let article = format!(r#"{{"title":"Client {client}, request {made}"}}"#);
        let (method, path, body, expected) = match made % 4 {
            0 => ("POST", "/api/v1/articles", article.as_str(), "HTTP/1.1 201"),
            1 => ("GET", "/health/build", "", "HTTP/1.1 200"),
            _ => ("GET", "/api/v1/articles?limit=1", "", "HTTP/1.1 200"),
        };
        let request = http::request(address, method, path, lines, body);
        let mut answer = Vec::new();
        let asked = TcpStream::connect(address).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            stream.read_to_end(&mut answer)
        });
        if asked.is_err() || !answer.starts_with(expected.as_bytes()) {
            let answer = String::from_utf8_lossy(&answer);
            wrong.push(format!("{method} {path}: {asked:?} {answer}"));
        }
        made += 1;
    }
    (made, wrong)
}

#[test]
fn an_instance_is_replaced_under_load_without_a_failed_request() {
    let place = Place::new();
    // Much longer than the balancer needs to notice, on a machine that does other things besides.
    let settings = [("APP__SERVER__DRAIN_DELAY", "3s")];
    let (old, other) = (place.serve_with(&settings), place.serve_with(&settings));
    let balancer = Balancer::start();
    balancer.add(old.address());
    balancer.add(other.address());
    let both = || balancer.is_sending_to(old.address()) && balancer.is_sending_to(other.address());
    wait_until("both become ready", both);

    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (address, is_over) = (balancer.address, Arc::clone(&is_over));
            let lines = other.headers();
            thread::spawn(move || load(address, &lines, &is_over, client))
        })
        .collect();
    let old_address = old.address();
    old.stop();
    assert!(!balancer.is_sending_to(old_address));
    let new = place.serve_with(&settings);
    balancer.add(new.address());
    wait_until("the new one becomes ready", || {
        balancer.is_sending_to(new.address())
    });
    let turn = balancer.shared.turn.load(Ordering::SeqCst);
    wait_until("both are used", || {
        balancer.shared.turn.load(Ordering::SeqCst) > turn + 20
    });
    is_over.store(true, Ordering::SeqCst);

    let results = clients
        .into_iter()
        .map(|client| client.join().expect("no panic"));
    let (made, wrong): (Vec<_>, Vec<_>) = results.unzip();
    balancer.shared.is_over.store(true, Ordering::SeqCst);
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(made.iter().all(|made| *made > 4), "{made:?}");
}
