//! What scripts of other sites may do.

use super::Edge;
use app::component::Routes;

use crate::support::Answer;

const FRIEND: &str = "https://app.example.com";

const LISTED: (&str, &str) = (
    "APP__CORS__ALLOW_ORIGINS",
    "[\"https://app.example.com\", \"http://localhost:3000/\"]",
);

fn edge(overrides: &[(&str, &str)]) -> Edge {
    let routes = Routes::new()
        .any("/api/v1/things", async || "things")
        .get("/", async || "a page");
    Edge::around(routes, overrides)
}

async fn preflight(edge: &Edge, path: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "content-type,if-match"),
    ];
    edge.ask("OPTIONS", path, &headers).await
}

#[tokio::test]
async fn no_other_site_may_do_anything_by_default() {
    let edge = edge(&[]);
    let answer = edge
        .ask("GET", "/api/v1/things", &[("origin", FRIEND)])
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let answer = preflight(&edge, "/api/v1/things", FRIEND).await;
    assert_eq!(answer.header("access-control-allow-methods"), "");
}

#[tokio::test]
async fn a_listed_site_is_named_and_others_are_not() {
    let edge = edge(&[LISTED]);
    for (origin, allowed) in [
        (FRIEND, FRIEND),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://app.example.com.evil.example", ""),
        ("http://app.example.com", ""),
        ("null", ""),
    ] {
        let headers = [("origin", origin)];
        let answer = edge.ask("GET", "/api/v1/things", &headers).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.header("vary"), "origin");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_and_may_be_remembered() {
    let edge = edge(&[LISTED]);
    let answer = preflight(&edge, "/api/v1/things", FRIEND).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), FRIEND);
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("PUT")
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("if-match")
    );
    assert_eq!(answer.header("access-control-max-age"), "3600");
    let answer = preflight(&edge, "/api/v1/things", "https://evil.example").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn errors_can_be_read_too_and_pages_are_left_alone() {
    let edge = edge(&[LISTED]);
    let answer = edge.ask("GET", "/api/nowhere", &[("origin", FRIEND)]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("access-control-allow-origin"), FRIEND);
    let page = edge.ask("GET", "/", &[("origin", FRIEND)]).await;
    assert_eq!(page.header("access-control-allow-origin"), "");
    assert_eq!(page.header("vary"), "");
    let answer = edge.ask("OPTIONS", "/", &[]).await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn a_listed_site_may_change_things_where_it_may_ask() {
    let edge = edge(&[LISTED]);
    let from = |origin| [("origin", origin), ("sec-fetch-site", "cross-site")];
    let answer = edge.ask("POST", "/api/v1/things", &from(FRIEND)).await;
    assert_eq!(answer.status, 200);
    let answer = edge
        .ask("POST", "/api/v1/things", &from("https://evil.example"))
        .await;
    assert_eq!(answer.status, 403);
    let answer = edge.ask("POST", "/", &from(FRIEND)).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn everybody_may_only_without_a_visitors_cookies() {
    let edge = edge(&[("APP__CORS__ALLOW_ORIGINS", "[\"*\"]")]);
    let headers = [("origin", FRIEND), ("sec-fetch-site", "cross-site")];
    let answer = edge.ask("POST", "/api/v1/things", &headers).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let with_cookie = [&headers[..], &[("cookie", "session=1")]].concat();
    let answer = edge.ask("POST", "/api/v1/things", &with_cookie).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn credentials_are_for_listed_sites() {
    let edge = edge(&[LISTED, ("APP__CORS__ALLOW_CREDENTIALS", "true")]);
    let answer = edge
        .ask("GET", "/api/v1/things", &[("origin", FRIEND)])
        .await;
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
}
