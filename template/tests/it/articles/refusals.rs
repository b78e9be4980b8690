//! Bodies and addresses that are refused, and what the answer says.

use serde_json::{Value, json};

use crate::support::{ARTICLES, JSON, TestApp, published};

/// The pointers of a 422 and its details.
async fn refusal(app: &TestApp, body: &str) -> Vec<(String, String)> {
    let answer = app.call("POST", ARTICLES, &[JSON], body.to_owned()).await;
    assert_eq!(answer.status, 422, "{body}: {}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["type"], "/problems/invalid");
    let errors = problem["errors"].as_array().expect("errors");
    let text = |error: &Value, name: &str| error[name].as_str().expect("text").to_owned();
    errors
        .iter()
        .map(|error| (text(error, "pointer"), text(error, "detail")))
        .collect()
}

fn owned<const N: usize>(errors: [(&str, &str); N]) -> Vec<(String, String)> {
    let owned = errors.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned()));
    owned.to_vec()
}

#[tokio::test]
async fn every_wrong_field_is_reported_at_once() {
    let app = TestApp::start().await;
    let body = json!({ "slug": "Not A Slug", "title": "  ", "summary": "x".repeat(281),
        "body": "x".repeat(100_001), "tags": ["ok", "Not OK"], "status": "secret" });
    let expected = owned([
        ("/body", "must be at most 100,000 bytes long"),
        (
            "/slug",
            "must be lowercase letters and digits, joined by single hyphens",
        ),
        ("/status", "must be draft or published"),
        ("/summary", "must be at most 280 characters long"),
        (
            "/tags",
            "must be lowercase letters and digits, joined by single hyphens",
        ),
        ("/title", "must be 1 to 120 characters long"),
    ]);
    assert_eq!(refusal(&app, &body.to_string()).await, expected);
    assert_eq!(
        app.get("/api/v1/articles?status=all").await.json(),
        json!({ "items": [] })
    );
}

#[tokio::test]
async fn one_wrong_value_is_reported_where_it_is() {
    let app = TestApp::start().await;
    let eleven: Vec<String> = (0..11).map(|n| format!("t{n}")).collect();
    for (body, pointer, detail) in [
        (json!({}), "/title", "must be 1 to 120 characters long"),
        (
            json!({ "title": "x".repeat(121) }),
            "/title",
            "must be 1 to 120 characters long",
        ),
        (
            json!({ "title": "a\nb" }),
            "/title",
            "must not contain line breaks or control characters",
        ),
        (
            json!({ "title": "a", "slug": "" }),
            "/slug",
            "must be 1 to 80 characters long",
        ),
        (
            json!({ "title": "a", "tags": eleven }),
            "/tags",
            "must be at most 10 different tags",
        ),
        (
            json!({ "title": "a", "tags": [""] }),
            "/tags",
            "must be 1 to 30 characters long",
        ),
        (
            json!({ "title": "日本語" }),
            "/slug",
            "must be given: none can be made of a title without ASCII letters or digits",
        ),
    ] {
        let found = refusal(&app, &body.to_string()).await;
        assert_eq!(found, owned([(pointer, detail)]), "{body}");
    }
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_reported_where_it_is() {
    let app = TestApp::start().await;
    for (body, pointer) in [
        (json!({ "title": 7 }), "/title"),
        (json!({ "title": null }), "/title"),
        (json!({ "title": "a", "tags": "rust" }), "/tags"),
        (json!({ "title": "a", "tags": ["rust", 7] }), "/tags/1"),
        (json!({ "title": "a", "status": "secret" }), "/status"),
        (json!({ "title": "a", "author": "me" }), "/author"),
        (json!({ "title": "a", "a/b~[0]": 1 }), "/a~1b~0[0]"),
        (json!("title"), ""),
    ] {
        let found = refusal(&app, &body.to_string()).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, pointer, "{body}: {}", found[0].1);
    }
}

#[tokio::test]
async fn a_character_no_database_keeps_is_refused_in_every_field() {
    let app = TestApp::start().await;
    for field in ["title", "summary", "body", "slug"] {
        let mut article = published("Title");
        article[field] = json!("a\0b");
        let found = refusal(&app, &article.to_string()).await;
        assert_eq!(found[0].0, format!("/{field}"));
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() {
    let app = TestApp::start().await;
    for body in [
        "",
        "{",
        "{\"title\":\"a\"} and more",
        "{'title':'a'}",
        "{\"title\":\"\\ud800\"}",
    ] {
        let answer = app.call("POST", ARTICLES, &[JSON], body).await;
        assert_eq!(answer.status, 400, "{body}");
        let problem = answer.json();
        assert_eq!(problem["type"], "/problems/malformed");
        assert!(
            problem["detail"].as_str().unwrap().contains("line 1"),
            "{problem}"
        );
    }
    let not_utf8: &[u8] = b"{\"title\":\"\xff\"}";
    let answer = app.call("POST", ARTICLES, &[JSON], not_utf8).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_body_of_another_type_is_unsupported() {
    let app = TestApp::start().await;
    let body = published("Title").to_string();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let headers = [("content-type", content_type)];
        let answer = app.call("POST", ARTICLES, &headers, body.clone()).await;
        assert_eq!(answer.status, 415, "{content_type}");
        assert_eq!(
            answer.json()["detail"],
            "Send the body as application/json."
        );
    }
    assert_eq!(
        app.call("POST", ARTICLES, &[], body.clone()).await.status,
        415
    );
    let headers = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(app.call("POST", ARTICLES, &headers, body).await.status, 201);
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large() {
    let app = TestApp::with(&[("APP__SERVER__MAX_BODY", "1KiB")]).await;
    let mut article = published("Title");
    article["body"] = json!("x".repeat(1024));
    let answer = app.post(ARTICLES, &article).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["type"], "/problems/body-too-large");
    article["body"] = json!("x".repeat(512));
    assert_eq!(app.post(ARTICLES, &article).await.status, 201);
}

#[tokio::test]
async fn an_address_that_is_no_id_names_nothing() {
    let app = TestApp::start().await;
    for id in [
        "1",
        "not-a-uuid",
        "%00",
        "%ff",
        "00000000-0000-0000-0000-000000000000",
    ] {
        let path = format!("{ARTICLES}/{id}");
        for answer in [
            app.get(&path).await,
            app.put(&path, &published("Title")).await,
            app.delete(&path).await,
        ] {
            assert_eq!(answer.status, 404, "{id}");
            assert_eq!(answer.json()["type"], "/problems/not-found");
        }
    }
}
