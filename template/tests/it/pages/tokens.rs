//! The tokens of forms, and the cookies that browsers keep for them.

use serde_json::json;

use super::forms::{FORM, encoded, hidden, opened};
use super::{assert_sane, cache_status};
use crate::support::{ARTICLES, TestApp};

#[tokio::test]
async fn a_form_without_its_token_or_its_cookie_is_refused_and_changes_nothing() {
    let app = TestApp::start().await;
    let (cookie, token) = opened(&app).await;
    let (stranger, _) = opened(&app).await;
    let with = |token: &str| encoded(&[("title", "Forged"), ("csrf_token", token)]);
    for (cookie, body) in [
        (cookie.as_str(), encoded(&[("title", "Forged")])),
        (&cookie, with("AAAA")),
        (&stranger, with(&token)),
        ("other=1", with(&token)),
    ] {
        // As an old browser sends it, which does not say from where.
        let headers = [FORM, ("accept", "text/html"), ("cookie", cookie)];
        let refused = app.call("POST", "/articles/new", &headers, body).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert_sane(&refused);
        assert!(refused.text().contains("go back"), "{}", refused.text());
    }
    let listed = app.get(ARTICLES).await.json();
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn a_form_is_nobody_elses_and_every_visitor_has_another_token() {
    let app = TestApp::start().await;
    let one = app.get("/articles/new").await;
    assert!(one.header("cache-control").contains("no-store"));
    assert_eq!(cache_status(&one), (200, "BYPASS"));
    let other = app.get("/articles/new").await;
    assert_ne!(hidden(&one, "csrf_token"), hidden(&other, "csrf_token"));
    assert_ne!(one.header("set-cookie"), other.header("set-cookie"));
}

#[tokio::test]
async fn behind_https_cookies_are_for_https_only() {
    let proxied = [("APP__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")];
    let app = TestApp::with(&proxied).await;
    let headers = [("x-forwarded-proto", "https")];
    let form = app.get_with("/articles/new", &headers).await;
    let cookie = form.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-csrf=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    let promise = "max-age=31536000";
    assert_eq!(form.header("strict-transport-security"), promise);
    for _ in 0..2 {
        let page = app.get_with("/", &headers).await;
        assert_eq!(page.header("strict-transport-security"), promise);
        let page = app.get("/").await;
        assert_eq!(page.header("strict-transport-security"), "");
    }
}
