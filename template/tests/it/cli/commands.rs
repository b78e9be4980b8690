//! The subcommands that do one thing and end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;

use serde_json::Value;

use super::http;
use super::process::{Place, files, free_port};

#[test]
fn routes_lists_method_path_and_handler() {
    let place = Place::new();
    let routes = place.run(&["routes"]).ok();
    for line in routes.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        assert!(words.len() == 3 && words[1].starts_with('/'), "{line}");
    }
    for route in [
        "GET /health handlers::system::health",
        "POST /api/v1/articles create_article",
        "DELETE /api/v1/articles/{id} delete_article",
    ] {
        let listed = |line: &str| line.split_whitespace().eq(route.split(' '));
        assert!(routes.lines().any(listed), "no {route} in\n{routes}");
    }
}

#[test]
fn whoever_has_read_enough_may_stop() {
    let place = Place::new();
    for command in ["routes", "openapi", "config"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = place.command(&[command], &[]);
        let status = command.stdin(Stdio::null()).stdout(writer).status();
        assert!(status.expect("it runs").success(), "{command:?}");
    }
}

#[test]
fn routes_and_openapi_need_no_database_and_leave_nothing_behind() {
    let place = Place::new();
    place.run(&["routes"]).ok();
    place.run(&["openapi"]).ok();
    assert!(files(&place.path(".")).is_empty());
}

#[test]
fn openapi_prints_the_document_that_is_served() {
    let place = Place::new();
    let printed: Value = serde_json::from_str(&place.run(&["openapi"]).ok()).expect("JSON");
    assert!(
        printed["openapi"]
            .as_str()
            .expect("a version")
            .starts_with("3.1")
    );
    let service = place.serve();
    assert_eq!(service.get("/api/openapi.json").json(), printed);
}

#[test]
fn migrate_applies_what_is_pending_and_status_tells_it() {
    let place = Place::new();
    let states = |place: &Place| -> Vec<String> {
        let status = place.run(&["migrate", "--status"]).ok();
        let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
        status.lines().filter_map(first).collect()
    };
    let before = states(&place);
    assert!(!before.is_empty() && before.iter().all(|state| state == "pending"));
    let applied = format!("migrations applied: {}\n", before.len());
    assert_eq!(place.run(&["migrate"]).ok(), applied);
    assert_eq!(states(&place), vec!["applied"; before.len()]);
    assert_eq!(place.run(&["migrate"]).ok(), "migrations applied: 0\n");
}

#[test]
fn seed_adds_the_samples_once() {
    let place = Place::new();
    assert_ne!(place.run(&["seed"]).ok(), "samples added: 0\n");
    assert_eq!(place.run(&["seed"]).ok(), "samples added: 0\n");
    assert_eq!(place.serve().titles().len(), 3);
}

#[test]
fn seed_beside_a_running_service_says_that_its_cache_does_not_hear_of_it() {
    let place = Place::new();
    let service = place.serve();
    let seeded = place.run(&["seed"]).ok();
    assert!(seeded.contains("a service that is using it"));
    assert_eq!(service.titles().len(), 3);
}

#[test]
fn healthcheck_succeeds_on_a_running_service() {
    let place = Place::new();
    let service = place.serve();
    let port = service.address().port().to_string();
    let finished = place.run_with(&["healthcheck"], &[("PORT", &port)]);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    // As the image runs it: the service listens everywhere, the question goes to this machine.
    let everywhere = [("PORT", port.as_str()), ("APP_ENV", "production")];
    place.run_with(&["healthcheck"], &everywhere).ok();
}

#[test]
fn healthcheck_fails_where_nothing_listens() {
    let place = Place::new();
    let port = free_port();
    let finished = place.run_with(&["healthcheck"], &[("PORT", &port)]);
    let expected = format!("nothing listens on 127.0.0.1:{port}: ");
    assert!(finished.error().starts_with(&expected), "{finished:?}");
}

#[test]
fn healthcheck_fails_when_the_service_is_not_well() {
    let place = Place::new();
    let sick = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = sick.local_addr().expect("an address").port().to_string();
    let answered = thread::spawn(move || {
        let (mut stream, _) = sick.accept().expect("a question");
        let mut question = [0; 1024];
        let read = stream.read(&mut question).expect("a question");
        let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).expect("an answer");
        String::from_utf8_lossy(&question[..read]).into_owned()
    });
    let finished = place.run_with(&["healthcheck"], &[("PORT", &port)]);
    assert_eq!(
        finished.error(),
        "the service is not well: /health answered 503 Service Unavailable"
    );
    let question = answered.join().expect("an answer");
    assert!(
        question.starts_with("GET /health HTTP/1.1\r\n"),
        "{question}"
    );
}

#[test]
fn an_unknown_subcommand_is_refused_with_the_usage() {
    let place = Place::new();
    let finished = place.run(&["serv"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("unrecognized subcommand 'serv'"));
    assert!(finished.stderr.contains("Usage:"));
}

#[test]
fn the_metrics_are_on_the_listener_of_the_operator_only() {
    let place = Place::new();
    let service = place.serve();
    let metrics = http::get(service.operator(), "/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("build_info{"));
    assert_eq!(service.get("/metrics").status, 404);
}
