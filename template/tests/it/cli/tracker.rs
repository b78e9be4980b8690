//! What the running service tells a tracker of errors.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

use super::http;
use super::process::{PATIENCE, Place};

#[test]
fn a_defect_of_the_running_service_reaches_the_tracker() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let tracker = listener.local_addr().expect("an address");
    let taken = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a report");
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let begun = head.len();
            stream.read_line(&mut head).expect("a line");
            let line = head[begun..].to_ascii_lowercase();
            if let Some(bytes) = line.strip_prefix("content-length:") {
                length = bytes.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("the body");
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.get_mut().write_all(answer).expect("it is sent");
        (head, String::from_utf8(body).expect("text"))
    });
    let place = Place::new();
    let service = place.serve_with(&[("SENTRY_DSN", &format!("http://key@{tracker}/7"))]);
    // Behind the back of the service, which then asks for a table that is not there.
    place.execute("ALTER TABLE articles RENAME TO gone");
    let line = "x-request-id: r-42\r\n";
    let answer = http::send_with(service.address(), "GET", "/api/v1/articles", line, "");
    assert_eq!(answer.status, 500, "{}", answer.body);
    let (head, report) = taken.join().expect("a report");
    assert!(head.starts_with("POST /api/7/envelope/ "), "{head}");
    for part in ["\"r-42\"", "\"/api/v1/articles\"", "articles"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let counted = || {
        let metrics = http::get(service.operator(), "/metrics").body;
        metrics.contains("\nerror_reports_total{result=\"sent\"} 1\n")
    };
    // It is counted when the answer has come back.
    let deadline = Instant::now() + PATIENCE;
    while !counted() {
        assert!(Instant::now() < deadline, "the report is not counted");
    }
    service.stop();
}

#[test]
fn an_address_that_names_no_project_is_refused_at_the_start() {
    let finished = Place::new().run_with(&["serve"], &[("SENTRY_DSN", "https://example.com/1")]);
    let expected = "errors.dsn must look like https://key@host/1 (environment SENTRY_DSN)";
    assert!(finished.stderr.contains(expected), "{}", finished.stderr);
}
