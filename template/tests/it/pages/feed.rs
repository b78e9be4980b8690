//! `/feed.xml`.

use std::time::Duration;

use serde_json::json;

use super::{cache_status, warm};
use crate::support::{ARTICLES, TestApp, published, tagged};

const URL: (&str, &str) = ("APP__SERVER__PUBLIC_URL", "https://example.com");

#[tokio::test]
async fn the_feed_has_the_newest_articles_whole() {
    let app = TestApp::with(&[URL]).await;
    let mut article = tagged("Salt & pepper", &["rust", "web"]);
    article["body"] = json!("A *b* [c](/d) <script>alert(1)</script>");
    let location = app.create(ARTICLES, &article).await;
    app.create(ARTICLES, &json!({ "title": "A draft" })).await;
    let id = location.rsplit('/').next().expect("an id");
    let feed = warm(&app, "/feed.xml").await;
    assert_eq!(feed.header("content-type"), "application/atom+xml");
    let entry = format!(
        "  <entry>\n    \
         <id>urn:uuid:{id}</id>\n    \
         <title>Salt &#38; pepper</title>\n    \
         <link rel=\"alternate\" type=\"text/html\" href=\"https://example.com/articles/salt-pepper\"/>\n    \
         <published>2026-01-02T03:04:05Z</published>\n    \
         <updated>2026-01-02T03:04:05Z</updated>\n    \
         <category term=\"rust\"/>\n    \
         <category term=\"web\"/>\n    \
         <summary>In short.</summary>\n    \
         <content type=\"html\" xml:base=\"https://example.com/articles/salt-pepper\">\
         &#60;p&#62;A &#60;em&#62;b&#60;/em&#62; &#60;a href=&#34;/d&#34; rel=&#34;noopener noreferrer&#34;&#62;c&#60;/a&#62; &#60;/p&#62;\n\
         </content>\n  \
         </entry>\n\
         </feed>"
    );
    assert!(feed.text().ends_with(&entry), "{}", feed.text());
    for part in [
        "<id>https://example.com/feed.xml</id>",
        "<link rel=\"self\" type=\"application/atom+xml\" href=\"https://example.com/feed.xml\"/>",
        "<author><name>",
    ] {
        assert_eq!(feed.text().matches(part).count(), 1, "{part}");
    }
}

#[tokio::test]
async fn the_feed_knows_an_article_again_and_says_when_it_changed() {
    let app = TestApp::with(&[URL]).await;
    let location = app.create(ARTICLES, &published("First")).await;
    let before = warm(&app, "/feed.xml").await;
    let id = |feed: &str| {
        feed.split("urn:uuid:")
            .nth(1)
            .map(|rest| rest[..36].to_owned())
    };
    app.clock.advance(Duration::from_hours(1));
    let mut moved = published("Moved");
    moved["slug"] = json!("moved");
    app.put(&location, &moved).await;
    let after = app.get("/feed.xml").await;
    assert_eq!(cache_status(&after), (200, "MISS"));
    assert_eq!(id(after.text()), id(before.text()));
    assert_eq!(
        after
            .text()
            .matches("<updated>2026-01-02T04:04:05Z</updated>")
            .count(),
        2
    );
    assert!(
        after
            .text()
            .contains("<published>2026-01-02T03:04:05Z</published>")
    );
}

#[tokio::test]
async fn a_feed_is_whole_without_articles_and_with_characters_xml_has_not() {
    let app = TestApp::start().await;
    let feed = app.get("/feed.xml").await;
    assert!(
        feed.text()
            .contains("<updated>1970-01-01T00:00:00Z</updated>")
    );
    let mut article = published("Odd \u{ffff}characters");
    article["body"] = json!("a\u{b}b\u{1b}c\td");
    app.create(ARTICLES, &article).await;
    let feed = app.get("/feed.xml").await;
    let may_stand = |c: char| {
        matches!(c, '\t' | '\n' | '\r') || c >= ' ' && !('\u{fffe}'..='\u{ffff}').contains(&c)
    };
    assert!(feed.text().chars().all(may_stand));
    assert!(
        feed.text().contains("<title>Odd characters</title>") && feed.text().contains("abc\td")
    );
}

#[tokio::test]
async fn the_feed_ends_after_the_newest_twenty() {
    let app = TestApp::start().await;
    for n in 1..=21 {
        app.create(ARTICLES, &published(&format!("Number {n}")))
            .await;
        app.clock.advance(Duration::from_secs(1));
    }
    let feed = app.get("/feed.xml").await;
    assert_eq!(feed.text().matches("<entry>").count(), 20);
    assert!(feed.text().contains("<title>Number 21</title>"));
    assert!(!feed.text().contains("<title>Number 1</title>"));
}
