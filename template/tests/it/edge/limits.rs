//! The limits of a request, each at its value, one below and one above. Those of accounts are in `auth/limits.rs`, those of
//! connections in `cli/limits.rs`.

use std::sync::Arc;
use std::time::Duration;

use app::component::Routes;
use app::http::extract::Json;
use axum::body::Body;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use validator::Validate;

use super::Edge;
use crate::support::{ARTICLES, JSON, TestApp, published};

/// Asks with one less than `limit`, with it and with one more.
async fn assert_most(
    what: &str,
    limit: usize,
    within: u16,
    beyond: u16,
    ask: impl AsyncFn(usize) -> u16,
) {
    for (value, status) in [(limit - 1, within), (limit, within), (limit + 1, beyond)] {
        assert_eq!(
            ask(value).await,
            status,
            "{what} of {value}, at most {limit}"
        );
    }
}

/// The same for what must be at least `limit`.
async fn assert_least(
    what: &str,
    limit: usize,
    within: u16,
    beyond: u16,
    ask: impl AsyncFn(usize) -> u16,
) {
    for (value, status) in [(limit + 1, within), (limit, within), (limit - 1, beyond)] {
        assert_eq!(
            ask(value).await,
            status,
            "{what} of {value}, at least {limit}"
        );
    }
}

/// A value of so many characters, bytes or parts.
type Make = fn(usize) -> Value;

/// An article with one field as `value` says.
fn with(field: &str, value: Value) -> Value {
    let mut article = published("Title");
    article["slug"] = json!(format!("unique-{}", uuid::Uuid::now_v7()));
    article[field] = value;
    article
}

#[tokio::test]
async fn a_text_may_be_as_long_as_its_field_says_and_no_longer() {
    let app = TestApp::start().await;
    let texts: [(&str, usize, Make); 6] = [
        // Characters, of which each is two bytes.
        ("title", 120, |n| json!("ü".repeat(n))),
        ("summary", 280, |n| json!("ü".repeat(n))),
        ("slug", 80, |n| json!("s".repeat(n))),
        ("tags", 30, |n| json!(["t".repeat(n)])),
        ("tags", 10, |n| {
            json!((0..n).map(|n| format!("t{n}")).collect::<Vec<_>>())
        }),
        // Bytes.
        ("body", 100_000, |n| {
            json!("ü".repeat(n / 2) + &"u".repeat(n % 2))
        }),
    ];
    for (field, most, value) in texts {
        let ask = async |n| app.post(ARTICLES, &with(field, value(n))).await.status;
        assert_most(field, most, 201, 422, ask).await;
    }
    for (field, value) in texts
        .map(|(field, _, value)| (field, value))
        .into_iter()
        .take(4)
    {
        if field != "summary" {
            // The slugs of the longest are taken.
            let ask = async |n| app.post(ARTICLES, &with(field, value(n))).await.status;
            assert_least(field, 1, 201, 422, ask).await;
        }
    }
}

#[tokio::test]
async fn a_page_of_a_list_has_between_one_and_a_hundred_entries() {
    let app = TestApp::start().await;
    let ask = async |n: usize| app.get(&format!("{ARTICLES}?limit={n}")).await.status;
    assert_most("limit", 100, 200, 400, ask).await;
    assert_least("limit", 1, 200, 400, ask).await;
}

#[tokio::test]
async fn a_body_may_have_as_many_bytes_as_the_setting_says() {
    let app = TestApp::with(&[("APP__SERVER__MAX_BODY", "1KiB")]).await;
    let ask = async |bytes: usize| {
        // Blanks behind the value are part of the body.
        let body = format!("{:bytes$}", with("summary", json!("")).to_string());
        assert_eq!(body.len(), bytes);
        app.call("POST", ARTICLES, &[JSON], body).await.status
    };
    assert_most("a body", 1024, 201, 413, ask).await;
    let in_pieces = async |bytes: usize| {
        let body = format!("{:bytes$}", with("summary", json!("")).to_string());
        let pieces: Vec<_> = body.as_bytes().chunks(100).map(<[u8]>::to_vec).collect();
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        app.call("POST", ARTICLES, &[JSON], body).await.status
    };
    assert_most("a body without a length", 1024, 201, 413, in_pieces).await;
}

#[derive(Deserialize, Validate)]
struct Anything {
    #[serde(rename = "it")]
    _it: Value,
}

#[tokio::test]
async fn json_where_anything_is_taken_may_be_127_deep() {
    async fn take(_: Json<Anything>) {}
    let edge = Edge::around(Routes::new().post("/take", take), &[]);
    let ask = async |depth: usize| {
        let inner = depth - 1;
        let body = format!("{{\"it\":{}{}}}", "[".repeat(inner), "]".repeat(inner));
        edge.send("POST", "/take", &[JSON], body).await.status
    };
    assert_most("a depth", 127, 200, 400, ask).await;
}

/// The status that is answered to these bytes.
async fn raw(app: &TestApp, bytes: &str) -> u16 {
    let mut stream = TcpStream::connect(app.address())
        .await
        .expect("a connection");
    // Refused before all is read, the service may close the connection meanwhile.
    let _ = stream.write_all(bytes.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

const HEAD: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";

#[tokio::test]
async fn a_head_may_have_as_many_bytes_as_the_setting_says() {
    let app = TestApp::with(&[("APP__SERVER__MAX_HEADER_BYTES", "8KiB")]).await;
    let ask = async |bytes: usize| {
        let filled = bytes - HEAD.len() - "x: \r\n\r\n".len();
        let head = format!("{HEAD}x: {}\r\n\r\n", "x".repeat(filled));
        assert_eq!(head.len(), bytes);
        raw(&app, &head).await
    };
    assert_most("a head", 8192, 200, 431, ask).await;
}

#[tokio::test]
async fn a_head_may_have_a_hundred_lines() {
    let app = TestApp::start().await;
    let ask = async |lines: usize| {
        // The head has two already.
        let others = "x: 1\r\n".repeat(lines - 2);
        raw(&app, &format!("{HEAD}{others}\r\n")).await
    };
    assert_most("a head with lines", 100, 200, 431, ask).await;
}

const THREE: [(&str, &str); 4] = [
    ("APP__RATE_LIMIT__ENABLED", "true"),
    ("APP__RATE_LIMIT__REQUESTS", "1"),
    ("APP__RATE_LIMIT__WINDOW", "10s"),
    ("APP__RATE_LIMIT__BURST", "3"),
];

#[tokio::test]
async fn a_client_that_has_used_up_its_burst_gets_one_more_as_soon_as_it_is_due_and_not_before() {
    let app = TestApp::with(&THREE).await;
    let ask = async || app.get("/nowhere").await.status;
    assert_eq!(
        [ask().await, ask().await, ask().await, ask().await],
        [404, 404, 404, 429]
    );
    app.clock
        .advance(Duration::from_secs(10) - Duration::from_micros(1));
    assert_eq!(ask().await, 429);
    app.clock.advance(Duration::from_micros(1));
    assert_eq!([ask().await, ask().await], [404, 429]);
    // And no more than the burst, however long it waits.
    app.clock.advance(Duration::from_hours(1));
    assert_eq!(
        [ask().await, ask().await, ask().await, ask().await],
        [404, 404, 404, 429]
    );
}

/// Takes as long as the query says.
fn slow() -> Routes {
    Routes::new().get("/slow", async |query: axum::extract::RawQuery| {
        let millis = query.0.and_then(|query| query.parse().ok());
        tokio::time::sleep(Duration::from_millis(millis.unwrap_or_default())).await;
    })
}

#[tokio::test(start_paused = true)]
async fn a_request_may_take_as_long_as_the_setting_says() {
    let edge = Edge::around(slow(), &[("APP__SERVER__REQUEST_TIMEOUT", "30s")]);
    for (millis, status) in [(29_999, 200), (30_001, 504)] {
        let answer = edge.get(&format!("/slow?{millis}")).await;
        assert_eq!(answer.status, status, "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_its_turn_as_long_as_the_setting_says() {
    let overrides = [
        ("APP__SERVER__CONCURRENCY", "1"),
        ("APP__SERVER__QUEUE_TIMEOUT", "250ms"),
    ];
    let edge = Edge::around(slow(), &overrides);
    for (millis, status) in [(249, 200), (251, 503)] {
        let path = format!("/slow?{millis}");
        let first = tokio::spawn({
            let edge = edge.clone();
            async move { edge.get(&path).await.status }
        });
        // It has the place when the next line runs, on the one thread of this test.
        tokio::task::yield_now().await;
        assert_eq!(edge.get("/slow?0").await.status, status, "{millis}");
        assert_eq!(first.await.expect("an answer"), 200);
    }
}

#[tokio::test]
async fn as_many_requests_run_and_wait_as_the_settings_say() {
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let handler = move || {
        let open = Arc::clone(&open);
        async move { open.acquire().await.expect("a gate").forget() }
    };
    let overrides = [
        ("APP__SERVER__CONCURRENCY", "3"),
        ("APP__SERVER__QUEUE_DEPTH", "2"),
        ("APP__SERVER__QUEUE_TIMEOUT", "10m"),
    ];
    let edge = Edge::around(Routes::new().get("/work", handler), &overrides);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let edge = edge.clone();
        asked.spawn(async move { edge.get("/work").await.status });
        tokio::task::yield_now().await;
    }
    // The sixth, while all others are there.
    assert_eq!(
        asked.join_next().await.expect("one").expect("an answer"),
        503
    );
    assert!(asked.try_join_next().is_none());
    gate.add_permits(5);
    assert_eq!(asked.join_all().await, [200; 5]);
}
