//! When a page comes out of the cache, and that it is never an old one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{assert_sane, cache_status, warm};
use crate::support::{ARTICLES, TestApp, published, tagged};

#[tokio::test]
async fn a_page_is_rendered_once_then_read_from_memory_and_after_a_restart_from_disk() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &tagged("Hello", &["rust"])).await;
    let paths = ["/", "/?tag=rust", "/articles/hello"];
    let mut pages = Vec::new();
    for path in paths {
        let page = app.get(path).await;
        assert_eq!(cache_status(&page), (200, "MISS"), "{path}");
        assert_sane(&page);
        assert!(page.text().contains("Hello"));
        let again = app.get(path).await;
        assert_eq!(cache_status(&again), (200, "HIT-L1"), "{path}");
        assert_eq!(
            (&again.body, again.header("etag")),
            (&page.body, page.header("etag"))
        );
        pages.push(page);
    }
    app.clock.advance(Duration::from_secs(90));
    let app = app.restart().await;
    for (path, page) in paths.into_iter().zip(pages) {
        let kept = app.get(path).await;
        assert_eq!(cache_status(&kept), (200, "HIT-L2"), "{path}");
        assert_eq!(
            (&kept.body, kept.header("etag")),
            (&page.body, page.header("etag"))
        );
        assert_eq!(kept.header("age"), "90");
        assert_eq!(
            kept.header("last-modified"),
            "Fri, 02 Jan 2026 03:04:05 GMT"
        );
        assert_eq!(
            cache_status(&app.get(path).await),
            (200, "HIT-L1"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn after_a_crash_nothing_on_disk_is_trusted() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Hello")).await;
    warm(&app, "/articles/hello").await;
    let app = app.restart().await;
    assert_eq!(
        cache_status(&app.get("/articles/hello").await),
        (200, "HIT-L2")
    );
    let app = app.crash_and_restart().await;
    assert_eq!(
        cache_status(&app.get("/articles/hello").await),
        (200, "MISS")
    );
    let app = app.restart().await;
    assert_eq!(
        cache_status(&app.get("/articles/hello").await),
        (200, "HIT-L2")
    );
}

#[tokio::test]
async fn a_change_made_before_a_restart_is_not_forgotten() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Before")).await;
    warm(&app, "/articles/before").await;
    warm(&app, "/").await;
    app.put(&location, &published("After")).await;
    let app = app.restart().await;
    for path in ["/", "/articles/before"] {
        let page = app.get(path).await;
        assert_eq!(cache_status(&page), (200, "MISS"), "{path}");
        assert!(page.text().contains("After") && !page.text().contains("Before"));
    }
}

/// Whether the list, the list of the tag and the page of the article show `title`.
async fn shows(app: &TestApp, title: &str) -> [bool; 3] {
    let mut shown = [false; 3];
    for (shown, path) in shown
        .iter_mut()
        .zip(["/", "/?tag=rust", "/articles/changing"])
    {
        let page = app.get(path).await;
        *shown = page.text().contains(title);
        assert!(page.status == 200 || page.status == 404, "{}", page.status);
    }
    shown
}

#[tokio::test]
async fn every_change_is_visible_at_the_next_request() {
    let app = TestApp::start().await;
    let article = |title: &str, status: &str, tags: &[&str]| {
        let mut article = tagged(title, tags);
        article["status"] = json!(status);
        article["slug"] = json!("changing");
        article
    };
    // So that no list is ever empty.
    app.create(ARTICLES, &tagged("Another", &["rust"])).await;
    assert_eq!(shows(&app, "First").await, [false; 3]);
    let location = app
        .create(ARTICLES, &article("First", "draft", &["rust"]))
        .await;
    assert_eq!(
        shows(&app, "First").await,
        [false; 3],
        "a draft is for its writer only"
    );
    for (title, status, tags, expected) in [
        ("First", "published", &["rust"][..], [true; 3]),
        ("Second", "published", &["rust"], [true; 3]),
        ("Second", "published", &[], [true, false, true]),
        ("Third", "draft", &["rust"], [false; 3]),
        ("Fourth", "published", &["rust"], [true; 3]),
    ] {
        let changed = app.put(&location, &article(title, status, tags)).await;
        assert_eq!(changed.status, 200);
        for _ in 0..2 {
            assert_eq!(
                shows(&app, title).await,
                expected,
                "{title} {status} {tags:?}"
            );
        }
    }
    app.delete(&location).await;
    assert_eq!(shows(&app, "Fourth").await, [false; 3]);
    assert_eq!(app.get("/articles/changing").await.status, 404);
}

#[tokio::test]
async fn an_article_that_moves_leaves_nothing_at_its_old_address() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Moving")).await;
    warm(&app, "/articles/moving").await;
    let mut moved = published("Moving");
    moved["slug"] = json!("moved");
    app.put(&location, &moved).await;
    assert_eq!(app.get("/articles/moving").await.status, 404);
    assert_eq!(app.get("/articles/moved").await.status, 200);
    assert!(app.get("/").await.text().contains("/articles/moved"));
}

/// The number in a title such as `Title 7`.
fn number_in(text: &str) -> u32 {
    let rest = text.split("Title ").nth(1).expect("a title");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_who_goes_away_leaves_no_old_page_behind() {
    let app = TestApp::start().await;
    let mut article = published("Title 0");
    article["slug"] = json!("page");
    let location = app.create(ARTICLES, &article).await;
    for n in 1..=60 {
        for path in ["/", "/articles/page"] {
            app.get(path).await;
        }
        article["title"] = json!(format!("Title {n}"));
        let body = article.to_string();
        let request = format!(
            "PUT {location} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut writer = TcpStream::connect(app.address()).await.unwrap();
        writer.write_all(request.as_bytes()).await.unwrap();
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        drop(writer);
        // A moment lies between what is stored and its news; nobody waits for the writer's answer.
        let deadline = Instant::now() + Duration::from_secs(10);
        for path in ["/", "/articles/page"] {
            let stored = number_in(&app.get(&location).await.json()["title"].to_string());
            while number_in(app.get(path).await.text()) < stored {
                assert!(Instant::now() < deadline, "{path} never shows {stored}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_never_brings_an_old_page_back() {
    let app = Arc::new(TestApp::start().await);
    let mut article = published("Title 0");
    article["slug"] = json!("page");
    let location = app.create(ARTICLES, &article).await;
    for n in 1..=40 {
        let mut readers = tokio::task::JoinSet::new();
        for reader in 0..8 {
            let app = app.clone();
            readers.spawn(async move {
                let path = ["/", "/articles/page"][reader % 2];
                app.get(path).await.status
            });
        }
        article["title"] = json!(format!("Title {n}"));
        assert_eq!(app.put(&location, &article).await.status, 200);
        // While readers who began before the change are still under way, and after them.
        assert_shown(&app, n).await;
        assert!(readers.join_all().await.iter().all(|status| *status == 200));
        assert_shown(&app, n).await;
    }
}

async fn assert_shown(app: &TestApp, n: u32) {
    for path in ["/", "/articles/page"] {
        let page = app.get(path).await;
        assert!(
            page.text().contains(&format!("Title {n}<")),
            "{path} in round {n}"
        );
    }
}
