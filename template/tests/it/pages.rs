//! Articles as pages, and what the cache says about them.

mod browser;
mod content;
mod errors;
mod feed;
mod forms;
mod freshness;
mod head;
pub mod injection;
mod sitemap;
mod tokens;
mod warmup;

use std::time::{Duration, Instant};

use axum::body::Body;
use serde_json::{Value, json};

use crate::support::{ARTICLES, Answer, TestApp, published, tagged};

fn cache_status(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("x-cache-status"))
}

/// Asks twice, so that the page is in the cache.
async fn warm(app: &TestApp, path: &str) -> Answer {
    app.get(path).await;
    let answer = app.get(path).await;
    assert_eq!(cache_status(&answer), (200, "HIT-L1"), "{path}");
    answer
}

/// What every page has to have.
fn assert_sane(page: &Answer) {
    let html = page.text();
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(
        html.starts_with("<!doctype html>\n<html lang=\"en\">"),
        "{html}"
    );
    for (part, times) in [("<h1", 1), ("<main", 1), ("<title>", 1), ("</html>", 1)] {
        assert_eq!(html.matches(part).count(), times, "{part} in {html}");
    }
    // None is in the text; in development there may be one that loads the page again.
    let scripts = html.matches("<script").count();
    let assets = html.matches("<script type=\"module\" src=\"/assets/");
    assert!(scripts > 0 && assets.count() == scripts, "{html}");
    let name = html
        .split("<h1")
        .nth(1)
        .and_then(|rest| rest.split('>').nth(1));
    assert!(
        !name.unwrap_or_default().is_empty(),
        "a heading says something"
    );
    let loaded = html
        .lines()
        .filter(|line| !line.contains("rel=\"canonical\""));
    let html = loaded.collect::<String>();
    for external in ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "url("] {
        assert!(!html.contains(external), "{external} in {html}");
    }
}

#[tokio::test]
async fn a_browser_that_has_the_page_gets_no_body() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Hello")).await;
    let page = warm(&app, "/articles/hello").await;
    assert_eq!(
        page.header("cache-control"),
        "public, max-age=0, must-revalidate"
    );
    let etag = page.header("etag").to_owned();
    for known in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let answer = app
            .get_with("/articles/hello", &[("if-none-match", &known)])
            .await;
        assert_eq!(
            (cache_status(&answer), answer.text()),
            ((304, "HIT-L1"), ""),
            "{known}"
        );
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.header("content-type"), "");
    }
    app.put(&location, &published("Hello again")).await;
    let answer = app
        .get_with("/articles/hello", &[("if-none-match", &etag)])
        .await;
    assert_eq!(cache_status(&answer), (200, "MISS"));
    assert_ne!(answer.header("etag"), etag);
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Hello")).await;
    let page = warm(&app, "/articles/hello").await;
    let head = app
        .call("HEAD", "/articles/hello", &[], Body::empty())
        .await;
    assert_eq!((cache_status(&head), head.text()), ((200, "HIT-L1"), ""));
    for name in [
        "etag",
        "content-type",
        "cache-control",
        "content-length",
        "last-modified",
    ] {
        assert_eq!(head.header(name), page.header(name), "{name}");
    }
    let head = app
        .call("HEAD", "/articles/nowhere", &[], Body::empty())
        .await;
    assert_eq!((head.status, head.text()), (404, ""));
}

#[tokio::test]
async fn a_request_with_credentials_goes_past_the_cache() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Hello")).await;
    let headers = [("authorization", "Bearer x")];
    for _ in 0..2 {
        let answer = app.get_with("/articles/hello", &headers).await;
        assert_eq!(cache_status(&answer), (200, "BYPASS"));
        assert_eq!(answer.header("cache-control"), "private, no-store");
    }
    assert_eq!(
        cache_status(&app.get("/articles/hello").await),
        (200, "MISS")
    );
    let answer = app.get_with("/articles/hello", &headers).await;
    assert_eq!(cache_status(&answer), (200, "BYPASS"));
}

#[tokio::test]
async fn what_is_not_there_is_a_page_for_a_browser() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &json!({ "title": "A draft", "tags": ["hidden"] }))
        .await;
    app.create(ARTICLES, &tagged("Hello", &["rust"])).await;
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for path in [
        "/nowhere",
        "/articles/a-draft",
        "/articles/Not-A-Slug",
        "/articles/%ff",
        "/?tag=unknown",
        "/?tag=hidden",
        "/?tag=Not%20A%20Tag",
        "/?after=a-draft",
        "/?after=hello",
    ] {
        for _ in 0..2 {
            let page = app.get_with(path, &browser).await;
            assert_eq!(page.status, 404, "{path}");
            assert_sane(&page);
            assert!(page.text().contains("Not found"), "{path}");
            assert!(page.text().contains(page.header("x-request-id")));
            assert_eq!(page.header("x-cache-status"), "", "errors are not cached");
            assert_eq!(page.header("cache-control"), "no-store");
        }
        let answer = app.get(path).await;
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_new_service_says_how_to_begin_and_shows_the_first_article_at_once() {
    let app = TestApp::start().await;
    for _ in 0..2 {
        let page = app.get("/").await;
        assert_eq!(cache_status(&page), (200, "MISS"));
        assert_sane(&page);
        assert!(page.text().contains("cargo run -- seed"));
    }
    app.create(ARTICLES, &published("The first")).await;
    assert!(app.get("/").await.text().contains("The first"));
}

/// The titles of the cards of a list.
fn titles(page: &Answer) -> Vec<&str> {
    let cards = page.text().split("<h2").skip(1);
    cards
        .map(|card| {
            card.split("</a>")
                .next()
                .and_then(|link| link.rsplit('>').next())
        })
        .map(|title| title.expect("a title"))
        .collect()
}

#[tokio::test]
async fn a_long_list_goes_on_behind_its_last_article() {
    let app = TestApp::start().await;
    for n in 1..=45 {
        app.create(ARTICLES, &tagged(&format!("Article {n}"), &["many"]))
            .await;
        app.clock.advance(Duration::from_secs(1));
    }
    for tag in ["", "tag=many&amp;"] {
        let query = tag.replace("&amp;", "&");
        let first = app.get(&format!("/?{query}")).await;
        assert_eq!(titles(&first).len(), 20);
        assert_eq!(
            (titles(&first)[0], titles(&first)[19]),
            ("Article 45", "Article 26")
        );
        let older = format!("href=\"/?{tag}after=article-26\"").replace("&amp;", "&#38;");
        assert!(first.text().contains(&older), "{older} in {}", first.text());
        let second = app.get(&format!("/?{query}after=article-26")).await;
        assert_sane(&second);
        assert_eq!(
            (titles(&second)[0], titles(&second)[19]),
            ("Article 25", "Article 6")
        );
        let third = app.get(&format!("/?{query}after=article-6")).await;
        assert_eq!(
            titles(&third),
            [
                "Article 5",
                "Article 4",
                "Article 3",
                "Article 2",
                "Article 1"
            ]
        );
        assert!(!third.text().contains("rel=\"next\""));
    }
    app.create(ARTICLES, &published("Newer")).await;
    let second = app.get("/?after=article-26").await;
    assert_eq!(
        titles(&second)[0],
        "Article 25",
        "new articles do not shift the pages behind"
    );
}

#[tokio::test]
async fn every_answer_tells_browsers_what_it_may_do() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Hello")).await;
    warm(&app, "/articles/hello").await;
    let page = app.get("/").await;
    let asset = page.text().split('"').find(|part| part.contains(".css"));
    for path in [
        "/articles/hello",
        "/articles/hello?x",
        "/nowhere",
        ARTICLES,
        "/health",
        "/api/docs/",
        asset.expect("a stylesheet"),
    ] {
        let answer = app.get_with(path, &[("accept", "text/html")]).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "permissions-policy",
                "camera=(), geolocation=(), microphone=()",
            ),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        let policy = answer.header("content-security-policy");
        let is_page = !answer.header("content-type").ends_with("json");
        let from = if is_page { "'self'" } else { "'none'" };
        assert!(
            policy.starts_with(&format!("default-src {from}; ")),
            "{path}: {policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("script-src"), "{path}: {policy}");
        let sets_styles = path.starts_with("/api/docs");
        assert_eq!(
            policy.contains("'unsafe-inline'"),
            sets_styles,
            "{path}: {policy}"
        );
    }
}

#[tokio::test]
async fn encodings_are_kept_over_a_restart() {
    let app = TestApp::start().await;
    let mut article = published("Hello");
    article["body"] = json!("All work and no play. ".repeat(100));
    app.create(ARTICLES, &article).await;
    let accept = [("accept-encoding", "br")];
    let deadline = Instant::now() + Duration::from_secs(30);
    while app
        .get_with("/articles/hello", &accept)
        .await
        .header("content-encoding")
        != "br"
    {
        assert!(Instant::now() < deadline, "it is not encoded");
    }
    let app = app.restart().await;
    let page = app.get_with("/articles/hello", &accept).await;
    assert_eq!(cache_status(&page), (200, "HIT-L2"));
    assert_eq!(page.header("content-encoding"), "br");
}

#[tokio::test]
async fn hostile_text_stays_text() {
    let app = TestApp::start().await;
    let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'";
    let mut article = tagged(hostile, &["rust"]);
    article["summary"] = json!(hostile);
    article["body"] = json!(format!("{hostile}\n\n[link](javascript:alert(1))"));
    article["slug"] = json!("hostile");
    app.create(ARTICLES, &article).await;
    for path in ["/", "/?tag=rust", "/articles/hostile"] {
        let page = app.get(path).await;
        assert_sane(&page);
        let html = page.text();
        for bad in ["<img src=x", " onerror=alert(1)>\"", "javascript:", "\"\">"] {
            assert!(!html.contains(bad), "{bad} in {html}");
        }
        assert!(
            html.contains("&lt;script&gt;") || html.contains("&#60;script&#62;"),
            "{path}: {html}"
        );
    }
}

#[tokio::test]
async fn an_article_that_was_changed_later_says_when() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Dated")).await;
    let page = app.get("/articles/dated").await;
    assert!(page.text().contains("2 January 2026") && !page.text().contains("Updated"));
    app.clock.advance(Duration::from_hours(24));
    let changed: Value = app.put(&location, &published("Dated")).await.json();
    assert_eq!(changed["version"], 2);
    let page = app.get("/articles/dated").await;
    assert!(page.text().contains("2 January 2026") && page.text().contains("3 January 2026"));
    assert!(app.get(ARTICLES).await.text().contains("2026-01-03"));
}

#[tokio::test]
async fn a_list_goes_on_only_after_an_article_that_is_on_it() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &tagged("Older", &["rust"])).await;
    app.clock.advance(Duration::from_secs(1));
    app.create(ARTICLES, &published("Newer")).await;
    assert_eq!(app.get("/?after=newer").await.status, 200);
    assert_eq!(app.get("/?tag=rust&after=newer").await.status, 404);
}
