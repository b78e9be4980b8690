//! The service's side of the single-page application: the page with its data, and who gets it.

use app::component::Routes;
use app::features::{sitemap, spa};
use app::http::problem::Presentation;
use app::platform::Platform;
use app::{handlers, http, infra};
use axum::body::Body;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;

use crate::support::{ARTICLES, Answer, Home, JSON, fixed_clock, published, request};

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// The API and the application, without a listener.
struct Site {
    routes: http::Edge,
    _home: Home,
}

impl Site {
    async fn new() -> Self {
        let home = Home::new().await;
        let settings = home.settings(&[]);
        let platform = Platform::connect(settings, fixed_clock()).await;
        let platform = platform.expect("a platform");
        let articles = infra::articles::service(&platform);
        let api = handlers::articles::component(articles.clone()).api;
        let (api, _) = OpenApiRouter::new()
            .nest(http::api::PREFIX, api)
            .split_for_parts();
        let pages = spa::component(&platform)
            .pages
            .merge(spa::articles::component(articles.clone(), &platform).pages)
            .merge(sitemap::component(articles, [], &platform).pages);
        let routes = http::Edge::private(
            pages.merge(Routes::with_table(api, Vec::new())),
            &platform.settings.server,
            Presentation::default(),
            platform.tasks.clone(),
        );
        Self {
            routes,
            _home: home,
        }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(method, path, headers, Body::empty()).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let request = request(method, path, headers, body);
        Answer::of(self.routes.answer(request).await).await
    }

    async fn browse(&self, path: &str) -> Answer {
        self.ask("GET", path, &[BROWSER]).await
    }

    async fn create(&self, article: &Value) -> Answer {
        let body = Body::from(article.to_string());
        let answer = self.send("POST", ARTICLES, &[JSON], body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer
    }
}

/// What the page has for the application.
fn data(page: &Answer) -> Option<Value> {
    let (_, rest) = page
        .text()
        .split_once(r#"<script type="application/json" id="data">"#)?;
    let (data, _) = rest.split_once("</script>")?;
    Some(serde_json::from_str(data).expect("JSON"))
}

#[tokio::test]
async fn the_front_page_has_the_answer_of_the_api_in_it() {
    let site = Site::new().await;
    site.create(&published("Hello")).await;
    let page = site.browse("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let list = site.ask("GET", ARTICLES, &[]).await.json();
    assert_eq!(list["items"][0]["title"], "Hello");
    assert_eq!(data(&page), Some(json!({ ARTICLES: list })));
}

#[tokio::test]
async fn search_engines_are_told_what_can_be_read() {
    let site = Site::new().await;
    site.create(&published("Hello")).await;
    let robots = site.ask("GET", "/robots.txt", &[]).await;
    let (_, address) = robots.text().split_once("Sitemap: ").expect("an address");
    let (origin, path) = address
        .trim()
        .split_at(address.find("/sitemap.xml").expect("its path"));
    let sitemap = site.ask("GET", path, &[]).await;
    for path in ["/", "/articles/hello"] {
        let entry = format!("<loc>{origin}{path}</loc>");
        assert!(sitemap.text().contains(&entry), "{}", sitemap.text());
    }
}

#[tokio::test]
async fn the_page_of_an_article_has_its_title_its_summary_and_its_data() {
    let site = Site::new().await;
    site.create(&published("Salt & <Pepper>")).await;
    let page = site.browse("/articles/salt-pepper").await;
    assert_eq!(page.status, 200);
    let title = concat!(
        "<title>Salt &amp; &lt;Pepper&gt; · ",
        env!("CARGO_PKG_NAME"),
        "</title>"
    );
    assert!(page.text().contains(title), "{}", page.text());
    let description = r#"<meta name="description" content="In short.">"#;
    assert!(page.text().contains(description), "{}", page.text());
    let address = format!("{ARTICLES}/by-slug/salt-pepper");
    let article = site.ask("GET", &address, &[]).await.json();
    assert_eq!(data(&page), Some(json!({ address: article })));
}

#[tokio::test]
async fn a_change_is_on_the_pages_at_once() {
    let site = Site::new().await;
    let created = site.create(&published("Hello")).await;
    site.browse("/").await;
    site.browse("/articles/hello").await;
    let changed = json!({ "slug": "hello", "title": "Changed", "status": "published" });
    let body = Body::from(changed.to_string());
    let answer = site
        .send("PUT", created.header("location"), &[JSON], body)
        .await;
    assert_eq!(answer.status, 200);
    for path in ["/", "/articles/hello"] {
        let page = site.browse(path).await;
        let data = data(&page).expect("data").to_string();
        assert!(
            data.contains("Changed") && !data.contains("Hello"),
            "{data}"
        );
    }
}

#[tokio::test]
async fn a_page_that_is_asked_for_again_is_not_sent_again() {
    let site = Site::new().await;
    site.create(&published("Hello")).await;
    for path in ["/", "/articles/hello", "/write"] {
        let page = site.browse(path).await;
        assert_eq!(
            page.header("cache-control"),
            "public, max-age=0, must-revalidate"
        );
        let condition = ("if-none-match", page.header("etag"));
        let again = site.ask("GET", path, &[BROWSER, condition]).await;
        assert_eq!(again.status, 304, "{path}");
    }
}

#[tokio::test]
async fn an_article_that_visitors_cannot_read_is_not_found_and_the_application_says_so() {
    let site = Site::new().await;
    site.create(&json!({ "title": "Draft" })).await;
    for path in [
        "/articles/draft",
        "/articles/missing",
        "/articles/Not%20a%20slug",
    ] {
        let page = site.browse(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(data(&page), None);
    }
    let draft = site
        .ask("GET", &format!("{ARTICLES}/by-slug/draft"), &[])
        .await;
    assert_eq!(draft.status, 200);
}

#[tokio::test]
async fn another_part_of_the_list_comes_without_data() {
    let site = Site::new().await;
    let page = site.browse("/?tag=rust").await;
    assert_eq!((page.status, data(&page)), (200, None));
}

#[tokio::test]
async fn an_address_that_the_service_does_not_know_is_the_applications() {
    let site = Site::new().await;
    let page = site.browse("/write").await;
    assert_eq!(page.status, 200);
    assert!(
        page.text().starts_with("<!doctype html>"),
        "{}",
        page.text()
    );
    assert_eq!(site.ask("HEAD", "/write", &[BROWSER]).await.status, 200);
}

#[tokio::test]
async fn what_is_no_page_stays_missing() {
    let site = Site::new().await;
    for path in [
        "/assets/gone.js",
        "/assets/../index.html",
        "/humans.txt",
        "/api/v1/gone",
        "/health/gone",
    ] {
        let answer = site.browse(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{path}"
        );
    }
    assert_eq!(site.ask("GET", "/write", &[]).await.status, 404);
    assert_eq!(site.ask("POST", "/write", &[BROWSER]).await.status, 404);
}
