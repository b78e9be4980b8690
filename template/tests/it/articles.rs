//! Articles over the JSON API.

mod listing;
mod refusals;

use axum::body::Body;
use serde_json::{Value, json};

use crate::support::{ARTICLES, TestApp, published, tagged};

#[tokio::test]
async fn a_created_article_can_be_read_where_its_location_says() {
    let app = TestApp::start().await;
    let article = tagged("Hello, World!", &["rust", "axum", "rust"]);
    let created = app.post(ARTICLES, &article).await;

    assert_eq!(created.status, 201);
    assert_eq!(created.header("etag"), "\"1\"");
    let document = created.json();
    assert_eq!(
        created.header("location"),
        format!("{ARTICLES}/{}", document["id"].as_str().unwrap())
    );
    assert_eq!(document["slug"], "hello-world");
    assert_eq!(document["tags"], json!(["axum", "rust"]));
    assert_eq!(document["body_html"], "<p>At length.</p>\n");
    assert_eq!(document["created_at"], "2026-01-02T03:04:05.123456Z");
    assert_eq!(document["published_at"], document["created_at"]);
    assert_eq!(document["version"], 1);

    let read = app.get(created.header("location")).await;
    assert_eq!((read.status, read.header("etag")), (200, "\"1\""));
    assert_eq!(read.header("cache-control"), "private, no-cache");
    assert_eq!(read.json(), document);
}

#[tokio::test]
async fn who_has_the_article_is_not_sent_it_again() {
    let app = TestApp::start().await;
    let created = app.post(ARTICLES, &published("Hello")).await;
    let location = created.header("location");
    for (tags, status) in [
        ("\"1\"", 304),
        ("W/\"1\"", 304),
        ("\"7\", \"1\"", 304),
        ("*", 304),
        ("\"2\"", 200),
        ("1", 200),
    ] {
        let headers = [("if-none-match", tags)];
        let read = app.call("GET", location, &headers, Body::empty()).await;
        assert_eq!((read.status, read.header("etag")), (status, "\"1\""));
        assert_eq!(read.text().is_empty(), status == 304, "{tags}");
    }
}

#[tokio::test]
async fn an_article_can_be_read_by_its_slug_a_draft_too() {
    let app = TestApp::start().await;
    let created = app.post(ARTICLES, &json!({ "title": "Draft" })).await;
    let location = created.header("location");
    let found = app.get(&format!("{ARTICLES}/by-slug/draft")).await;
    assert_eq!(found.status, 200);
    assert!(found.header("etag").starts_with("\"1."));
    assert_eq!(found.json(), created.json());

    // Its address is another one from now on.
    let changed = json!({ "title": "Draft", "slug": "renamed" });
    assert_eq!(app.put(location, &changed).await.status, 200);
    let found = app.get(&format!("{ARTICLES}/by-slug/renamed")).await;
    assert_eq!(found.status, 200);
    assert!(found.header("etag").starts_with("\"2."));
    for slug in ["draft", "Not%20a%20slug", "%20renamed", "renamed%0A"] {
        let missing = app.get(&format!("{ARTICLES}/by-slug/{slug}")).await;
        assert_eq!(missing.status, 404, "{slug}");
    }
}

#[tokio::test]
async fn who_knows_the_article_that_had_a_slug_before_gets_the_one_that_has_it() {
    let app = TestApp::start().await;
    let address = format!("{ARTICLES}/by-slug/hello");
    let first = app
        .create(ARTICLES, &json!({ "title": "Hello", "body": "one" }))
        .await;
    let tag = app.get(&address).await.header("etag").to_owned();
    let known = [("if-none-match", tag.as_str())];
    let again = app.call("GET", &address, &known, Body::empty()).await;
    assert_eq!(again.status, 304);
    let stale = [("if-match", "\"7.x\"")];
    let refused = app.call("DELETE", &first, &stale, Body::empty()).await;
    assert_eq!(refused.status, 412);
    let seen = [("if-match", tag.as_str())];
    let deleted = app.call("DELETE", &first, &seen, Body::empty()).await;
    assert_eq!(deleted.status, 204);
    app.create(ARTICLES, &json!({ "title": "Hello", "body": "two" }))
        .await;
    let other = app.call("GET", &address, &known, Body::empty()).await;
    assert_eq!((other.status, &other.json()["body"]), (200, &json!("two")));
}

#[tokio::test]
async fn an_article_is_a_draft_unless_it_says_otherwise() {
    let app = TestApp::start().await;
    let created = app
        .post(ARTICLES, &json!({ "title": "Only a title" }))
        .await;
    let document = created.json();
    assert_eq!(document["status"], "draft");
    assert_eq!(document["published_at"], Value::Null);
    assert_eq!(document["summary"], "");
    assert_eq!(document["tags"], json!([]));
}

#[tokio::test]
async fn an_update_replaces_the_content_and_raises_the_version() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &tagged("Before", &["old"])).await;
    app.clock.advance(std::time::Duration::from_micros(7));
    let updated = app
        .put_if(&location, "\"1\"", &tagged("After", &["new"]))
        .await;

    assert_eq!((updated.status, updated.header("etag")), (200, "\"2\""));
    let document = updated.json();
    assert_eq!(document["title"], "After");
    assert_eq!(document["slug"], "before", "links go on working");
    assert_eq!(document["tags"], json!(["new"]));
    assert_eq!(document["created_at"], "2026-01-02T03:04:05.123456Z");
    assert_eq!(document["updated_at"], "2026-01-02T03:04:05.123463Z");
    assert_eq!(app.get(&location).await.json(), document);
}

#[tokio::test]
async fn an_update_may_give_another_slug() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Before")).await;
    let mut article = published("After");
    article["slug"] = json!("somewhere-else");
    let updated = app.put(&location, &article).await;
    assert_eq!(updated.json()["slug"], "somewhere-else");
    // The old one is free again.
    app.create(ARTICLES, &published("Before")).await;
}

#[tokio::test]
async fn the_first_publication_date_stays() {
    let app = TestApp::start().await;
    let draft = json!({ "title": "Back and forth" });
    let location = app.create(ARTICLES, &draft).await;
    let mut dates = Vec::new();
    for article in [
        &published("Back and forth"),
        &draft,
        &published("Back and forth"),
    ] {
        app.clock.advance(std::time::Duration::from_mins(1));
        dates.push(app.put(&location, article).await.json()["published_at"].clone());
    }
    assert_eq!(dates[0], "2026-01-02T03:05:05.123456Z");
    assert_eq!(dates, vec![dates[0].clone(); 3]);
}

#[tokio::test]
async fn an_update_with_any_other_version_changes_nothing() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Before")).await;
    for if_match in [
        "\"2\"", "\"0\"", "\"-1\"", "W/\"1\"", "1", "\"one\"", "\"1", "",
    ] {
        let refused = app.put_if(&location, if_match, &published("After")).await;
        assert_eq!(refused.status, 412, "{if_match}");
        assert_eq!(refused.json()["type"], "/problems/precondition-failed");
    }
    let stale = app.put_if(&location, "\"2\"", &published("After")).await;
    let sentence = "the article has changed since: it is at version 1";
    assert_eq!(stale.json()["detail"], sentence);
    assert_eq!(app.get(&location).await.json()["title"], "Before");
}

#[tokio::test]
async fn an_update_with_a_star_or_without_a_version_always_wins() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Before")).await;
    let starred = app.put_if(&location, "*", &published("Between")).await;
    let plain = app.put(&location, &published("After")).await;
    assert_eq!((starred.status, plain.status), (200, 200));
    assert_eq!(plain.json()["version"], 3);
}

#[tokio::test]
async fn of_twenty_writers_who_saw_the_same_version_one_wins() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Before")).await;
    let mut writers = tokio::task::JoinSet::new();
    let app = std::sync::Arc::new(app);
    for writer in 0..20 {
        let (app, location) = (app.clone(), location.clone());
        writers.spawn(async move {
            let article = tagged(&format!("Writer {writer}"), &[&format!("w{writer}")]);
            let answer = app.put_if(&location, "\"1\"", &article).await;
            (answer.status, answer.json()["title"].clone())
        });
    }
    let answers = writers.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.0 == 200);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|(status, _)| *status == 412), "{lost:?}");
    let document = app.get(&location).await.json();
    assert_eq!(
        (&document["title"], &document["version"]),
        (&won[0].1, &json!(2))
    );
    assert_eq!(document["tags"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn of_twenty_writers_who_want_the_same_slug_one_gets_it() {
    let app = std::sync::Arc::new(TestApp::start().await);
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let app = app.clone();
        writers.spawn(async move { app.post(ARTICLES, &published("Wanted")).await.status });
    }
    let mut answers = writers.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers[0], 201);
    assert_eq!(answers[1..], [409; 19]);
}

#[tokio::test]
async fn a_deleted_article_is_gone() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &tagged("Short-lived", &["tag"])).await;
    let headers = [("if-match", "\"2\"")];
    let stale = app.call("DELETE", &location, &headers, Body::empty()).await;
    assert_eq!(stale.status, 412);
    let headers = [("if-match", "\"1\"")];
    let deleted = app.call("DELETE", &location, &headers, Body::empty()).await;
    assert_eq!((deleted.status, deleted.text()), (204, ""));

    assert_eq!(app.get(&location).await.status, 404);
    assert_eq!(app.delete(&location).await.status, 404);
    assert_eq!(app.put(&location, &published("Again")).await.status, 404);
    let list = app.get("/api/v1/articles?tag=tag").await;
    assert_eq!(list.json(), json!({ "items": [] }));
    // Its slug is free again.
    app.create(ARTICLES, &published("Short-lived")).await;
}

#[tokio::test]
async fn a_taken_slug_is_a_conflict() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Taken")).await;
    let location = app.create(ARTICLES, &published("Free")).await;
    let mut article = published("Another title");
    article["slug"] = json!("taken");
    for refused in [
        app.post(ARTICLES, &published("Taken")).await,
        app.post(ARTICLES, &article).await,
        app.put(&location, &article).await,
    ] {
        assert_eq!(refused.status, 409);
        let problem = refused.json();
        assert_eq!(problem["type"], "/problems/conflict");
        let sentence = "the slug `taken` is taken by another article";
        assert_eq!(problem["detail"], sentence);
    }
    assert_eq!(app.get(&location).await.json()["title"], "Free");
}

#[tokio::test]
async fn text_is_stored_as_it_was_sent() {
    let app = TestApp::start().await;
    for title in [
        "'; DROP TABLE articles; --",
        "x' OR '1'='1",
        "\" \\ % _ $1 ? {} NULL",
        "Grüße, 日本語, שלום, 👩‍👩‍👧‍👦, e\u{301} and \u{e9}",
        "<script>alert('x')</script> &amp; &",
    ] {
        let body = format!("{title}\r\n\tand more\u{2028}lines");
        let article = json!({ "title": title, "summary": title, "body": body, "slug": null,
            "status": "published" });
        let mut article = article;
        article["slug"] = json!(format!("text-{}", title.len()));
        let location = app.create(ARTICLES, &article).await;
        let document = app.get(&location).await.json();
        assert_eq!(document["title"], title);
        assert_eq!(document["summary"], title);
        assert_eq!(document["body"], body);
    }
    let list = app.get(ARTICLES).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_body_is_sanitised_when_it_is_shown_and_kept_when_it_is_stored() {
    let app = TestApp::start().await;
    let mut article = published("Hostile");
    article["body"] = json!("**Hi** <img src=x onerror=alert(1)>");
    let document = app.post(ARTICLES, &article).await.json();
    assert_eq!(document["body"], article["body"]);
    let html = document["body_html"].as_str().unwrap();
    assert!(
        html.contains("<strong>Hi</strong>") && !html.contains("onerror"),
        "{html}"
    );
}

#[tokio::test]
async fn every_change_is_told_to_whoever_listens() {
    let mut app = TestApp::start().await;
    let draft = json!({ "title": "A draft" });
    let location = app.create(ARTICLES, &draft).await;
    app.put(&location, &published("Out now")).await;
    app.put(&location, &published("Corrected")).await;
    app.put_if(&location, "\"9\"", &published("Too late")).await;
    app.post(ARTICLES, &json!({ "title": "" })).await;
    app.delete(&location).await;
    app.create(ARTICLES, &published("At once")).await;

    let id = location.rsplit('/').next().unwrap();
    let mut told = Vec::new();
    while let Ok(event) = app.events().try_recv() {
        told.push((event.name, event.subject.to_string() == id));
    }
    let expected = [
        ("article.created", true),
        ("article.updated", true),
        ("article.published", true),
        ("article.updated", true),
        ("article.deleted", true),
        ("article.created", false),
        ("article.published", false),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn articles_survive_a_restart_and_a_crash() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &tagged("Lasting", &["a", "b"])).await;
    let before = app.get(&location).await.json();
    let app = app.restart().await;
    assert_eq!(app.get(&location).await.json(), before);
    let app = app.crash_and_restart().await;
    assert_eq!(app.get(&location).await.json(), before);
}
