//! What is said about bodies and answers that do not fit.

use axum::body::Body;
use serde_json::json;

use crate::support::{ARTICLES, JSON, TestApp, published};

#[tokio::test]
async fn a_compressed_body_is_refused_unread() {
    let app = TestApp::start().await;
    for coding in [
        "gzip",
        "br",
        "deflate",
        "zstd",
        "identity, gzip",
        "unheard-of",
    ] {
        let headers = [JSON, ("content-encoding", coding)];
        let body = published("Title").to_string();
        let answer = app.call("POST", ARTICLES, &headers, body).await;
        assert_eq!(answer.status, 415, "{coding}");
        assert_eq!(answer.json()["type"], "/problems/unsupported-media-type");
    }
    let headers = [JSON, ("content-encoding", "identity")];
    let body = published("Title").to_string();
    let answer = app.call("POST", ARTICLES, &headers, body).await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn json_of_any_depth_is_refused_in_order() {
    let app = TestApp::start().await;
    for depth in [127, 128, 129, 100_000] {
        let body = format!("{{\"title\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let answer = app.call("POST", ARTICLES, &[JSON], body).await;
        assert!(
            matches!(answer.status, 400 | 422),
            "{depth}: {}",
            answer.text()
        );
        let unclosed = "{\"title\":".repeat(depth);
        let answer = app.call("POST", ARTICLES, &[JSON], unclosed).await;
        assert!(
            matches!(answer.status, 400 | 422),
            "{depth}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn who_takes_no_json_is_refused_before_anything_is_done() {
    let app = TestApp::start().await;
    let headers = [JSON, ("accept", "application/xml")];
    let body = published("Unseen").to_string();
    let answer = app.call("POST", ARTICLES, &headers, body).await;
    assert_eq!(answer.status, 406);
    assert_eq!(app.get(ARTICLES).await.json()["items"], json!([]));
    let browser = [("accept", "text/html,application/xml;q=0.9,*/*;q=0.8")];
    assert_eq!(app.get_with(ARTICLES, &browser).await.status, 200);
}

#[tokio::test]
async fn the_methods_of_a_route_are_in_order_and_an_answer_to_head_has_no_body() {
    let app = TestApp::start().await;
    let answer = app.call("PATCH", ARTICLES, &[], Body::empty()).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    let answer = app.call("HEAD", "/api/nowhere", &[], Body::empty()).await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn documents_for_programs_may_load_nothing() {
    let app = TestApp::start().await;
    for path in [ARTICLES, "/api/nowhere", "/health", "/api/openapi.json"] {
        let policy = app
            .get(path)
            .await
            .header("content-security-policy")
            .to_owned();
        assert_eq!(
            policy, "default-src 'none'; frame-ancestors 'none'",
            "{path}"
        );
    }
}
