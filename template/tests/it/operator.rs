//! What operators may do, who is let in, and what is left behind in the log and the metrics.

use app::handlers::operator;
use app::http;
use app::infra::cache::{Cache, Policy, Store};
use app::platform::Platform;
use app::telemetry::Exporter;
use axum::body::Body;
use serde_json::json;

use crate::support::{ARTICLES, Answer, Home, Log, TestApp, request};

const TOKEN: &str = "kraken-over-lima";
const BEARER: (&str, &str) = ("authorization", "Bearer kraken-over-lima");
const INVALIDATE: &str = "/admin/cache/invalidate";
const FLUSH: &str = "/admin/cache/flush";
const STATS: &str = "/admin/cache/stats";

/// The operator's routes over a cache in memory.
struct Operator {
    answers: http::Operator,
    cache: Store,
}

impl Operator {
    async fn new() -> Self {
        Self::with(&[("APP__OPERATOR__TOKEN", TOKEN)]).await
    }

    async fn with(overrides: &[(&str, &str)]) -> Self {
        let settings = Home::new().await.settings(overrides);
        let platform = Platform::offline(settings).expect("a platform");
        let routes = operator::component(&platform).operator;
        Self {
            answers: http::Operator::new(
                routes,
                &platform.settings,
                &platform.rate_limits,
                platform.tasks.clone(),
            ),
            cache: platform.cache.clone(),
        }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = request(method, path, headers, Body::empty());
        Answer::of(self.answers.respond(request, None).await).await
    }

    async fn post(&self, path: &str) -> Answer {
        self.send("POST", path, &[BEARER]).await
    }

    /// Two values with a tag each.
    async fn values(&self) -> Cache<String> {
        let values = self.cache.namespace("values");
        for key in ["one", "two"] {
            let policy = Policy::new().tag(&format!("tag of {key}"));
            values.set(key, &policy, "value".to_owned()).await;
        }
        values
    }
}

/// The keys that are still in the cache.
async fn left(values: &Cache<String>) -> Vec<&'static str> {
    let mut left = Vec::new();
    for key in ["one", "two"] {
        if values.get(key).await.is_some() {
            left.push(key);
        }
    }
    left
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let problem = answer.json();
    assert_eq!(problem["type"], format!("/problems/{kind}"));
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    assert_ne!(problem["request_id"], "");
}

#[tokio::test]
async fn without_a_token_everything_but_the_metrics_is_refused() {
    let operator = Operator::with(&[]).await;
    let values = operator.values().await;
    for headers in [&[][..], &[BEARER], &[("authorization", "Bearer ")]] {
        for (method, path) in [
            ("POST", "/admin/cache/flush"),
            ("POST", "/admin/cache/invalidate?tag=tag%20of%20one"),
            ("GET", STATS),
            ("GET", FLUSH),
            ("GET", "/admin/nowhere"),
            ("POST", "/admin/no/where"),
            ("GET", "/debug/config"),
        ] {
            let answer = operator.send(method, path, headers).await;
            assert_problem(&answer, 401, "unauthenticated");
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"operator\""
            );
        }
        assert_eq!(operator.send("GET", "/metrics", headers).await.status, 200);
    }
    assert_eq!(left(&values).await, ["one", "two"]);
}

#[tokio::test]
async fn only_the_token_opens_the_door() {
    let operator = Operator::new().await;
    for wrong in [
        "",
        "kraken-over-lima",
        "Bearer",
        "Bearer ",
        "Bearer kraken-over-lim",
        "Bearer kraken-over-lima2",
        "Bearer Kraken-over-lima",
        "Bearer kraken over lima",
        "Bearer kraken-over-lima, Bearer kraken-over-lima",
        "Basic kraken-over-lima",
        "Bearerkraken-over-lima",
        "Bearer \u{fc}",
    ] {
        let answer = operator
            .send("GET", STATS, &[("authorization", wrong)])
            .await;
        assert_problem(&answer, 401, "unauthenticated");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer realm=\"operator\""));
        assert!(!answer.text().contains(TOKEN), "{wrong}");
    }
    for right in [
        "Bearer kraken-over-lima",
        "bearer kraken-over-lima",
        "BEARER  kraken-over-lima ",
    ] {
        let headers = [("authorization", right)];
        assert_eq!(operator.send("GET", STATS, &headers).await.status, 200);
    }
    let in_query = format!("{STATS}?access_token={TOKEN}");
    let answer = operator.send("GET", &in_query, &[]).await;
    assert_problem(&answer, 401, "unauthenticated");
}

#[tokio::test]
async fn a_key_or_a_tag_is_invalidated_and_nothing_else() {
    let operator = Operator::new().await;
    for question in ["?key=values:one", "?tag=tag%20of%20one"] {
        let values = operator.values().await;
        assert_eq!(left(&values).await, ["one", "two"]);
        let answer = operator.post(&format!("{INVALIDATE}{question}")).await;
        assert_eq!((answer.status, answer.text()), (204, ""), "{question}");
        assert_eq!(left(&values).await, ["two"], "{question}");
    }
}

#[tokio::test]
async fn a_flush_leaves_nothing() {
    let operator = Operator::new().await;
    let values = operator.values().await;
    let answer = operator.post(FLUSH).await;
    assert_eq!((answer.status, answer.text()), (204, ""));
    assert!(left(&values).await.is_empty());
    let entries = operator.cache.stats().l1.entries;
    assert_eq!(entries, 0);
}

#[tokio::test]
async fn what_is_outdated_has_to_be_said_once_and_in_full() {
    let operator = Operator::new().await;
    let values = operator.values().await;
    for question in [
        "",
        "?",
        "?key=",
        "?tag=",
        "?key=one",
        "?key=values:one&tag=tag%20of%20one",
        "?key=values:one&key=values:two",
        "?tag=tag%20of%20one&tag=tag%20of%20two",
        "?tags=tag%20of%20one",
        "?tag=tag%20of%20one&dry_run=true",
    ] {
        let answer = operator.post(&format!("{INVALIDATE}{question}")).await;
        assert_problem(&answer, 400, "malformed");
        assert!(!answer.json()["detail"].is_null(), "{question}");
    }
    assert_eq!(left(&values).await, ["one", "two"]);
}

#[tokio::test]
async fn a_cache_that_may_not_forget_says_so() {
    let switched_off = [
        ("APP__OPERATOR__TOKEN", TOKEN),
        ("APP__CACHE__DELETE_ENABLED", "false"),
    ];
    let operator = Operator::with(&switched_off).await;
    let values = operator.values().await;
    for path in [
        FLUSH,
        "/admin/cache/invalidate?key=values:one",
        "/admin/cache/invalidate?tag=tag%20of%20one",
    ] {
        let answer = operator.post(path).await;
        assert_problem(&answer, 409, "conflict");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("cache.delete_enabled"), "{detail}");
    }
    assert_eq!(left(&values).await, ["one", "two"]);
}

#[tokio::test]
async fn the_stats_say_what_the_tiers_hold() {
    let operator = Operator::new().await;
    operator.values().await;
    let answer = operator.send("GET", STATS, &[BEARER]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let stats = answer.json();
    assert_eq!(stats["l1"]["entries"], 2);
    let bytes = stats["l1"]["bytes"].as_u64().expect("a number");
    assert!((1..100_000).contains(&bytes), "{bytes}");
    assert_eq!(stats["l1_capacity"], 16 * 1024 * 1024);
    assert_eq!(
        (&stats["l2"], &stats["l2_is_well"]),
        (&json!(null), &json!(false))
    );
    operator.post(FLUSH).await;
    let after = operator.send("GET", STATS, &[BEARER]).await.json();
    assert_eq!(after["l1"], json!({ "entries": 0, "bytes": 0 }));
    assert!(after["generation"].as_u64() > stats["generation"].as_u64());
}

#[tokio::test]
async fn what_is_not_there_or_not_meant_so_is_a_problem_here_too() {
    let operator = Operator::new().await;
    for path in [
        "/",
        "/nowhere",
        "/admin",
        "/admin/nowhere",
        "/debug/x/y",
        ARTICLES,
    ] {
        let answer = operator.send("GET", path, &[BEARER]).await;
        assert_problem(&answer, 404, "not-found");
    }
    for (method, path, allowed) in [
        ("GET", FLUSH, "POST"),
        ("DELETE", INVALIDATE, "POST"),
        ("POST", STATS, "GET,HEAD"),
        ("POST", "/metrics", "GET,HEAD"),
    ] {
        let answer = operator.send(method, path, &[BEARER]).await;
        assert_problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
    let named = [BEARER, ("x-request-id", "my-request")];
    let answer = operator.send("GET", "/admin/nowhere", &named).await;
    assert_eq!(answer.json()["request_id"], "my-request");
}

#[tokio::test]
async fn every_request_leaves_one_line_and_never_the_token() {
    let operator = Operator::new().await;
    let log = Log::start();
    let id = ("x-request-id", "my-request");
    let path = "/admin/cache/invalidate?tag=news";
    operator.send("POST", path, &[BEARER, id]).await;
    let lines = log.lines("operator's request");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "INFO",
        "request_id=\"my-request\"",
        "method=\"POST\"",
        "path=\"/admin/cache/invalidate\"",
        "query=\"tag=news\"",
        "status=204",
        "duration_ms=",
    ] {
        assert!(lines[0].contains(part), "{part} in {lines:?}");
    }
    drop(log);

    let log = Log::start();
    let path = format!("/admin/nowhere?token={TOKEN}");
    operator
        .send("GET", &path, &[("authorization", "Bearer guessed"), id])
        .await;
    let lines = log.lines("an operator's request was refused");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "WARN",
        "request_id=\"my-request\"",
        "path=\"/admin/nowhere\"",
    ] {
        assert!(lines[0].contains(part), "{part} in {lines:?}");
    }
    for secret in [TOKEN, "guessed"] {
        assert!(log.lines(secret).is_empty(), "{:?}", log.lines(secret));
    }
    drop(log);

    let log = Log::start();
    operator.send("GET", "/metrics", &[]).await;
    assert!(log.lines("").is_empty(), "scrapes are too many to log");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let operator = Operator::new().await;
    for n in 0..20 {
        operator
            .send("GET", &format!("/admin/storm-{n}"), &[BEARER])
            .await;
        operator.send("GET", &format!("/storm-{n}"), &[]).await;
    }
    operator.post(FLUSH).await;
    operator.send("POST", FLUSH, &[]).await;
    let metrics = Exporter::install().expect("metrics").render();
    for series in [
        r#"operator_requests_total{route="/admin/{*path}",status="404"} "#,
        r#"operator_requests_total{route="/admin/cache/flush",status="204"} "#,
        r#"operator_requests_total{route="/admin/cache/flush",status="401"} "#,
        r#"cache_invalidations_total{scope="all"} "#,
    ] {
        assert!(metrics.contains(series), "{series}");
    }
    assert!(!metrics.contains("storm") && !metrics.contains("route=\"/metrics\""));
}

#[tokio::test]
async fn the_service_lets_operators_in_on_their_own_listener_only() {
    let app = TestApp::with(&[("APP__OPERATOR__TOKEN", TOKEN)]).await;
    let stats = app.operator_call("GET", STATS, &[BEARER]).await;
    assert_eq!(stats.status, 200, "{}", stats.text());
    let refused = app.operator_call("POST", FLUSH, &[]).await;
    assert_problem(&refused, 401, "unauthenticated");
    for (method, path) in [("GET", STATS), ("POST", FLUSH)] {
        let public = app.call(method, path, &[BEARER], Body::empty()).await;
        assert_eq!(public.status, 404);
    }
}
