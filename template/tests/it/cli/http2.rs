//! Clients that ask too much of HTTP/2 (RFC 9113), frame by frame: a library would keep them from it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::hostile::use_it;
use super::process::{PATIENCE, Place, Service};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `:method: GET`, `:scheme: http`, `:path: /`, by their places in the table that everybody has (RFC 7541, appendix A).
const GET: [u8; 3] = [0x82, 0x86, 0x84];

/// `:method: POST`, `:scheme: http`.
const POST: [u8; 2] = [0x83, 0x86];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short one");
    let head = [
        &length.to_be_bytes()[1..],
        &[kind, flags],
        &stream.to_be_bytes(),
    ]
    .concat();
    [&head, payload].concat()
}

/// A field whose name and value are written out (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut coded = Vec::new();
        match text.len() {
            short @ 0..127 => coded.push(u8::try_from(short).expect("short")),
            long => {
                coded.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    coded.push(u8::try_from(rest % 128 + 128).expect("a byte"));
                    rest /= 128;
                }
                coded.push(u8::try_from(rest).expect("a byte"));
            }
        }
        coded.extend_from_slice(text.as_bytes());
        coded
    };
    [vec![0], text(name), text(value)].concat()
}

/// The number of the stream that the `n`th request of a client goes by, from 0 on.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

/// What a server says in the end.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// It goes on, and has refused these streams.
    Pong(Vec<u32>),
    /// It has had enough, for this reason.
    GoAway(u32),
}

struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let mut server = TcpStream::connect(address).expect("a connection");
        server.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let settings = frame(SETTINGS, 0, 0, &[]);
        let hello = [PREFACE, &settings].concat();
        server.write_all(&hello).expect("it is sent");
        Self(server)
    }

    /// Sends `frames` and a ping as one, and listens for an answer.
    fn tell(&mut self, frames: &[u8]) -> Said {
        let Self(server) = self;
        let ping = frame(PING, 0, 0, b"are you?");
        let all = [frames, &ping].concat();
        server.write_all(&all).expect("it is sent");
        let mut refused = Vec::new();
        loop {
            let mut head = [0; 9];
            server.read_exact(&mut head).expect("a frame");
            let number = |bytes: &[u8]| {
                bytes
                    .iter()
                    .fold(0, |all, byte| all << 8 | u32::from(*byte))
            };
            let (length, kind, stream) = (number(&head[..3]), head[3], number(&head[5..]));
            let mut payload = vec![0; usize::try_from(length).expect("a short one")];
            server.read_exact(&mut payload).expect("the rest of it");
            match kind {
                RST_STREAM if number(&payload) == REFUSED_STREAM => refused.push(stream),
                PING if payload == b"are you?" => return Said::Pong(refused),
                GOAWAY => return Said::GoAway(number(&payload[4..8])),
                _ => {}
            }
        }
    }
}

/// What a client hears that begins with `frames`.
fn tell(address: SocketAddr, frames: &[u8]) -> Said {
    Client::connect(address).tell(frames)
}

fn serve(place: &Place) -> Service {
    place.serve_with(&[("APP__SERVER__H2C", "true")])
}

/// So many requests that are taken back at once.
fn taken_back(requests: u32) -> Vec<u8> {
    let pairs = (0..requests).map(|n| {
        let ask = frame(HEADERS, END_STREAM | END_HEADERS, stream(n), &GET);
        let take_back = frame(RST_STREAM, 0, stream(n), &CANCEL.to_be_bytes());
        [ask, take_back].concat()
    });
    pairs.collect::<Vec<_>>().concat()
}

#[test]
fn twenty_requests_may_be_taken_back_before_they_are_looked_at() {
    let place = Place::new();
    let service = serve(&place);
    for requests in [19, 20] {
        let said = tell(service.address(), &taken_back(requests));
        assert_eq!(said, Said::Pong(Vec::new()), "{requests}");
    }
    let said = tell(service.address(), &taken_back(21));
    assert_eq!(said, Said::GoAway(ENHANCE_YOUR_CALM));
}

#[test]
fn a_hundred_and_twenty_eight_mistakes_are_put_up_with() {
    let place = Place::new();
    let service = serve(&place);
    // The length of nothing.
    let fields = [GET.to_vec(), field("content-length", "x")].concat();
    let wrong = |n| frame(HEADERS, END_STREAM | END_HEADERS, stream(n), &fields);
    let mut client = Client::connect(service.address());
    for n in 0..128 {
        assert_eq!(client.tell(&wrong(n)), Said::Pong(Vec::new()), "{n}");
    }
    assert_eq!(client.tell(&wrong(128)), Said::GoAway(ENHANCE_YOUR_CALM));
}

#[test]
fn a_connection_may_have_a_hundred_and_twenty_eight_requests_under_way() {
    let place = Place::new();
    let service = serve(&place);
    let lines = service.headers();
    let lines = lines.lines().filter_map(|line| line.split_once(": "));
    let more: Vec<_> = lines.map(|(name, value)| field(name, value)).collect();
    let fields = [
        POST.to_vec(),
        field(":path", "/api/v1/articles"),
        field(":authority", "localhost"),
        field("content-type", "application/json"),
        more.concat(),
    ];
    // Their bodies do not come.
    let begin = |n| frame(HEADERS, END_HEADERS, stream(n), &fields.concat());
    let all = |count| (0..count).map(begin).collect::<Vec<_>>().concat();
    for count in [127, 128] {
        let said = tell(service.address(), &all(count));
        assert_eq!(said, Said::Pong(Vec::new()), "{count}");
    }
    let said = tell(service.address(), &all(129));
    assert_eq!(said, Said::Pong(vec![stream(128)]));
}

#[test]
fn requests_taken_back_by_the_thousand_hurt_nobody_else() {
    let place = Place::new();
    let service = serve(&place);
    let (address, lines, stop) = (service.address(), service.headers(), AtomicBool::new(false));
    let attack = taken_back(1000);
    thread::scope(|scope| {
        let user = scope.spawn(|| use_it(address, &lines, &stop));
        for _ in 0..100 {
            assert_eq!(tell(address, &attack), Said::GoAway(ENHANCE_YOUR_CALM));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(user.join().expect("a user without errors") > 0);
    });
}
