//! Lists of articles: order, filters, and pages that do not shift.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{ARTICLES, TestApp, published, tagged};

/// The titles of the whole list at `query`, page by page, and how many pages that were.
async fn titles(app: &TestApp, query: &str) -> (Vec<String>, usize) {
    let (mut titles, mut pages) = (Vec::new(), 0);
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("{ARTICLES}?{query}{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        titles.extend(titles_of(&page));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (titles, pages),
        }
    }
}

fn titles_of(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("a list");
    items
        .iter()
        .map(|item| item["title"].as_str().expect("a title").to_owned())
        .collect()
}

async fn create(app: &TestApp, title: &str) {
    app.create(ARTICLES, &published(title)).await;
    app.clock.advance(Duration::from_secs(1));
}

#[tokio::test]
async fn a_list_has_summaries_of_published_articles_newest_first() {
    let app = TestApp::start().await;
    create(&app, "First").await;
    create(&app, "Second").await;
    app.create(ARTICLES, &json!({ "title": "A draft" })).await;
    let list = app.get(ARTICLES).await.json();
    assert_eq!(titles_of(&list), ["Second", "First"]);
    assert_eq!(list["next"], Value::Null);
    let item = list["items"][0].as_object().unwrap();
    assert!(item.contains_key("summary") && !item.contains_key("body"));
}

#[tokio::test]
async fn every_order_shows_every_article_once_whatever_the_size_of_a_page() {
    let app = TestApp::start().await;
    for title in ["Delta", "Alpha", "Echo", "Bravo", "Charlie"] {
        create(&app, title).await;
    }
    let orders = [
        ("newest", ["Charlie", "Bravo", "Echo", "Alpha", "Delta"]),
        ("oldest", ["Delta", "Alpha", "Echo", "Bravo", "Charlie"]),
        ("title", ["Alpha", "Bravo", "Charlie", "Delta", "Echo"]),
    ];
    for (sort, expected) in orders {
        for (limit, pages) in [(1, 5), (2, 3), (4, 2), (5, 1), (100, 1)] {
            let found = titles(&app, &format!("sort={sort}&limit={limit}")).await;
            assert_eq!(
                found,
                (expected.map(str::to_owned).to_vec(), pages),
                "{sort} by {limit}"
            );
        }
    }
}

#[tokio::test]
async fn articles_of_the_same_moment_or_title_appear_once_each() {
    let app = TestApp::start().await;
    for n in 0..7 {
        let mut article = published("Same");
        article["slug"] = json!(format!("same-{n}"));
        app.create(ARTICLES, &article).await;
    }
    for sort in ["newest", "oldest", "title"] {
        let (found, pages) = titles(&app, &format!("sort={sort}&limit=3")).await;
        assert_eq!((found.len(), pages), (7, 3), "{sort}");
    }
}

#[tokio::test]
async fn articles_added_or_deleted_between_pages_do_not_shift_them() {
    let app = TestApp::start().await;
    let mut locations = Vec::new();
    for title in ["M1", "M2", "M3", "M4"] {
        locations.push(app.create(ARTICLES, &published(title)).await);
        app.clock.advance(Duration::from_secs(1));
    }
    let rest = [
        ("newest", "M3", ["M2", "M1"]),
        ("oldest", "M2", ["M3", "M4"]),
        ("title", "M2", ["M3", "M4"]),
    ];
    for (round, (sort, last, expected)) in rest.into_iter().enumerate() {
        let first = app.get(&format!("{ARTICLES}?sort={sort}&limit=2")).await;
        assert_eq!(titles_of(&first.json())[1], last, "{sort}");
        let next = first.json()["next"].as_str().unwrap().to_owned();
        // One that belongs on the first page of each order.
        let added = match sort {
            "newest" => Some(app.create(ARTICLES, &published("Z")).await),
            "title" => Some(app.create(ARTICLES, &published("A")).await),
            _ => None,
        };
        let second = format!("{ARTICLES}?sort={sort}&limit=2&cursor={next}");
        assert_eq!(
            titles_of(&app.get(&second).await.json()),
            expected,
            "{round} {sort}"
        );
        if let Some(added) = added {
            app.delete(&added).await;
        }
    }
    // The article a cursor was made of may be gone.
    let first = app.get(&format!("{ARTICLES}?sort=oldest&limit=2")).await;
    app.delete(&locations[1]).await;
    let next = first.json()["next"].as_str().unwrap().to_owned();
    let second = format!("{ARTICLES}?sort=oldest&limit=2&cursor={next}");
    assert_eq!(titles_of(&app.get(&second).await.json()), ["M3", "M4"]);
}

#[tokio::test]
async fn a_list_can_be_narrowed_to_a_tag_and_a_status() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &tagged("Rust and web", &["rust", "web"]))
        .await;
    app.create(ARTICLES, &tagged("Rust", &["rust"])).await;
    let mut draft = tagged("Rust draft", &["rust"]);
    draft["status"] = json!("draft");
    app.create(ARTICLES, &draft).await;
    app.create(ARTICLES, &published("Nothing")).await;

    let expected: [(&str, &[&str]); 8] = [
        ("tag=rust", &["Rust", "Rust and web"]),
        ("tag=web", &["Rust and web"]),
        ("tag=rus", &[]),
        ("tag=rust&status=draft", &["Rust draft"]),
        ("status=draft", &["Rust draft"]),
        ("status=published", &["Nothing", "Rust", "Rust and web"]),
        (
            "tag=rust&status=all",
            &["Rust", "Rust and web", "Rust draft"],
        ),
        (
            "status=all",
            &["Nothing", "Rust", "Rust and web", "Rust draft"],
        ),
    ];
    for (filter, expected) in expected {
        let (found, _) = titles(&app, &format!("sort=title&limit=1&{filter}")).await;
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test]
async fn a_page_has_twenty_articles_unless_asked_otherwise() {
    let app = TestApp::start().await;
    for n in 0..21 {
        create(&app, &format!("Article {n}")).await;
    }
    let page = app.get(ARTICLES).await.json();
    assert_eq!(titles_of(&page).len(), 20);
    let next = page["next"].as_str().unwrap();
    let page = app.get(&format!("{ARTICLES}?cursor={next}")).await.json();
    assert_eq!(titles_of(&page), ["Article 0"]);
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_answered_with_a_sentence() {
    let app = TestApp::start().await;
    create(&app, "One").await;
    create(&app, "Two").await;
    let page = app.get(&format!("{ARTICLES}?limit=1")).await.json();
    let other_order = format!("sort=title&cursor={}", page["next"].as_str().unwrap());
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=300", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("sort=size", "size"),
        ("status=gone", "gone"),
        ("tag=Not%20A%20Tag", "tag"),
        ("tag=", "tag"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
        ("cursor=%00", "cursor"),
        ("nonsense=1", "nonsense"),
        (&other_order, "cursor"),
    ] {
        let answer = app.get(&format!("{ARTICLES}?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        let problem = answer.json();
        assert_eq!(problem["type"], "/problems/malformed");
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains(word), "{query}: {detail}");
    }
}

#[tokio::test]
async fn a_forged_cursor_never_reaches_the_store() {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    let app = TestApp::start().await;
    let id = uuid::Uuid::nil();
    for (sort, cursor) in [
        ("title", format!("t {id} \0")),
        ("title", format!("t {id} two\nlines")),
        ("newest", format!("d {id} -8000000000000000000")),
        ("newest", format!("d {id} 8000000000000000000")),
        ("newest", format!("d {id} {}", i64::MAX)),
    ] {
        let query = format!(
            "sort={sort}&cursor={}",
            BASE64_URL_SAFE_NO_PAD.encode(&cursor)
        );
        let answer = app.get(&format!("{ARTICLES}?{query}")).await;
        assert_eq!(answer.status, 400, "{cursor:?}: {}", answer.text());
    }
}
