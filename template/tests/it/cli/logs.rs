//! The log: a line for each request that machines can read and clients cannot forge.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::http;
use super::process::{PATIENCE, Place, free_port};

#[test]
fn production_logs_one_json_object_for_each_request() {
    let place = Place::new();
    let service = place.serve_with(&[
        ("APP_ENV", "production"),
        ("APP__SERVER__HOST", "127.0.0.1"),
    ]);
    service.get("/api/v1/articles?limit=3");
    service.publish("Logged");
    let log = service.stop();
    let lines: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let requests: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "request" && line["route"] == "/api/v1/articles")
        .collect();
    assert_eq!(requests.len(), 2);
    let listed = requests[0];
    for (field, value) in [
        ("level", "INFO"),
        ("method", "GET"),
        ("route", "/api/v1/articles"),
        ("path", "/api/v1/articles"),
        ("client", "127.0.0.1"),
    ] {
        assert_eq!(listed[field], value, "{listed}");
    }
    assert_eq!(listed["status"], 200);
    assert!(listed["duration_ms"].as_f64().expect("a number") > 0.0);
    assert!(listed["bytes"].as_u64().expect("a number") > 0);
    let time = listed["timestamp"].as_str().expect("a time");
    assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
    assert_eq!(
        (&requests[1]["method"], &requests[1]["status"]),
        (&"POST".into(), &201.into())
    );
}

#[test]
fn the_log_line_and_the_answer_name_the_same_request() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__LOG__FORMAT", "json")]);
    let answer = service.get("/health/live");
    let id = answer.header("x-request-id").expect("an id").to_owned();
    let log = service.stop();
    let named = |line: &&String| line.contains(&id) && line.contains("/health/live");
    assert_eq!(log.iter().filter(named).count(), 1, "{id} in {log:#?}");
}

/// What a client may try to write into the log through the places that it fills.
fn forge(address: std::net::SocketAddr) {
    for (path, agent) in [
        (
            "/%0A%1b[31m2026-01-01T00:00:00Z%20ERROR%20forged",
            &b"a\tb\" status=200"[..],
        ),
        (
            "/\"},{\"forged\":1",
            b"\x1b[31m forged \xff\xe2\x80\xa8 \x01",
        ),
        ("/a?x=%0aforged", b"x\", \"forged\": \"1"),
        ("/%e2%80%a8forged", b"forged \xc2\x9b31m"),
    ] {
        let mut stream = http::connect(address);
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nuser-agent: "
        )
        .expect("it is sent");
        stream.write_all(agent).expect("it is sent");
        stream.write_all(b"\r\n\r\n").expect("it is sent");
        assert!((400..500).contains(&http::read_to_end(stream).status));
    }
}

#[test]
fn a_client_cannot_forge_lines_of_the_json_log() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__LOG__FORMAT", "json")]);
    forge(service.address());
    for line in service.stop() {
        let object: Value = serde_json::from_str(&line).expect("one object a line");
        assert!(object.get("forged").is_none(), "{line}");
        assert_harmless(&line);
    }
}

#[test]
fn a_client_cannot_forge_lines_of_the_text_log() {
    let place = Place::new();
    let service = place.serve();
    forge(service.address());
    for line in service.stop() {
        let (time, _) = line.split_once(' ').expect("a time");
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{line}");
        // What a client sent stands in quotes, and a quote in it is escaped.
        assert!(
            !line.replace("\\\"", "").contains("\" status=200"),
            "{line}"
        );
        assert_harmless(&line);
    }
}

/// Nothing that moves the cursor of a terminal or starts a new line anywhere.
fn assert_harmless(line: &str) {
    let bad = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!line.contains(bad), "{line:?}");
}

#[test]
fn a_log_folder_gets_the_log_instead_of_standard_error() {
    let place = Place::new();
    let port = free_port();
    let mut service = place.start_with(&[
        ("PORT", &port),
        ("APP__LOG__DIR", "var/log"),
        ("APP__LOG__FORMAT", "json"),
    ]);
    let deadline = Instant::now() + PATIENCE;
    while place.run_with(&["healthcheck"], &[("PORT", &port)]).code != Some(0) {
        assert!(Instant::now() < deadline, "it does not serve");
    }
    service.signal("TERM");
    assert_eq!(service.wait().code(), Some(0));
    assert!(service.log.is_empty(), "{:#?}", service.log);
    let files = super::process::files(&place.path("var/log"));
    assert_eq!(files.len(), 1, "{files:?}");
    let text = fs::read_to_string(&files[0]).expect("the log");
    let messages: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(messages.last().expect("a line")["message"], "stopped");
}

#[test]
fn a_log_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    let finished = place.run_with(&["serve"], &[("APP__LOG__DIR", "/proc/log")]);
    assert!(
        finished
            .error()
            .starts_with("log.dir /proc/log cannot be made: "),
        "{finished:?}"
    );
}

#[test]
fn operators_change_the_level_while_it_runs() {
    const TOKEN: &str = "kraken-over-lima";
    let place = Place::new();
    let service = place.serve_with(&[("APP__OPERATOR__TOKEN", TOKEN)]);
    let level = |level: &str| {
        let path = format!("/debug/log-level?level={level}");
        http::send_with_token(service.operator(), "POST", &path, TOKEN)
    };
    service.get("/health/live");
    assert_eq!(level("info,request=off").status, 204);
    service.get("/health/ready");
    assert_eq!(level("request=loud").status, 400);
    assert_eq!(level("chatty").status, 400);
    assert_eq!(level("info").status, 204);
    service.get("/health/build");
    let log = service.stop();
    let logged = |path: &str| log.iter().any(|line| line.contains(path));
    assert!(logged("path=\"/health/live\""), "{log:#?}");
    assert!(!logged("path=\"/health/ready\""), "{log:#?}");
    assert!(logged("path=\"/health/build\""), "{log:#?}");
}

#[test]
fn a_share_of_the_requests_is_logged_closely() {
    for (ratio, expected) in [("0", 0), ("0.5", 5), ("1", 10)] {
        let place = Place::new();
        let service = place.serve_with(&[
            ("APP__LOG__FORMAT", "json"),
            ("APP__LOG__DEBUG_RATIO", ratio),
        ]);
        for _ in 0..10 {
            service.get("/api/v1/articles?limit=1");
        }
        let log = service.stop();
        let lines = log
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut closely = 0;
        for line in lines.filter(|line| line["level"] == "DEBUG") {
            assert!(line["spans"][0]["request_id"].is_string(), "{line}");
            closely += usize::from(line["message"] == "asked the database");
        }
        assert!(closely.abs_diff(expected) <= 1, "{closely} at {ratio}");
    }
}

#[test]
fn the_page_about_logging_names_every_field_of_a_request() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__LOG__FORMAT", "json")]);
    service.get("/health/live");
    let log = service.stop();
    let line = log.iter().find(|line| line.contains("/health/live"));
    let line: Value = serde_json::from_str(line.expect("a line")).expect("JSON");
    let logged: BTreeSet<&str> = line
        .as_object()
        .expect("fields")
        .keys()
        .map(String::as_str)
        .collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/logging.md");
    let page = fs::read_to_string(page).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let named: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(logged, named);
}
