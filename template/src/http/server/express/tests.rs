//! The short way and hyper's, taken in turns on one connection: nothing is lost, mixed up, or answered twice.

mod pace;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Notify, watch};
use tokio::task::yield_now;

use super::*;
use crate::http::server::connection::{Connections, Phase};
use crate::http::server::http2::speaks_http2;
use crate::http::{Plain, ServerSettings};

/// Has everything below `/kept/` at hand, and says of everything else what was asked.
#[derive(Clone, Default)]
struct Service {
    kept: Arc<AtomicUsize>,
    handled: Arc<AtomicUsize>,
    /// Lets the answer to `/slow` go.
    may_end: Arc<Notify>,
}

impl Answer for Service {
    type Body = Full<Bytes>;

    fn at_hand(&self, _client: &Client, request: &Plain<'_>) -> Option<Response<Full<Bytes>>> {
        let length: usize = request.target.strip_prefix("/kept/")?.parse().ok()?;
        self.kept.fetch_add(1, Ordering::Relaxed);
        Some(Response::new(vec![b'k'; length].into()))
    }

    fn answer(
        &self,
        _client: &Arc<Client>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<> {
        self.handled.fetch_add(1, Ordering::Relaxed);
        let may_end = Arc::clone(&self.may_end);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            if head.uri == "/slow" {
                may_end.notified().await;
            }
            // Not at once, so that the connection waits in between.
            yield_now().await;
            let text = format!("{} {} {}", head.method, head.uri, body.escape_ascii());
            Response::new(text.into())
        }
    }
}

/// Those of a new service, but for the times.
pub(crate) fn settings() -> ServerSettings {
    let defaults = include_str!("../../../../config/default.toml");
    let mut defaults: toml::Table = defaults.parse().expect("TOML");
    let server = defaults.remove("server").expect("a section");
    let mut settings: ServerSettings = server.try_into().expect("settings");
    settings.idle_timeout = Duration::from_mins(1);
    settings.read_header_timeout = Duration::from_secs(5);
    settings
}

/// A client and what it talks to.
struct Talk {
    stream: DuplexStream,
    service: Service,
    phase: watch::Sender<Phase>,
    read: Vec<u8>,
}

impl Talk {
    /// At most `room` bytes are under way in each direction.
    fn new(room: usize) -> Self {
        let (stream, other) = duplex(room);
        Self::begin(stream, async { other })
    }

    /// With a service that looks for HTTP/2 first.
    fn with_h2c(room: usize) -> Self {
        let (stream, other) = duplex(room);
        Self::begin(stream, async {
            let (stream, is_http2) = speaks_http2(Box::new(other)).await.expect("a beginning");
            assert!(!is_http2);
            stream
        })
    }

    fn begin<S: Duplex + 'static>(
        stream: DuplexStream,
        open: impl Future<Output = S> + Send + 'static,
    ) -> Self {
        let (phase, ending) = watch::channel(Phase::Serving);
        let service = Service::default();
        let client = Arc::new(Client {
            address: ([127, 0, 0, 1], 1).into(),
            ip: "127.0.0.1".into(),
            is_tls: false,
        });
        let connections = Connections::new(&settings());
        let answering = service.clone();
        tokio::spawn(async move {
            let other = open.await;
            connections.http1(other, client, answering, ending).await;
        });
        Self {
            stream,
            service,
            phase,
            read: Vec::new(),
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it is taken");
    }

    /// The body of the next answer.
    async fn receive(&mut self) -> String {
        loop {
            if let Some((body, length)) = first_answer(&self.read) {
                self.read.drain(..length);
                return body;
            }
            let read = self.stream.read_buf(&mut self.read).await.expect("more");
            assert_ne!(read, 0, "it ended early: {}", self.read.escape_ascii());
        }
    }

    async fn ask(&mut self, message: &str) -> String {
        self.send(message.as_bytes()).await;
        self.receive().await
    }

    async fn is_closed(&mut self) -> bool {
        self.stream
            .read_buf(&mut self.read)
            .await
            .is_ok_and(|read| read == 0)
    }

    fn kept(&self) -> usize {
        self.service.kept.load(Ordering::Relaxed)
    }

    fn handled(&self) -> usize {
        self.service.handled.load(Ordering::Relaxed)
    }
}

/// The first whole answer in `bytes`: its body, and the length of all of it.
fn first_answer(bytes: &[u8]) -> Option<(String, usize)> {
    let text = std::str::from_utf8(bytes).expect("text");
    let (head, rest) = text.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let mut lengths = head
        .lines()
        .filter_map(|line| line.strip_prefix("content-length: "));
    let length = lengths.next().expect("a length").parse().expect("a number");
    assert_eq!(lengths.next(), None);
    let body = rest.get(..length)?.to_owned();
    Some((body, head.len() + 4 + length))
}

const KEPT: &str = "GET /kept/3 HTTP/1.1\r\nhost: x\r\n\r\n";
const OTHER: &str = "GET /other HTTP/1.1\r\nhost: x\r\n\r\n";
const POST: &str = "POST /other HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody";
const CHUNKED: &str =
    "POST /other HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";

#[tokio::test]
async fn what_is_at_hand_is_answered_before_and_after_what_is_not() {
    let mut talk = Talk::new(4096);
    for round in 1..=3 {
        assert_eq!(talk.ask(KEPT).await, "kkk");
        assert_eq!(talk.ask(OTHER).await, "GET /other ");
        assert_eq!(talk.ask(KEPT).await, "kkk");
        assert_eq!(talk.ask(POST).await, "POST /other body");
        assert_eq!((talk.kept(), talk.handled()), (2 * round, 2 * round));
    }
}

#[tokio::test]
async fn a_body_that_comes_later_is_no_request() {
    let mut talk = Talk::new(4096);
    let hidden = KEPT.len();
    let head = format!("POST /other HTTP/1.1\r\nhost: x\r\ncontent-length: {hidden}\r\n\r\n");
    talk.send(head.as_bytes()).await;
    while talk.handled() == 0 {
        yield_now().await;
    }
    let answer = talk.ask(KEPT).await;
    assert!(answer.starts_with("POST /other GET /kept/3"), "{answer}");
    assert_eq!(talk.kept(), 0);
    assert_eq!(talk.ask(KEPT).await, "kkk");
    assert_eq!(talk.kept(), 1);
}

#[tokio::test]
async fn what_is_at_hand_waits_for_the_answer_before() {
    let mut talk = Talk::new(4096);
    talk.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    while talk.handled() == 0 {
        yield_now().await;
    }
    talk.send(KEPT.as_bytes()).await;
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(talk.kept(), 0);
    talk.service.may_end.notify_one();
    assert_eq!(talk.receive().await, "GET /slow ");
    assert_eq!(talk.receive().await, "GET /kept/3 ");
}

#[tokio::test]
async fn a_request_in_two_parts_goes_to_hyper() {
    let mut talk = Talk::new(4096);
    let (first, second) = KEPT.split_at(20);
    talk.send(first.as_bytes()).await;
    for _ in 0..10 {
        yield_now().await;
    }
    assert_eq!(talk.ask(second).await, "GET /kept/3 ");
    assert_eq!((talk.kept(), talk.handled()), (0, 1));
    // From here on nobody but hyper knows where a message begins.
    assert_eq!(talk.ask(KEPT).await, "GET /kept/3 ");
}

#[tokio::test]
async fn what_says_more_than_a_plain_request_goes_to_hyper() {
    for line in [
        "range: bytes=0-1",
        "authorization: Bearer x",
        "content-length: 0",
        "Transfer-Encoding: chunked",
        "connection: close",
        "connection: keep-alive, upgrade",
        "UPGRADE: websocket",
        "expect: 100-continue",
        "content-length: 0\r\ncontent-length: 0",
    ] {
        let mut talk = Talk::new(4096);
        talk.send(format!("GET /kept/3 HTTP/1.1\r\nhost: x\r\n{line}\r\n\r\n").as_bytes())
            .await;
        if line.starts_with("Transfer") {
            talk.send(b"0\r\n\r\n").await;
        }
        assert_eq!(talk.receive().await, "GET /kept/3 ", "{line}");
        assert_eq!((talk.kept(), talk.handled()), (0, 1), "{line}");
    }
    for target in [
        "*",
        "http://x/kept/3",
        "x:1",
        "/kept/3?<",
        "/kept/3?\"",
        "/>",
    ] {
        let mut talk = Talk::new(4096);
        talk.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
            .await;
        while talk.handled() == 0 && !talk.is_closed().await {}
        assert_eq!(talk.kept(), 0, "{target}");
    }
}

#[tokio::test]
async fn an_older_version_of_the_protocol_goes_to_hyper() {
    let mut talk = Talk::new(4096);
    talk.send(b"GET /kept/3 HTTP/1.0\r\n\r\n").await;
    let mut answer = String::new();
    talk.stream
        .read_to_string(&mut answer)
        .await
        .expect("an end");
    assert!(answer.starts_with("HTTP/1.0 200 OK") && answer.ends_with("GET /kept/3 "));
    assert_eq!(talk.kept(), 0);
}

#[tokio::test]
async fn an_idle_connection_ends_when_the_service_does() {
    for before in [None, Some(KEPT), Some(OTHER)] {
        let mut talk = Talk::new(4096);
        if let Some(before) = before {
            talk.ask(before).await;
        }
        talk.phase.send_replace(Phase::Ending);
        assert!(talk.is_closed().await, "{before:?}");
    }
}

#[tokio::test]
async fn the_look_for_http_2_leaves_the_first_request_whole() {
    let mut talk = Talk::with_h2c(4096);
    for _ in 0..3 {
        assert_eq!(talk.ask(KEPT).await, "kkk");
    }
    assert_eq!((talk.kept(), talk.handled()), (3, 0));
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let mut talk = Talk::new(1 << 20);
    for _ in 0..100 {
        talk.send(KEPT.as_bytes()).await;
        yield_now().await;
    }
    for _ in 0..100 {
        assert!(is_answer("kkk", &talk.receive().await));
    }
}

/// What is sent, and what comes back.
fn message(random: &mut fastrand::Rng) -> (String, String) {
    match random.u8(..8) {
        0..3 => {
            let length = [0, 1, 100, 5000, 40_000][random.usize(..5)];
            let target = format!("GET /kept/{length} HTTP/1.1\r\nhost: x\r\n\r\n");
            (target, "k".repeat(length))
        }
        3 => (OTHER.into(), "GET /other ".into()),
        4 => (POST.into(), "POST /other body".into()),
        5 => (CHUNKED.into(), "POST /other body".into()),
        // A body that looks like a request.
        6 => {
            let length = KEPT.len();
            let head = format!("PUT / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{KEPT}");
            (head, format!("PUT / {}", KEPT.as_bytes().escape_ascii()))
        }
        _ => {
            let many = "x: y\r\n".repeat(random.usize(..90));
            (
                format!("GET /many HTTP/1.1\r\n{many}\r\n"),
                "GET /many ".into(),
            )
        }
    }
}

#[tokio::test]
async fn every_answer_is_that_of_its_request_in_whatever_pieces_they_come() {
    for seed in 0..500 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let mut talk = Talk::new(1 << random.u32(5..16));
        let messages: Vec<_> = (0..random.usize(1..12)).map(|_| message(random)).collect();
        let waits = random.bool();
        if waits {
            for (message, answer) in &messages {
                send_in_pieces(&mut talk, message.as_bytes(), random).await;
                assert!(is_answer(answer, &talk.receive().await), "seed {seed}");
            }
            continue;
        }
        let all: String = messages
            .iter()
            .map(|(message, _)| message.as_str())
            .collect();
        let (mut reader, mut writer) = tokio::io::split(talk.stream);
        let write = async { writer.write_all(all.as_bytes()).await.expect("it is taken") };
        let read = async {
            let mut read = Vec::new();
            for (_, answer) in &messages {
                let (got, length) = loop {
                    if let Some(found) = first_answer(&read) {
                        break found;
                    }
                    let more = reader.read_buf(&mut read).await.expect("more");
                    assert_ne!(more, 0, "seed {seed}: it ended early");
                };
                assert!(is_answer(answer, &got), "seed {seed}");
                read.drain(..length);
            }
            assert!(read.is_empty(), "seed {seed}");
        };
        tokio::join!(write, read);
    }
}

/// Who has it at hand and who handles it say different things of the same target.
fn is_answer(expected: &str, got: &str) -> bool {
    let length = got
        .strip_prefix("GET /kept/")
        .and_then(|length| length.trim().parse().ok());
    expected == got || length == Some(expected.len())
}

async fn send_in_pieces(talk: &mut Talk, mut bytes: &[u8], random: &mut fastrand::Rng) {
    while !bytes.is_empty() {
        let most = if random.bool() {
            bytes.len()
        } else {
            bytes.len().min(30)
        };
        let (piece, rest) = bytes.split_at(random.usize(1..=most));
        talk.send(piece).await;
        for _ in 0..random.u8(..4) {
            yield_now().await;
        }
        bytes = rest;
    }
}
