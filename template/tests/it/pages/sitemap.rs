//! `/sitemap.xml` and `/robots.txt`.

use app::infra::db::Driver;
use serde_json::json;
use sqlx::QueryBuilder;
use uuid::Uuid;

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
         <url><loc>https://example.com/about</loc></url>\n  \
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

#[tokio::test]
async fn more_addresses_than_fit_into_one_file_are_listed_in_several() {
    let app = TestApp::with(&[URL]).await;
    // With `/` and the pages of content/ more than fit.
    publish_numbered(&app, 50_000).await;
    let index = warm(&app, "/sitemap.xml").await;
    assert_eq!(index.header("content-type"), "application/xml");
    assert_eq!(
        index.text(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <sitemapindex xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n  \
         <sitemap><loc>https://example.com/sitemaps/1.xml</loc></sitemap>\n  \
         <sitemap><loc>https://example.com/sitemaps/2.xml</loc></sitemap>\n\
         </sitemapindex>"
    );
    let first = app.get("/sitemaps/1.xml").await;
    assert_eq!(first.text().matches("<url>").count(), 50_000);
    for path in ["/", "/about", "/articles/n-1"] {
        assert!(
            first
                .text()
                .contains(&format!("<loc>https://example.com{path}</loc>")),
            "{path}"
        );
    }
    let second = warm(&app, "/sitemaps/2.xml").await;
    assert_eq!(second.text().matches("<url>").count(), 2);
    for last in ["/articles/n-49999</loc>", "/articles/n-50000</loc>"] {
        assert!(second.text().contains(last) && !first.text().contains(last));
    }
    for path in [
        "/sitemaps/3.xml",
        "/sitemaps/0.xml",
        "/sitemaps/01.xml",
        "/sitemaps/+1.xml",
        "/sitemaps/1",
        "/sitemaps/x.xml",
    ] {
        assert_eq!(app.get(path).await.status, 404, "{path}");
    }
    let location = app.create(ARTICLES, &published("The newest")).await;
    let second = app.get("/sitemaps/2.xml").await;
    assert_eq!(cache_status(&second), (200, "MISS"));
    assert!(second.text().contains("/articles/the-newest</loc>"));
    app.delete(&location).await;
    assert_eq!(
        app.get("/sitemaps/2.xml")
            .await
            .text()
            .matches("<url>")
            .count(),
        2
    );
}

/// Puts published articles `n-1` to `n-{count}` into the database, past the API.
async fn publish_numbered(app: &TestApp, count: u32) {
    let numbers: Vec<u32> = (1..=count).collect();
    let now = app.clock.now();
    for some in numbers.chunks(2000) {
        let mut sql = QueryBuilder::<Driver>::new(
            "INSERT INTO articles (id, slug, title, summary, body, status, published_at, created_at, updated_at, version) ",
        );
        sql.push_values(some, |mut row, n| {
            row.push_bind(Uuid::from_u128(u128::from(*n)))
                .push_bind(format!("n-{n}"))
                .push("'N', '', '', 'published'")
                .push_bind(now)
                .push_bind(now)
                .push_bind(now)
                .push("1");
        });
        sql.build()
            .execute(app.database().pool())
            .await
            .expect("rows");
    }
}
