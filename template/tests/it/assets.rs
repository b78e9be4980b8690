//! Assets as browsers get them. With `EMBED_ASSETS=1` in the environment of the build they are those of a release.

mod broken;
mod hostile;
mod pictures;
mod pipeline;
mod rebuilding;
mod workshop;

use axum::body::Body;

use crate::support::TestApp;

/// The first address of an asset on the front page that ends like this.
async fn address(app: &TestApp, ending: &str) -> String {
    let page = app.get("/").await;
    let addresses = page
        .text()
        .split('"')
        .filter(|text| text.starts_with("/assets/"));
    let mut wanted = addresses.filter(|address| address.ends_with(ending));
    wanted.next().expect("the page refers to one").to_owned()
}

#[tokio::test]
async fn every_asset_that_a_page_refers_to_is_there_with_its_type() {
    let app = TestApp::start().await;
    for (ending, content_type) in [
        (".css", "text/css; charset=utf-8"),
        (".js", "text/javascript; charset=utf-8"),
        (".svg", "image/svg+xml"),
    ] {
        let path = address(&app, ending).await;
        let asset = app.get(&path).await;
        assert_eq!(asset.status, 200, "{path}");
        assert_eq!(asset.header("content-type"), content_type);
        assert_eq!(asset.header("x-content-type-options"), "nosniff");
        assert!(
            asset
                .header("content-security-policy")
                .contains("default-src 'self'")
        );
        assert!(!asset.header("x-request-id").is_empty());
        assert!(!asset.body.is_empty());
    }
}

#[tokio::test]
async fn an_asset_is_kept_for_a_year_under_a_name_that_changes_with_it() {
    let app = TestApp::start().await;
    let path = address(&app, ".css").await;
    let asset = app.get(&path).await;
    let name = path.trim_start_matches("/assets/");
    let parts: Vec<&str> = name.split('.').collect();
    if cfg!(embedded_assets) {
        assert_eq!(
            asset.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        let [_, hash, _] = parts[..] else {
            panic!("{name} has a hash in it");
        };
        assert!(
            hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{name}"
        );
    } else {
        // In development the name stays, so browsers ask each time.
        assert_eq!(asset.header("cache-control"), "no-cache");
        assert_eq!(name, "app.css");
    }
}

#[tokio::test]
async fn a_browser_that_has_the_asset_gets_no_body() {
    let app = TestApp::start().await;
    let path = address(&app, ".css").await;
    let tag = app.get(&path).await.header("etag").to_owned();
    for known in [tag.clone(), format!("W/{tag}"), "*".to_owned()] {
        let answer = app.get_with(&path, &[("if-none-match", &known)]).await;
        assert_eq!((answer.status, answer.text()), (304, ""), "{known}");
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(answer.header("content-type"), "");
    }
    let other = app.get_with(&path, &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_part_of_an_asset_can_be_asked_for() {
    let app = TestApp::start().await;
    let path = address(&app, ".css").await;
    let whole = app.get(&path).await.body;
    let length = whole.len();
    for (range, expected) in [
        ("bytes=0-3", 0..4),
        ("bytes=5-", 5..length),
        ("bytes=-7", length - 7..length),
    ] {
        let part = app
            .get_with(&path, &[("range", range), ("accept-encoding", "br")])
            .await;
        assert_eq!(part.status, 206, "{range}");
        let place = format!("bytes {}-{}/{length}", expected.start, expected.end - 1);
        assert_eq!(part.header("content-range"), place);
        assert_eq!(part.body, whole.slice(expected));
    }
    let behind = format!("bytes={length}-");
    let behind = app.get_with(&path, &[("range", &behind)]).await;
    assert_eq!(behind.status, 416);
    assert_eq!(behind.header("content-range"), format!("bytes */{length}"));
}

#[tokio::test]
async fn a_head_request_says_how_long_the_asset_is() {
    let app = TestApp::start().await;
    let path = address(&app, ".css").await;
    let whole = app.get(&path).await;
    let head = app.call("HEAD", &path, &[], Body::empty()).await;
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    assert_eq!(head.header("etag"), whole.header("etag"));
}

#[tokio::test]
async fn a_client_gets_the_smallest_encoding_that_it_takes() {
    let app = TestApp::start().await;
    let path = address(&app, ".css").await;
    let plain = app.get(&path).await;
    let mut tags = vec![plain.header("etag").to_owned()];
    for (accepted, encoding) in [
        ("gzip, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("gzip", "gzip"),
    ] {
        let answer = app.get_with(&path, &[("accept-encoding", accepted)]).await;
        if !cfg!(embedded_assets) {
            assert_eq!(answer.header("content-encoding"), "");
            continue;
        }
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(answer.header("vary"), "accept-encoding");
        assert!(answer.body.len() * 2 < plain.body.len(), "{encoding}");
        tags.push(answer.header("etag").to_owned());
    }
    tags.dedup();
    assert_eq!(
        tags.len(),
        if cfg!(embedded_assets) { 4 } else { 1 },
        "{tags:?}"
    );
}

#[tokio::test]
async fn what_is_no_asset_is_not_found_and_soon_forgotten() {
    let app = TestApp::start().await;
    let real = address(&app, ".css").await;
    let name = real.trim_start_matches("/assets/");
    let traversal = format!("/assets/../assets/{name}");
    let encoded = format!("/assets/%61{}", &name[1..]);
    for path in [
        "/assets/nothing.css",
        "/assets/app.00000000.css",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets/..%2fCargo.toml",
        "/assets//etc/passwd",
        "/assets/app.css%00.svg",
        "/assets/%00",
        "/assets/%ff",
        "/assets/app.css/",
        &format!("{real}.br"),
        &format!("{real}%20"),
        &traversal,
        &encoded,
    ] {
        let answer = app.get_with(path, &[("accept", "text/html")]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=10",
            "{path}"
        );
        assert!(answer.text().contains("Not found"), "{path}");
    }
    let without_a_name = app.get("/assets/").await;
    assert_eq!(without_a_name.status, 404);
}

#[tokio::test]
async fn an_asset_is_only_read() {
    let app = TestApp::start().await;
    let path = address(&app, ".css").await;
    let answer = app.call("POST", &path, &[], Body::empty()).await;
    assert_eq!(answer.status, 405);
    assert!(answer.header("allow").contains("GET"), "{answer:?}");
}

#[tokio::test]
async fn assets_are_counted_under_one_route() {
    let app = TestApp::start().await;
    app.get(&address(&app, ".css").await).await;
    app.get(&address(&app, ".svg").await).await;
    let metrics = app.operator("/metrics").await;
    let is_count =
        |line: &&str| line.starts_with("http_requests_total") && line.contains("/assets/");
    let lines: Vec<&str> = metrics.text().lines().filter(is_count).collect();
    assert!(!lines.is_empty());
    for line in lines {
        assert!(line.contains("route=\"/assets/{*path}\""), "{line}");
    }
}

#[tokio::test]
async fn only_development_has_a_route_for_reloading() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/dev/reload").await.status, 404);
    assert!(!app.get("/").await.text().contains("debug"));
}
