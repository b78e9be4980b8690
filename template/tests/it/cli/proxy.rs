//! A way to the database server that a test can cut, block and restore.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

pub struct Proxy {
    address: SocketAddr,
    target: String,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    frozen: AtomicBool,
    /// Both ends of every connection.
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub fn to(target: &str) -> Self {
        let mut proxy = Self {
            address: ([127, 0, 0, 1], 0).into(),
            target: target.to_owned(),
            state: Arc::default(),
            accepting: None,
        };
        proxy.restore();
        proxy
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Closes every connection and refuses new ones.
    pub fn cut(&mut self) {
        self.state.cut.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then lets go of the port.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("the proxy ends well");
        }
        for stream in self.state.open.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Keeps every connection open and says nothing more on it; new ones are met with silence too.
    pub fn freeze(&self) {
        self.state.frozen.store(true, Ordering::SeqCst);
    }

    /// Listens, on the same port as before.
    pub fn restore(&mut self) {
        let listener = TcpListener::bind(self.address).expect("the port");
        self.address = listener.local_addr().expect("an address");
        self.state.cut.store(false, Ordering::SeqCst);
        let (state, target) = (Arc::clone(&self.state), self.target.clone());
        self.accepting = Some(thread::spawn(move || {
            for client in listener.incoming() {
                if state.cut.load(Ordering::SeqCst) {
                    return;
                }
                let client = client.expect("a connection");
                let server = TcpStream::connect(&target).expect("the server of the test");
                forward(&state, &client, &server);
                forward(&state, &server, &client);
                state
                    .open
                    .lock()
                    .expect("no panic")
                    .extend([client, server]);
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Copies in one direction until one end closes.
fn forward(state: &Arc<State>, from: &TcpStream, to: &TcpStream) {
    let state = Arc::clone(state);
    let mut from = from.try_clone().expect("a handle");
    let mut to = to.try_clone().expect("a handle");
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if !state.frozen.load(Ordering::SeqCst) && to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
