//! Stops: in order when asked, bounded in time, at once when asked twice.

use std::io::Read;
use std::time::{Duration, Instant};

use super::http::{self, HalfSent};
use super::process::{PATIENCE, Place, Service};

#[test]
fn sigterm_and_sigint_end_the_service_with_success() {
    let place = Place::new();
    for signal in ["TERM", "INT"] {
        let mut service = place.serve();
        service.signal(signal);
        assert_eq!(service.wait().code(), Some(0), "{signal}");
        assert!(service.has_logged("stopping"), "{:#?}", service.log);
        assert!(service.log.last().expect("a log").ends_with("stopped"));
    }
}

#[test]
fn a_request_in_flight_finishes_while_new_connections_are_refused() {
    let place = Place::new();
    let mut service = place.serve();
    let request = HalfSent::article(&service);
    service.signal("TERM");
    service.wait_for("stopping");
    wait_until_refused(&service);
    // Who watches the service can watch it stop.
    assert_eq!(http::get(service.operator(), "/metrics").status, 200);
    assert_eq!(request.finish().status, 201);
    assert_eq!(service.wait().code(), Some(0));
    assert_eq!(place.serve().titles(), ["Half of it"]);
}

#[test]
fn an_idle_connection_does_not_delay_the_stop() {
    let place = Place::new();
    let service = place.serve();
    let mut idle = http::connect(service.address());
    http::ask(&mut idle, "/health");
    let started = Instant::now();
    service.stop();
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_request_that_never_ends_is_cut_off_after_the_grace() {
    let place = Place::new();
    let mut service = place.serve_with(&[("APP__SERVER__SHUTDOWN_GRACE", "200ms")]);
    let request = HalfSent::article(&service);
    let started = Instant::now();
    service.signal("TERM");
    assert_eq!(service.wait().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(
        service.has_logged("requests were cut off") && service.has_logged("connections=1"),
        "{:#?}",
        service.log
    );
    drop(request);
    let service = place.serve();
    assert!(service.titles().is_empty());
    assert!(!service.has_logged("did not close"), "{:#?}", service.log);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let mut service = place.serve();
    let request = HalfSent::article(&service);
    service.signal("INT");
    service.wait_for("stopping");
    // One that comes at once counts as the first, so that more than one may be needed.
    let deadline = Instant::now() + PATIENCE;
    loop {
        service.signal("INT");
        if service.ends_within(Duration::from_millis(50)) {
            break;
        }
        assert!(Instant::now() < deadline, "still running");
    }
    assert_eq!(service.wait().code(), Some(1));
    drop(request);
}

#[test]
fn one_signal_that_comes_twice_stops_in_order() {
    let place = Place::new();
    let mut service = place.serve();
    service.signal("TERM");
    service.wait_for("stopping");
    service.signal("TERM");
    assert_eq!(service.wait().code(), Some(0));
    assert!(service.has_logged("stopped"));
}

#[test]
fn while_it_drains_it_says_so_and_goes_on_serving() {
    let place = Place::new();
    // Longer than the test: only the second signal ends it.
    let mut service = place.serve_with(&[("APP__SERVER__DRAIN_DELAY", "1h")]);
    assert_eq!(service.get("/health/ready").status, 200);
    service.signal("TERM");
    service.wait_for("stopping");
    let deadline = Instant::now() + PATIENCE;
    let draining = loop {
        let answer = service.get("/health/ready");
        if answer.status != 200 || Instant::now() > deadline {
            break answer;
        }
    };
    assert_eq!(draining.status, 503);
    assert_eq!(draining.json()["status"], "draining");
    assert_eq!(service.get("/health/live").status, 200);
    service.publish("Written while it drains");
    assert_eq!(service.titles(), ["Written while it drains"]);
}

/// A connection from before the listener closed is closed with it.
fn wait_until_refused(service: &Service) {
    let deadline = Instant::now() + PATIENCE;
    while let Ok(mut stream) = std::net::TcpStream::connect(service.address()) {
        assert!(Instant::now() < deadline, "connections are still accepted");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let _ = stream.read(&mut [0]);
    }
}
