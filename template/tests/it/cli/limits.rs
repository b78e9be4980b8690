//! The limits of a listener: connections, headers, and the patience with slow clients.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::http;
use super::process::Place;

#[test]
fn a_connection_beyond_the_limit_waits_for_a_place() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__SERVER__MAX_CONNECTIONS", "1")]);
    let mut first = http::connect(service.address());
    assert_eq!(http::ask(&mut first, "/health"), 200);

    let mut second = http::connect(service.address());
    let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    second.write_all(request).expect("it is sent");
    let short = Some(Duration::from_millis(200));
    second.set_read_timeout(short).expect("a timeout");
    let waiting = second.read(&mut [0]).expect_err("no answer yet");
    assert_eq!(waiting.kind(), ErrorKind::WouldBlock);

    // The place belongs to the first as long as it wants it.
    assert_eq!(http::ask(&mut first, "/health"), 200);
    drop(first);
    let patient = Some(super::process::PATIENCE);
    second.set_read_timeout(patient).expect("a timeout");
    assert_eq!(http::read_to_end(second).status, 200);
}

#[test]
fn headers_beyond_the_limit_are_refused() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__SERVER__MAX_HEADER_BYTES", "8KiB")]);
    let with_header = |length: usize| {
        let mut stream = http::connect(service.address());
        let value = "x".repeat(length);
        // Refused before it is read to the end, the service may close the connection meanwhile.
        let _ = write!(
            stream,
            "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-long: {value}\r\n\r\n"
        );
        http::read_to_end(stream).status
    };
    assert_eq!(with_header(7 * 1024), 200);
    assert_eq!(with_header(9 * 1024), 431);
    assert_eq!(service.get("/health").status, 200);
}

#[test]
fn a_client_that_sends_its_headers_too_slowly_is_cut_off() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__SERVER__READ_HEADER_TIMEOUT", "200ms")]);
    let mut slow = http::connect(service.address());
    let started = Instant::now();
    slow.write_all(b"GET /health HTTP/1.1\r\nhost: loc")
        .expect("a part");
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(service.get("/health").status, 200);
}

#[test]
fn a_client_that_is_slow_at_a_later_request_is_cut_off_too() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__SERVER__READ_HEADER_TIMEOUT", "200ms")]);
    let mut slow = http::connect(service.address());
    for _ in 0..3 {
        assert_eq!(http::ask(&mut slow, "/health"), 200);
    }
    let started = Instant::now();
    slow.write_all(b"GET /health HTTP/1.1\r\nhost: loc")
        .expect("a part");
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__SERVER__MAX_BODY", "1KiB")]);
    let answer = service.try_to_publish(&"x".repeat(2000));
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["type"], "/problems/body-too-large");
}

#[test]
fn a_request_whose_body_does_not_come_is_answered_in_time() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__SERVER__REQUEST_TIMEOUT", "200ms")]);
    let answer = http::HalfSent::article(&service).answer();
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json()["type"], "/problems/timeout");
}

#[test]
fn a_client_that_never_ends_its_body_does_not_keep_its_place() {
    let place = Place::new();
    let service = place.serve_with(&[
        ("APP__SERVER__REQUEST_TIMEOUT", "200ms"),
        ("APP__SERVER__MAX_CONNECTIONS", "1"),
    ]);
    let forever = http::HalfSent::article(&service);
    assert_eq!(service.get("/health/live").status, 200);
    drop(forever);
}
