//! What browsers ask for beside pages, and what the headers of a page tell them.

use serde_json::json;

use super::{cache_status, warm};
use crate::support::{ARTICLES, TestApp, published};

#[tokio::test]
async fn a_page_names_its_stylesheet_and_its_rules_before_it_begins() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Hello")).await;
    for path in ["/", "/articles/hello"] {
        let page = warm(&app, path).await;
        let link = page.header("link");
        let sheet = link
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix(">; rel=preload; as=style"));
        let sheet = sheet.expect("a stylesheet");
        assert!(
            page.text()
                .contains(&format!("<link rel=\"stylesheet\" href=\"{sheet}\">"))
        );
        assert_eq!(app.get(sheet).await.status, 200);
        let rules = page
            .header("speculation-rules")
            .trim_matches('"')
            .to_owned();
        let rules = warm(&app, &rules).await;
        assert_eq!(
            rules.header("content-type"),
            "application/speculationrules+json"
        );
        let rule = &rules.json()["prefetch"][0];
        assert_eq!(rule["eagerness"], "moderate");
        let links = rule["where"]["and"].as_array().expect("conditions");
        assert_eq!(links[0], json!({ "href_matches": "/*" }));
        assert!(links.contains(&json!({ "not": { "href_matches": "/api/*" } })));
    }
}

#[tokio::test]
async fn the_manifest_and_the_icon_are_where_browsers_look() {
    let app = TestApp::start().await;
    let page = app.get("/").await;
    assert!(
        page.text()
            .contains("<link rel=\"manifest\" href=\"/manifest.webmanifest\">")
    );
    let manifest = warm(&app, "/manifest.webmanifest").await;
    assert_eq!(manifest.header("content-type"), "application/manifest+json");
    assert_eq!(manifest.json()["start_url"], "/");
    let icon = manifest.json()["icons"][0].clone();
    let answer = warm(&app, icon["src"].as_str().expect("an address")).await;
    assert_eq!(
        answer.header("content-type"),
        icon["type"].as_str().expect("a type")
    );
    assert!(answer.text().contains("<svg"));
    assert_eq!(answer.header("cache-control"), "public, max-age=86400");
    let known = [("if-none-match", answer.header("etag"))];
    assert_eq!(
        cache_status(&app.get_with("/favicon.ico", &known).await),
        (304, "HIT-L1")
    );
}
