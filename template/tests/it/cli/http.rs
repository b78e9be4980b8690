//! HTTP by hand: requests that stop halfway need a client that does as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::process::{PATIENCE, Service};

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no answer: {text:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, "GET", path, "")
}

/// One request on a connection of its own.
pub fn send(address: SocketAddr, method: &str, path: &str, json: &str) -> Answer {
    send_with(address, method, path, "", json)
}

/// The same with more lines in its head.
pub fn send_with(address: SocketAddr, method: &str, path: &str, lines: &str, json: &str) -> Answer {
    let mut stream = connect(address);
    let request = request(address, method, path, lines, json);
    stream
        .write_all(request.as_bytes())
        .expect("the request is sent");
    read_to_end(stream)
}

/// The text of a request after which the connection closes.
pub fn request(address: SocketAddr, method: &str, path: &str, lines: &str, json: &str) -> String {
    let length = json.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\n{lines}content-length: {length}\r\n\r\n{json}"
    )
}

/// A request without a body that shows a token.
pub fn send_with_token(address: SocketAddr, method: &str, path: &str, token: &str) -> Answer {
    let mut stream = connect(address);
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n"
    )
    .expect("the request is sent");
    read_to_end(stream)
}

/// A connection on which nothing blocks forever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// The answer on a connection that the service closes after it.
pub fn read_to_end(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer does not make it less of one.
    let _ = stream.read_to_end(&mut bytes);
    Answer::parse(&String::from_utf8_lossy(&bytes))
}

/// A POST of which the head and half the body are sent, and which the service waits for.
pub struct HalfSent {
    stream: TcpStream,
    rest: &'static str,
}

impl HalfSent {
    pub fn article(service: &Service) -> Self {
        let (address, lines) = (service.address(), service.headers());
        let (half, rest) = (r#"{"title":"Half of "#, r#"it","status":"published"}"#);
        let mut stream = connect(address);
        let length = half.len() + rest.len();
        // The service says 100 when it begins to read the body, which is when the request is in flight.
        write!(
            stream,
            "POST /api/v1/articles HTTP/1.1\r\nhost: {address}\r\nexpect: 100-continue\r\n\
             content-type: application/json\r\n{lines}content-length: {length}\r\n\r\n"
        )
        .expect("the head is sent");
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).expect("an interim answer");
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(half.as_bytes()).expect("half is sent");
        Self { stream, rest }
    }

    pub fn finish(mut self) -> Answer {
        self.stream
            .write_all(self.rest.as_bytes())
            .expect("the rest is sent");
        self.answer()
    }

    /// What the service says, without the rest.
    pub fn answer(self) -> Answer {
        read_to_end(self.stream)
    }
}

/// One request on a connection that stays open, and its status.
pub fn ask(stream: &mut TcpStream, path: &str) -> u16 {
    write_get(stream, path);
    read_answer(stream).status
}

/// The next answer on a connection that stays open.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        seen.push(byte[0]);
    }
    let answer = Answer::parse(&String::from_utf8_lossy(&seen));
    let length = answer.header("content-length").and_then(|n| n.parse().ok());
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).expect("a body");
    seen.extend(body);
    Answer::parse(&String::from_utf8_lossy(&seen))
}

/// A request whose answer is not waited for. In one piece: after the first the other side may be gone.
pub fn write_get(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
}
