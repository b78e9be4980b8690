//! The pages of `content/`, as they come with the service.

use app::app::App;
use app::platform::Platform;

use super::{assert_sane, cache_status, warm};
use crate::support::{TestApp, settings_alone};

const URL: (&str, &str) = ("APP__SERVER__PUBLIC_URL", "https://example.com");

#[tokio::test]
async fn a_folder_is_a_page_like_any_other() {
    let app = TestApp::with(&[URL]).await;
    let page = warm(&app, "/about").await;
    assert_sane(&page);
    for part in [
        "<title>About · ",
        "<h1>About</h1>",
        "<link rel=\"canonical\" href=\"https://example.com/about\">",
        "<meta name=\"description\" content=\"What this site is, and how this page came to be.\">",
        "This page is the file <code>content/about/page.md</code>.",
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    assert!(page.header("link").contains("rel=preload"));
    let sitemap = app.get("/sitemap.xml").await;
    assert!(
        sitemap
            .text()
            .contains("<url><loc>https://example.com/about</loc></url>")
    );
    assert_eq!(
        cache_status(&app.get_with("/about", &[("cookie", "a=b")]).await),
        (200, "HIT-L1")
    );
}

#[tokio::test]
async fn an_older_address_leads_to_the_page() {
    let app = TestApp::start().await;
    for alias in ["/about-us", "/about.html"] {
        let answer = app.get(alias).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, "/about"),
            "{alias}"
        );
        assert_eq!(answer.header("cache-control"), "max-age=3600");
    }
    assert_eq!(app.get("/about/page.md").await.status, 404);
}

#[tokio::test]
async fn a_page_goes_by_the_name_of_its_file() {
    let platform = Platform::offline(settings_alone(&[])).expect("a platform");
    let app = App::new(platform).expect("components that agree");
    let named = |path: &str| app.routes().iter().find(|route| route.path == path);
    for path in ["/about", "/about-us"] {
        let route = named(path).expect("a route");
        assert_eq!(route.handler, "content/about/page.md", "{path}");
    }
}

#[tokio::test]
async fn a_developer_always_sees_the_page_as_it_is_now() {
    let app = TestApp::with(&[("APP_ENV", "development")]).await;
    for _ in 0..2 {
        assert_eq!(cache_status(&app.get("/about").await), (200, "MISS"));
    }
}
