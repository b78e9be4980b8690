//! `/sitemap.xml` and `/robots.txt`.

use serde_json::json;

use super::{cache_status, warm};
use crate::support::{ARTICLES, TestApp, published};

const URL: (&str, &str) = ("APP__SERVER__PUBLIC_URL", "https://example.com/");

#[tokio::test]
async fn the_sitemap_lists_what_visitors_can_read_by_whole_addresses() {
    let app = TestApp::with(&[URL]).await;
    app.create(ARTICLES, &published("Hello")).await;
    app.create(ARTICLES, &json!({ "title": "A draft" })).await;
    let sitemap = warm(&app, "/sitemap.xml").await;
    assert_eq!(sitemap.header("content-type"), "application/xml");
    assert_eq!(
        sitemap.text(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n  \
         <url><loc>https://example.com/</loc></url>\n  \
         <url><loc>https://example.com/articles/hello</loc><lastmod>2026-01-02T03:04:05Z</lastmod></url>\n\
         </urlset>"
    );
}

#[tokio::test]
async fn without_a_public_url_addresses_are_those_of_the_listener() {
    let app = TestApp::start().await;
    let sitemap = app.get("/sitemap.xml").await;
    assert!(
        sitemap.text().contains("<loc>http://127.0.0.1:0/</loc>"),
        "{}",
        sitemap.text()
    );
}

#[tokio::test]
async fn robots_are_told_where_the_sitemap_is() {
    let app = TestApp::with(&[URL]).await;
    let robots = warm(&app, "/robots.txt").await;
    assert_eq!(robots.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(
        robots.text(),
        "User-agent: *\nDisallow: /api/\n\nSitemap: https://example.com/sitemap.xml\n"
    );
}

#[tokio::test]
async fn publishing_makes_the_list_the_article_and_the_sitemap_fresh() {
    let app = TestApp::start().await;
    let mut article = published("First");
    article["slug"] = json!("article");
    let location = app.create(ARTICLES, &article).await;
    app.create(ARTICLES, &published("Another")).await;
    let pages = ["/", "/articles/article", "/sitemap.xml"];
    for (title, status) in [
        ("Second", "published"),
        ("Second", "draft"),
        ("Third", "published"),
    ] {
        for path in pages {
            app.get(path).await;
        }
        article["title"] = json!(title);
        article["status"] = json!(status);
        assert_eq!(app.put(&location, &article).await.status, 200);
        let is_published = status == "published";
        for path in pages {
            let page = app.get(path).await;
            let expected = match path {
                "/articles/article" if !is_published => (404, ""),
                _ => (200, "MISS"),
            };
            assert_eq!(cache_status(&page), expected, "{path} when {status}");
            let shown = if path == "/sitemap.xml" {
                "/articles/article<"
            } else {
                title
            };
            assert_eq!(
                page.text().contains(shown),
                is_published,
                "{path} when {status}"
            );
        }
    }
    app.delete(&location).await;
    assert!(
        !app.get("/sitemap.xml")
            .await
            .text()
            .contains("/articles/article<")
    );
}

#[tokio::test]
async fn what_the_service_is_called_now_counts_after_a_restart() {
    let app = TestApp::start().await;
    warm(&app, "/robots.txt").await;
    let app = app.restart_with(&[URL]).await;
    let robots = app.get("/robots.txt").await;
    assert_eq!(cache_status(&robots), (200, "MISS"));
    assert!(robots.text().contains("https://example.com/"));
}
