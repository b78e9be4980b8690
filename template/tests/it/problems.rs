//! Errors as clients see them, health, and what is around every request.

mod health;
mod panics;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::component::Routes;
use app::domain::clock::Clock;
use app::domain::error::StoreError;
use app::http::problem::Presentation;
use app::http::{Edge, Problem};
use app::infra::rate_limit::RateLimits;
use app::telemetry::{self, Exporter, Failure, FailureKind};
use axum::body::Body;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::support::{ARTICLES, Answer, Home, TestApp, published, request};

#[tokio::test]
async fn what_is_not_there_is_a_problem_in_json_or_text() {
    let app = TestApp::start().await;
    let headers = [("x-request-id", "my-request")];
    let answer = app.get_with("/nowhere?a=b", &headers).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("vary"), "accept");
    let problem = json!({ "type": "/problems/not-found", "title": "Not found", "status": 404,
        "instance": "/nowhere", "request_id": "my-request" });
    assert_eq!(answer.json(), problem);

    let answer = app.get_with("/nowhere", &[("accept", "text/plain")]).await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.text(), "404 Not found\n\n");
}

#[tokio::test]
async fn a_method_a_route_does_not_have_is_told_which_it_has() {
    let app = TestApp::start().await;
    for (method, path, allowed) in [
        ("PATCH", ARTICLES, ["GET", "HEAD", "POST"]),
        ("POST", "/api/v1/articles/x", ["GET", "PUT", "DELETE"]),
        ("DELETE", "/health", ["GET", "HEAD", "GET"]),
    ] {
        let answer = app.call(method, path, &[], Body::empty()).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.json()["type"], "/problems/method-not-allowed");
        let allow: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        assert!(
            allowed.iter().all(|method| allow.contains(method)),
            "{path}: {allow:?}"
        );
        assert!(!allow.contains(&method));
    }
}

#[tokio::test]
async fn a_good_request_id_is_kept_and_a_bad_one_replaced() {
    let app = TestApp::start().await;
    let kept = app
        .get_with("/health/live", &[("x-request-id", "abc-1_2.3")])
        .await;
    assert_eq!(kept.header("x-request-id"), "abc-1_2.3");
    for bad in ["", "a b", "a\"b", "{}", &"x".repeat(129)] {
        let answer = app.get_with("/health/live", &[("x-request-id", bad)]).await;
        let id = answer.header("x-request-id");
        assert!(id.parse::<Uuid>().is_ok(), "{bad:?} became {id:?}");
    }
    let first = app.get("/health/live").await;
    let second = app.get("/health/live").await;
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

/// The answer of a router inside the layers of the service.
async fn answer_of(routes: Routes, overrides: &[(&str, &str)], path: &str) -> Answer {
    let settings = Home::new().await.settings(overrides);
    let presentation = Presentation {
        page: None,
        development: settings.environment.is_development(),
    };
    let service = Edge::private(routes, &settings.server, presentation, TaskTracker::new());
    let request = request("GET", path, &[], Body::empty());
    Answer::of(service.answer(request).await).await
}

#[tokio::test]
async fn a_write_goes_to_its_end_without_its_client_and_its_failure_is_told() {
    let (tell, told) = std::sync::mpsc::channel();
    telemetry::attach_sink(move |failure: &Failure<'_>| {
        let _ = tell.send(failure.cause.unwrap_or_default().to_owned());
    });
    let (arrived, mut arrival) = mpsc::channel(1);
    let gate = Arc::new(Semaphore::new(0));
    let (done, way_on) = (Arc::new(AtomicBool::new(false)), Arc::clone(&gate));
    let finished = Arc::clone(&done);
    let write = async move || {
        arrived.send(()).await.expect("the test waits");
        let _pass = way_on.acquire().await;
        finished.store(true, Ordering::SeqCst);
        let cause = Box::<dyn std::error::Error + Send + Sync>::from("nobody heard of it");
        Problem::from(StoreError::Failed(cause.into()))
    };
    let (settings, writes) = (Home::new().await.settings(&[]), TaskTracker::new());
    let routes = Routes::new().post("/", write);
    let service = Edge::private(
        routes,
        &settings.server,
        Presentation::default(),
        writes.clone(),
    );

    let request = request("POST", "/", &[], Body::empty());
    let client = tokio::spawn(async move { service.answer(request).await });
    arrival.recv().await.expect("the handler runs");
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    assert!(!done.load(Ordering::SeqCst));
    gate.add_permits(1);
    writes.close();
    writes.wait().await;
    assert!(done.load(Ordering::SeqCst));
    let mut told = told.try_iter();
    assert!(told.any(|cause| cause.contains("nobody heard of it")));
}

fn broken() -> Routes {
    let panics = async || -> Problem { panic!("the secret of {}", 42) };
    let cause = || Box::<dyn std::error::Error + Send + Sync>::from("the secret of 42").into();
    let fails = async move || Problem::from(StoreError::Failed(cause()));
    let unavailable = async move || Problem::from(StoreError::Unavailable(cause()));
    Routes::new()
        .get("/panics", panics)
        .get("/fails", fails)
        .get("/unavailable", unavailable)
}

#[tokio::test]
async fn what_broke_inside_is_told_in_development_only() {
    for (path, status, kind) in [
        ("/panics", 500, "/problems/internal"),
        ("/fails", 500, "/problems/internal"),
        ("/unavailable", 503, "/problems/unavailable"),
    ] {
        for environment in ["production", "test"] {
            let answer = answer_of(broken(), &[("APP_ENV", environment)], path).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.json()["type"], kind);
            assert!(
                !answer.text().contains("secret"),
                "{path}: {}",
                answer.text()
            );
        }
        let answer = answer_of(broken(), &[("APP_ENV", "development")], path).await;
        assert_eq!(answer.status, status);
        assert!(
            answer.json()["causes"]
                .to_string()
                .contains("the secret of 42"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn failures_are_counted_by_kind_and_handed_to_the_sink() {
    let exporter = Exporter::install().expect("metrics");
    let (tell, told) = std::sync::mpsc::channel();
    let sink = move |failure: &Failure<'_>| {
        let route = failure.route.unwrap_or_default().to_owned();
        let cause = failure.cause.unwrap_or_default().to_owned();
        // Failures of other tests come here too, after this one has ended.
        let _ = tell.send((route, failure.kind, cause));
    };
    telemetry::attach_sink(sink);
    for path in ["/fails", "/unavailable"] {
        answer_of(broken(), &[], path).await;
    }
    let told: Vec<_> = told.try_iter().collect();
    for (route, kind) in [
        ("/fails", FailureKind::Internal),
        ("/unavailable", FailureKind::Unavailable),
    ] {
        let found = told.iter().find(|failure| failure.0 == route);
        let (_, reported, cause) = found.unwrap_or_else(|| panic!("{route} in {told:?}"));
        assert_eq!(*reported, kind);
        assert!(cause.contains("the secret of 42"), "{cause}");
    }
    let metrics = exporter.render();
    for kind in ["internal", "unavailable"] {
        let series = format!("errors_total{{kind=\"{kind}\",");
        let line = metrics.lines().find(|line| line.starts_with(&series));
        assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{line:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_gives_up_its_place_in_the_end() {
    let overrides = [
        ("APP__SERVER__REQUEST_TIMEOUT", "10s"),
        ("APP__SERVER__CONCURRENCY", "1"),
        ("APP__SERVER__QUEUE_DEPTH", "0"),
        ("APP__RATE_LIMIT__ENABLED", "false"),
    ];
    let settings = Home::new().await.settings(&overrides);
    let routes = Routes::new()
        .get("/", async || "there is a place")
        .post("/", pending::<Problem>);
    let writes = TaskTracker::new();
    let limits = RateLimits::local(Clock::system());
    let presentation = Presentation::default();
    let service = Edge::public(routes, &settings, presentation, writes.clone(), &limits);
    let status = async |method| {
        let request = request(method, "/", &[], Body::empty());
        service.answer(request).await.status()
    };
    assert_eq!(status("POST").await, 504, "after ten seconds");
    assert_eq!(status("GET").await, 503);
    tokio::time::sleep(Duration::from_millis(9990)).await;
    assert_eq!(status("GET").await, 503, "just before twenty");
    writes.close();
    writes.wait().await;
    assert_eq!(status("GET").await, 200);
}

#[tokio::test]
async fn what_is_away_for_a_while_says_when_to_ask_again() {
    let answer = answer_of(broken(), &[], "/unavailable").await;
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_a_timeout() {
    let routes = Routes::new().get("/waits", pending::<Problem>);
    let overrides = [("APP__SERVER__REQUEST_TIMEOUT", "5ms")];
    let answer = answer_of(routes, &overrides, "/waits").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json()["type"], "/problems/timeout");
}

#[tokio::test]
async fn a_database_that_is_gone_is_unavailable_and_not_an_internal_error() {
    let app = TestApp::start().await;
    app.database().close().await;
    for answer in [
        app.get(ARTICLES).await,
        app.post(ARTICLES, &published("Title")).await,
    ] {
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.json()["type"], "/problems/unavailable");
    }
}

#[tokio::test]
async fn the_build_says_what_it_is() {
    let app = TestApp::start().await;
    let build = app.get("/health/build").await;
    assert_eq!(build.status, 200);
    let build = build.json();
    for name in ["version", "commit", "built_at", "rustc", "fingerprint"] {
        assert!(!build[name].as_str().unwrap().is_empty(), "{name}");
    }
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn metrics_are_for_operators_only() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/metrics").await.status, 404);
    let metrics = app.operator("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert_eq!(
        metrics.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for name in ["build_info{", "database_connections{", "cache_entries{"] {
        assert!(metrics.text().contains(name), "{name}");
    }
    assert_eq!(
        app.operator(ARTICLES).await.status,
        404,
        "no public route on this listener"
    );
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Counted")).await;
    app.get(&location).await;
    for n in 0..50 {
        app.get(&format!("/storm-{n}")).await;
        app.call(
            &format!("STORM{n}"),
            &format!("{ARTICLES}/storm-{n}"),
            &[],
            Body::empty(),
        )
        .await;
    }
    let metrics = app.operator("/metrics").await;
    let metrics = metrics.text();
    let series = |labels: &str| {
        let found: Vec<&str> = metrics
            .lines()
            .filter(|line| line.contains(labels))
            .collect();
        assert_eq!(found.len(), 1, "{labels}: {found:?}");
        let (_, value) = found[0].rsplit_once(' ').unwrap();
        value.parse::<u64>().unwrap()
    };
    let route = "/api/v1/articles/{id}";
    let get = format!("http_requests_total{{method=\"GET\",route=\"{route}\",status=\"200\"}}");
    assert!(series(&get) >= 1);
    assert!(series("http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"}") >= 50);
    let other = format!("http_requests_total{{method=\"OTHER\",route=\"{route}\",status=\"405\"}}");
    assert!(series(&other) >= 50);
    let id = location.rsplit('/').next().unwrap();
    assert!(!metrics.to_lowercase().contains("storm") && !metrics.contains(id));
}

#[tokio::test]
async fn a_preflight_is_counted_as_one_whatever_its_path() {
    let friend = "https://app.example.com";
    let settings = [("APP__CORS__ALLOW_ORIGINS", "[\"https://app.example.com\"]")];
    let app = TestApp::with(&settings).await;
    let headers = [("origin", friend), ("access-control-request-method", "PUT")];
    for path in [ARTICLES, "/api/v1/nowhere"] {
        let answer = app.call("OPTIONS", path, &headers, Body::empty()).await;
        assert_eq!(answer.status, 204, "{path}");
    }
    let metrics = app.operator("/metrics").await;
    let series = "http_requests_total{method=\"OPTIONS\",route=\"preflight\",status=\"204\"} 2";
    assert!(metrics.text().contains(series));
}

#[tokio::test]
async fn events_are_counted_by_name() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Counted")).await;
    // The counter runs beside the requests; a stop waits for it.
    let exporter = app::telemetry::Exporter::install().unwrap();
    app.stop().await;
    let metrics = exporter.render();
    for name in ["article.created", "article.published"] {
        let series = format!("business_events_total{{event=\"{name}\"}}");
        assert!(metrics.contains(&series), "{series}");
    }
}
