//! What one client may ask, and what it is told.

use app::component::Routes;
use app::telemetry::Exporter;

use super::Edge;
use crate::support::{ARTICLES, TestApp};

const THREE: [(&str, &str); 3] = [
    ("APP__RATE_LIMIT__REQUESTS", "1"),
    ("APP__RATE_LIMIT__WINDOW", "10s"),
    ("APP__RATE_LIMIT__BURST", "3"),
];

fn routes() -> Routes {
    let hello = async || "hello";
    Routes::new()
        .get("/page", hello)
        .get("/api/thing", hello)
        .get("/health/live", hello)
}

#[tokio::test]
async fn a_client_is_refused_from_the_first_request_beyond_its_quota() {
    Exporter::install().expect("metrics");
    let edge = Edge::around(routes(), &THREE);
    for remaining in ["2", "1", "0"] {
        let answer = edge.get("/api/thing").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), "3");
        assert_eq!(answer.header("x-ratelimit-remaining"), remaining);
    }
    for path in ["/api/thing", "/page", "/nowhere"] {
        let refused = edge.get(path).await;
        assert_eq!(refused.status, 429, "{path}");
        assert_eq!(refused.json()["type"], "/problems/rate-limited");
        assert_eq!(refused.header("retry-after"), "10");
        assert_eq!(refused.header("x-ratelimit-remaining"), "0");
        assert_eq!(refused.header("x-ratelimit-reset"), "30");
    }
    let metrics = Exporter::install().expect("metrics").render();
    assert!(metrics.contains("rate_limited_total{scope=\"client\"}"));
}

#[tokio::test]
async fn health_is_not_limited_and_pages_are_not_told() {
    let edge = Edge::around(routes(), &THREE);
    let page = edge.get("/page").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("x-ratelimit-limit"), "");
    for _ in 0..10 {
        assert_eq!(edge.get("/health/live").await.status, 200);
    }
    assert_eq!(
        edge.get("/api/thing").await.header("x-ratelimit-remaining"),
        "1"
    );
}

#[tokio::test]
async fn the_limit_can_be_turned_off() {
    let overrides = [&THREE[..], &[("APP__RATE_LIMIT__ENABLED", "false")]].concat();
    let edge = Edge::around(routes(), &overrides);
    for _ in 0..10 {
        let answer = edge.get("/api/thing").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), "");
    }
}

#[tokio::test]
async fn a_forged_header_does_not_make_another_client() {
    let overrides = [&THREE[..], &[("APP__RATE_LIMIT__ENABLED", "true")]].concat();
    let app = TestApp::with(&overrides).await;
    let mut statuses = Vec::new();
    for n in 0..4 {
        let forged = format!("198.51.100.{n}");
        let headers = [
            ("x-forwarded-for", forged.as_str()),
            ("forwarded", "for=9.9.9.9"),
        ];
        statuses.push(app.get_with(ARTICLES, &headers).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[tokio::test]
async fn behind_a_trusted_proxy_everybody_has_their_own_quota() {
    let own = [
        ("APP__RATE_LIMIT__ENABLED", "true"),
        ("APP__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]"),
    ];
    let app = TestApp::with(&[&THREE[..], &own].concat()).await;
    for client in ["198.51.100.1", "6.6.6.6, 198.51.100.2"] {
        let mut statuses = Vec::new();
        for _ in 0..4 {
            let headers = [("x-forwarded-for", client)];
            statuses.push(app.get_with("/nowhere", &headers).await.status);
        }
        assert_eq!(statuses, [404, 404, 404, 429], "{client}");
    }
}
