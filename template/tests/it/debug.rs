//! What operators see of the inside of the running service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;

use crate::support::{Answer, TestApp};

const TOKEN: (&str, &str) = ("APP__OPERATOR__TOKEN", "kraken-over-lima");
const BEARER: (&str, &str) = ("authorization", "Bearer kraken-over-lima");

async fn asked(path: &str) -> Answer {
    let app = TestApp::with(&[TOKEN]).await;
    app.operator_call("GET", path, &[BEARER]).await
}

#[tokio::test]
async fn the_routes_and_their_handlers_are_listed() {
    let answer = asked("/debug/routes").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let routes = answer.json();
    let routes = routes.as_array().expect("a list");
    let live = routes.iter().find(|route| route["path"] == "/health/live");
    let live = live.expect("the route");
    assert_eq!(live["method"], "GET");
    assert_eq!(live["handler"], "handlers::system::live");
}

#[tokio::test]
async fn the_settings_are_shown_without_secrets() {
    let answer = asked("/debug/config").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["operator"]["token"], "***");
    assert_eq!(answer.json()["server"]["max_connections"], 10_000);
    assert!(!answer.text().contains(TOKEN.1), "{}", answer.text());
}

#[tokio::test]
async fn the_background_tasks_are_named() {
    let answer = asked("/debug/tasks").await;
    let tasks = answer.json();
    let upkeep = serde_json::json!({ "name": "metrics upkeep", "running": true });
    assert!(
        tasks.as_array().expect("a list").contains(&upkeep),
        "{tasks}"
    );
}

#[tokio::test]
async fn the_memory_in_use_adds_up() {
    let used = asked("/debug/memory").await.json();
    let of = |name: &str| used[name].as_u64().expect("a number");
    // The kernel counts pages in batches, for each thread its own.
    let about = 1024 * 1024 * of("threads");
    assert!(of("anonymous") > 0 && of("file") > 0, "{used}");
    assert!(
        of("anonymous") + of("file") <= of("resident") + about,
        "{used}"
    );
    assert!(of("resident") <= of("resident_peak") + about, "{used}");
    assert!(of("anonymous") <= of("reserved") + about, "{used}");
    let heap = |name: &str| used["heap"][name].as_u64().expect("a number");
    assert!(heap("mapped") <= heap("allocated"), "{used}");
    assert!(
        heap("allocated") + heap("free") <= of("reserved") + about,
        "{used}"
    );
}

#[tokio::test]
async fn none_of_it_is_shown_without_the_token() {
    let app = TestApp::with(&[TOKEN]).await;
    for path in [
        "/debug/routes",
        "/debug/config",
        "/debug/tasks",
        "/debug/memory",
        "/debug/pprof/profile",
    ] {
        assert_eq!(
            app.operator_call("GET", path, &[]).await.status,
            401,
            "{path}"
        );
    }
    let answer = app.operator_call("POST", "/debug/log-level", &[]).await;
    assert_eq!(answer.status, 401);
    let public = app
        .call("GET", "/debug/config", &[BEARER], Body::empty())
        .await;
    assert_eq!(public.status, 404);
}

#[tokio::test]
async fn a_profile_has_to_be_of_a_sensible_length() {
    let app = TestApp::with(&[TOKEN]).await;
    for question in [
        "?seconds=0",
        "?seconds=26",
        "?seconds=x",
        "?format=png",
        "?second=1",
    ] {
        let path = format!("/debug/pprof/profile{question}");
        let answer = app.operator_call("GET", &path, &[BEARER]).await;
        assert_eq!(answer.status, 400, "{question}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_taken_by_one_at_a_time() {
    let app = TestApp::with(&[TOKEN]).await;
    let path = "/debug/pprof/profile?seconds=1";
    let (one, other) = tokio::join!(
        app.operator_call("GET", path, &[BEARER]),
        app.operator_call("GET", path, &[BEARER])
    );
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let taken = if one.status == 200 { one } else { other };
    assert_eq!(taken.header("content-type"), "application/octet-stream");
    // The first field of the message: a sample type, with its length (the protocol buffers encoding).
    assert_eq!(taken.body.first(), Some(&0x0a));
    let path = "/debug/pprof/profile?seconds=1&format=svg";
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    // Something to draw.
    let busy = std::thread::spawn(move || while !over.load(Ordering::Relaxed) {});
    let graph = app.operator_call("GET", path, &[BEARER]).await;
    is_over.store(true, Ordering::Relaxed);
    busy.join().expect("it ends");
    assert_eq!(graph.header("content-type"), "image/svg+xml");
    assert!(graph.text().contains("<svg"), "{}", graph.text());
}
