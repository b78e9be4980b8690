//! Thousands of requests that nobody means well by, while somebody else uses the service.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::http;
use super::process::Place;

const CLIENTS: usize = 4;

/// Paths that try to get out, to be read twice, or to be something else.
const PATHS: [&str; 24] = [
    "/../../../../etc/passwd",
    "/assets/../Cargo.toml",
    "/assets/..%2f..%2fCargo.toml",
    "/assets/%2e%2e/%2e%2e/etc/passwd",
    "/assets/....//....//etc/passwd",
    "/assets/..\\..\\Cargo.toml",
    "/%00",
    "/articles/%00",
    "/articles/a%00b",
    "/articles/%ff%fe",
    "/articles/%c0%ae%c0%ae",
    "/articles/%0d%0aset-cookie:%20a=b",
    "/articles/'%20OR%201=1--",
    "/articles/%27;DROP%20TABLE%20articles;--",
    "/api/v1/articles/..%2f..%2fadmin",
    "/api/v1/articles?limit=-1",
    "/api/v1/articles?limit=99999999999999999999",
    "/api/v1/articles?after=%00%ff",
    "/api/v1/articles?sort=%27",
    "/?tag=%0d%0a",
    "/?after=../../x",
    "//evil.example/",
    "http://evil.example/",
    "*",
];

const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "B\u{fc}G",
];

/// First lines that are hardly HTTP.
const STARTS: [&str; 11] = [
    "GET / HTTP/0.9",
    "GET / HTTP/1.0",
    "GET / HTTP/2.0",
    "GET / HTTP/9.9",
    "GET /",
    "GET  /  HTTP/1.1",
    "get / http/1.1",
    "\r\n\r\nGET / HTTP/1.1",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0",
    "",
];

/// Header lines that lie about the length, the client, the method or the line itself.
fn headers() -> Vec<Vec<u8>> {
    let long = |length| "x".repeat(length);
    let many = |most: usize| {
        let lines = (0..most).map(|n| format!("x-{n}: y"));
        lines.collect::<Vec<_>>().join("\r\n")
    };
    let cookies: Vec<_> = (0..2000).map(|n| format!("c{n}={n}")).collect();
    let cookies = cookies.join("; ");
    let lines = [
        String::new(),
        "content-length: 5\r\ncontent-length: 6".into(),
        "content-length: 5, 6".into(),
        "content-length: -1".into(),
        "content-length: 18446744073709551616".into(),
        "content-length: 0x10".into(),
        "content-length: 5\r\ntransfer-encoding: chunked".into(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity".into(),
        "transfer-encoding: xchunked".into(),
        "transfer-encoding : chunked".into(),
        " folded: line\r\n and more".into(),
        "x-bare: a\nset-cookie: b=c".into(),
        "x-bare: a\rset-cookie: b=c".into(),
        "x-null: a\0b".into(),
        "no colon".into(),
        ": no name".into(),
        "b\u{e4}d-n\u{e4}me: x".into(),
        "x-http-method-override: DELETE".into(),
        "x-method-override: DELETE\r\nx-http-method: PUT".into(),
        "x-forwarded-for: 127.0.0.1\r\nx-real-ip: 127.0.0.1\r\nforwarded: for=127.0.0.1;proto=https".into(),
        "x-original-url: /admin\r\nx-rewrite-url: /admin".into(),
        "host: evil.example\r\nhost: other.example".into(),
        "x-request-id: a\"b\\c".into(),
        format!("x-request-id: {}", long(200)),
        format!("cookie: {cookies}"),
        format!("cookie: {}", "=;".repeat(3000)),
        format!("x-long: {}", long(60_000)),
        format!("x-too-long: {}", long(200_000)),
        many(90),
        many(500),
        "accept: */*;q=abc, text/html;q=9, ;;;,,,q=".into(),
        "accept-encoding: gzip;q=x, *;q=, br;q=2".into(),
        "range: bytes=0-1,2-3,4-,-9,9999999999999999999999-".into(),
        "if-none-match: \"\"\", W/, *".into(),
        "if-match: \"x".into(),
        "authorization: Bearer \u{1}".into(),
        "expect: 200-maybe".into(),
        "upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAAA".into(),
        "origin: null\r\nsec-fetch-site: cross-site".into(),
        "content-encoding: gzip".into(),
    ];
    lines.map(String::into_bytes).to_vec()
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 8 << 20]).expect("memory");
    let bomb = bomb.finish().expect("memory");
    let json = "content-type: application/json";
    let form = "content-type: application/x-www-form-urlencoded";
    vec![
        (json, b"{".to_vec()),
        (json, "[".repeat(50_000).into_bytes()),
        (json, "{\"title\":".repeat(50_000).into_bytes()),
        (json, b"{\"title\":\"\xff\xfe\"}".to_vec()),
        (
            json,
            b"{\"title\":\"\\ud800\",\"status\":\"published\"}".to_vec(),
        ),
        (
            json,
            b"{\"title\":\"a\\u0000b\",\"body\":\"\\u0000\"}".to_vec(),
        ),
        (json, b"{\"title\":1e999999}".to_vec()),
        (json, b"{\"title\":\"a\",\"title\":\"b\"}".to_vec()),
        (json, b"null".to_vec()),
        (json, b"{\"__proto__\":{\"a\":1}}".to_vec()),
        (
            "content-type: application/json\r\ncontent-encoding: gzip",
            bomb,
        ),
        (
            "content-type: application/xml",
            b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>".to_vec(),
        ),
        ("content-type: \u{1}", b"x".to_vec()),
        (form, b"title=%zz&%00=%ff&csrf_token=%00".to_vec()),
        (form, b"csrf_token=AAAA&title=x&".repeat(500)),
        (form, [b"title=", "a".repeat(100_000).as_bytes()].concat()),
        (
            "content-type: multipart/form-data; boundary=",
            b"--\r\n\r\n".to_vec(),
        ),
        ("transfer-encoding: chunked", b"5\r\nabc".to_vec()),
        (
            "transfer-encoding: chunked",
            b"fffffffffffffffff\r\n".to_vec(),
        ),
        ("transfer-encoding: chunked", b"-1\r\n\r\n".to_vec()),
        (
            "transfer-encoding: chunked",
            b"1;a=\"\n\r\nx\r\n0\r\n\r\n".to_vec(),
        ),
    ]
}

/// A request as it goes over the wire.
fn request(start: &str, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let start = format!("{start}\r\nhost: localhost\r\nconnection: close\r\n");
    let line = if headers.is_empty() { "" } else { "\r\n" };
    let end = [line.as_bytes(), b"\r\n", body].concat();
    [start.as_bytes(), headers, &end].concat()
}

/// Every path with every method, and every header with the usual ones.
fn lines() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for path in PATHS {
        for method in METHODS {
            requests.push(request(&format!("{method} {path} HTTP/1.1"), b"", b""));
        }
    }
    for header in headers() {
        for path in ["/", "/api/v1/articles", "/articles/new", "/nowhere"] {
            for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
                let start = format!("{method} {path} HTTP/1.1");
                requests.push(request(&start, &header, b"12345"));
            }
        }
        for start in STARTS {
            requests.push(request(start, &header, b""));
        }
    }
    for length in [1_000, 10_000, 60_000, 70_000, 500_000] {
        for path in ["/", "/articles/", "/?", "/api/v1/articles?tag="] {
            let path = path.to_owned() + &"a".repeat(length);
            requests.push(request(&format!("GET {path} HTTP/1.1"), b"", b""));
        }
    }
    requests
}

/// Every body with a right length, a wrong one and none.
fn loads() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for (header, body) in bodies() {
        for route in [
            "POST /api/v1/articles",
            "PUT /api/v1/articles/00000000-0000-0000-0000-000000000000",
            "POST /articles/new",
            "POST /articles/x/delete",
            "PATCH /",
        ] {
            let short = format!("{header}\r\ncontent-length: {}", body.len());
            let long = format!("{header}\r\ncontent-length: {}", body.len() + 100);
            for header in [header, &short, &long] {
                let start = format!("{route} HTTP/1.1");
                requests.push(request(&start, header.as_bytes(), &body));
            }
        }
    }
    requests
}

fn corpus() -> Vec<Vec<u8>> {
    let mut requests = [lines(), loads()].concat();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let mut noise = requests[random.usize(..requests.len())].clone();
        for _ in 0..=random.usize(..8) {
            let place = random.usize(..noise.len().min(400));
            noise[place] = random.u8(..);
        }
        requests.push(noise);
    }
    requests
}

/// What stands in files that no path may lead to.
const SECRETS: [&str; 2] = ["root:x:0:", "[dependencies]"];

/// The statuses of all answers to one request, which may be none.
fn attack(address: SocketAddr, request: &[u8]) -> Vec<u16> {
    let mut stream = http::connect(address);
    // It may be refused before it is read to the end.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ) =>
        {
            panic!(
                "no end of the answer to {:?}",
                String::from_utf8_lossy(request)
            );
        }
        _ => {}
    }
    let text = String::from_utf8_lossy(&answer);
    let is_leak = SECRETS.iter().any(|secret| text.contains(secret));
    assert!(!is_leak, "{:?}", String::from_utf8_lossy(request));
    let lines = text.lines().filter_map(|line| line.strip_prefix("HTTP/1."));
    let codes = lines.filter_map(|line| line.get(2..5));
    codes.filter_map(|code| code.parse().ok()).collect()
}

/// Reads and writes until `stop`, and says how often.
pub(super) fn use_it(address: SocketAddr, lines: &str, stop: &AtomicBool) -> usize {
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) || answered == 0 {
        for path in ["/api/v1/articles", "/health", "/api/openapi.json"] {
            assert_eq!(http::get(address, path).status, 200, "{path}");
        }
        let article = format!(r#"{{"title":"Calm {answered}","status":"published"}}"#);
        let answer = http::send_with(address, "POST", "/api/v1/articles", lines, &article);
        assert_eq!(answer.status, 201, "{}", answer.body);
        answered += 1;
    }
    answered
}

#[test]
fn whatever_is_sent_nobody_is_hurt() {
    let place = Place::new();
    let service = place.serve();
    let corpus = corpus();
    assert!(corpus.len() >= 2000, "{}", corpus.len());
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (address, lines) = (service.address(), service.headers());
    let attacker = || {
        while let Some(request) = corpus.get(next.fetch_add(1, Ordering::Relaxed)) {
            for status in attack(address, request) {
                // 505 and 501 say that it is not spoken here.
                let is_refusal = status < 500 || status == 501 || status == 505;
                let shown = String::from_utf8_lossy(&request[..request.len().min(300)]);
                assert!(is_refusal, "{status} for {shown:?}");
            }
        }
    };
    thread::scope(|scope| {
        let user = scope.spawn(|| use_it(address, &lines, &stop));
        let attackers: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(attacker)).collect();
        let ended: Vec<_> = attackers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        stop.store(true, Ordering::Relaxed);
        assert!(user.join().expect("a user without errors") > 0);
        for end in ended {
            end.expect("an attack without effect");
        }
    });
    let titles = service.titles();
    assert!(
        titles.iter().all(|title| title.starts_with("Calm ")),
        "{titles:?}"
    );
    let log = service.stop();
    assert!(
        !log.iter().any(|line| line.contains("panicked")),
        "{log:#?}"
    );
}
