//! What pages say of themselves to search engines and to whoever shows a link to them.

use super::{assert_sane, warm};
use crate::support::{ARTICLES, TestApp, published, tagged};

const URL: (&str, &str) = ("APP__SERVER__PUBLIC_URL", "https://example.com");

#[tokio::test]
async fn a_page_has_one_whole_address() {
    let app = TestApp::with(&[URL]).await;
    app.create(ARTICLES, &tagged("Hello", &["rust"])).await;
    for (path, canonical) in [
        ("/", "https://example.com/"),
        ("/?utm=mail", "https://example.com/"),
        ("/?x=1&tag=rust", "https://example.com/?tag=rust"),
        ("/articles/hello", "https://example.com/articles/hello"),
        ("/articles/hello?x", "https://example.com/articles/hello"),
    ] {
        let page = warm(&app, path).await;
        assert_sane(&page);
        for tag in [
            format!("<link rel=\"canonical\" href=\"{canonical}\">"),
            format!("<meta property=\"og:url\" content=\"{canonical}\">"),
        ] {
            assert_eq!(page.text().matches(&tag).count(), 1, "{path}: {tag}");
        }
        assert!(!page.text().contains("noindex"), "{path}");
    }
}

#[tokio::test]
async fn a_page_is_introduced_by_its_title_and_its_summary() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Hello & goodbye")).await;
    let page = app.get("/articles/hello-goodbye").await;
    for tag in [
        "<meta name=\"description\" content=\"In short.\">",
        "<meta property=\"og:title\" content=\"Hello &#38; goodbye\">",
        "<meta property=\"og:description\" content=\"In short.\">",
        "<title>Hello &#38; goodbye · ",
    ] {
        assert!(page.text().contains(tag), "{tag} in {}", page.text());
    }
}

#[tokio::test]
async fn what_is_not_for_search_engines_says_so_and_has_no_address() {
    let app = TestApp::start().await;
    let browser = [("accept", "text/html")];
    for path in ["/nowhere", "/articles/new"] {
        let page = app.get_with(path, &browser).await;
        assert!(
            page.text()
                .contains("<meta name=\"robots\" content=\"noindex\">"),
            "{path}"
        );
        assert!(!page.text().contains("canonical"), "{path}");
    }
}
