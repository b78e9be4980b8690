//! The limits of a listener: connections, files, headers, and the patience with slow clients.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::http;
use super::process::{PATIENCE, Place, through_shell};

#[test]
fn a_connection_beyond_the_limit_waits_for_a_place() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__SERVER__MAX_CONNECTIONS", "2")]);
    let mut first = http::connect(service.address());
    assert_eq!(http::ask(&mut first, "/health"), 200);
    let mut second = http::connect(service.address());
    assert_eq!(http::ask(&mut second, "/health"), 200);

    let mut third = http::connect(service.address());
    let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    third.write_all(request).expect("it is sent");
    let short = Some(Duration::from_millis(200));
    third.set_read_timeout(short).expect("a timeout");
    let waiting = third.read(&mut [0]).expect_err("no answer yet");
    assert_eq!(waiting.kind(), ErrorKind::WouldBlock);

    // The places belong to the others as long as they want them.
    assert_eq!(http::ask(&mut first, "/health"), 200);
    drop(first);
    let patient = Some(PATIENCE);
    third.set_read_timeout(patient).expect("a timeout");
    assert_eq!(http::read_to_end(third).status, 200);
    assert_eq!(http::ask(&mut second, "/health"), 200);
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
    // The client's fault, and no failure of the service.
    assert_eq!(answer.status, 408);
    assert_eq!(answer.json()["type"], "/problems/timeout");
    assert!(!service.has_logged("the request failed"));
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

/// Waits until the service closes the connection.
fn wait_for_the_end(mut stream: std::net::TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is an end too.
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_ne!(error.kind(), ErrorKind::WouldBlock, "it stays open");
    }
    rest
}

#[test]
fn between_two_requests_a_connection_has_the_time_that_the_setting_gives() {
    let place = Place::new();
    let service = place.serve_with(&[
        ("APP__SERVER__READ_HEADER_TIMEOUT", "200ms"),
        ("APP__SERVER__IDLE_TIMEOUT", "1h"),
    ]);
    let mut idle = http::connect(service.address());
    assert_eq!(http::ask(&mut idle, "/health/live"), 200);
    // A new connection is expected to say something, and is not waited for any longer than for a slow one.
    wait_for_the_end(http::connect(service.address()));
    assert_eq!(http::ask(&mut idle, "/health/live"), 200);
}

#[test]
fn a_connection_that_is_idle_for_too_long_is_closed() {
    let place = Place::new();
    let service = place.serve_with(&[
        ("APP__SERVER__READ_HEADER_TIMEOUT", "1h"),
        ("APP__SERVER__IDLE_TIMEOUT", "200ms"),
    ]);
    let mut idle = http::connect(service.address());
    assert_eq!(http::ask(&mut idle, "/health/live"), 200);
    let rest = wait_for_the_end(idle);
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_client_that_does_not_take_its_answers_does_not_keep_its_place() {
    let place = Place::new();
    let service = place.serve_with(&[
        ("APP__SERVER__IDLE_TIMEOUT", "200ms"),
        ("APP__SERVER__MAX_CONNECTIONS", "1"),
    ]);
    let mut greedy = http::connect(service.address());
    let short = Some(Duration::from_millis(100));
    greedy.set_write_timeout(short).expect("a timeout");
    let request = b"GET /api/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // Until its questions are not taken either, because the answers to those before fill all there is.
    while greedy.write_all(&request.repeat(100)).is_ok() {}
    assert_eq!(service.get("/health/live").status, 200);
}

#[test]
fn slow_clients_take_nothing_from_the_others() {
    let place = Place::new();
    let service = place.serve();
    let slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = http::connect(service.address());
            stream
                .write_all(b"POST /api/v1/articles HTTP/1.1\r\nhost: loc")
                .expect("a part");
            stream
        })
        .collect();
    let bodies: Vec<_> = (0..20).map(|_| http::HalfSent::article(&service)).collect();
    service.publish("Written beside them");
    assert_eq!(service.titles(), ["Written beside them"]);
    drop((slow, bodies));
}

#[test]
fn a_service_out_of_files_serves_again_when_there_are_some() {
    let place = Place::new();
    let settings = [("APP__DATABASE__MAX_CONNECTIONS", "2")];
    let with_few_files = |command| through_shell("ulimit -n 64", &command);
    let mut service = place.start_through(with_few_files, &settings);
    service.wait_until_it_serves();
    service.publish("Before");
    let mut many: Vec<_> = (0..100).map(|_| http::connect(service.address())).collect();
    service.wait_for("cannot accept connections");
    // Those that were accepted go on.
    assert_eq!(http::ask(&mut many[0], "/health/live"), 200);
    drop(many);
    assert_eq!(service.titles(), ["Before"]);
    service.publish("After");
}

#[test]
fn a_database_that_no_file_is_left_for_is_unavailable_and_back_when_there_are_some() {
    let place = Place::new();
    let with_few_files = |command| through_shell("ulimit -n 64", &command);
    let mut service = place.start_through(with_few_files, &[]);
    service.wait_until_it_serves();
    service.publish("Before");
    let mut many: Vec<_> = (0..100).map(|_| http::connect(service.address())).collect();
    service.wait_for("cannot accept connections");
    let started = Instant::now();
    // Those that were accepted ask, all at once, for what no cache has, until that takes more connections than there are.
    let refused = (0..).find_map(|round| {
        let asking = &mut many[..15];
        for (n, stream) in asking.iter_mut().enumerate() {
            http::write_get(stream, &format!("/api/v1/articles?tag=t-{round}-{n}"));
        }
        let answers: Vec<_> = asking.iter_mut().map(http::read_answer).collect();
        for answer in &answers {
            assert!([200, 503].contains(&answer.status), "{answer:?}");
        }
        assert!(
            started.elapsed() < PATIENCE,
            "there are enough files for all"
        );
        answers.into_iter().find(|answer| answer.status == 503)
    });
    let refused = refused.expect("a round");
    assert_eq!(refused.json()["type"], "/problems/unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(many);
    let started = Instant::now();
    while service.get("/api/v1/articles?limit=50").status != 200 {
        assert!(started.elapsed() < PATIENCE, "it never comes back");
    }
    service.publish("After");
}
