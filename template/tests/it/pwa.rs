//! What lets the site be installed, and be read without a network.

use crate::support::{Answer, TestApp};

/// The value of a constant in the service worker, which is JSON.
fn constant(worker: &Answer, name: &str) -> serde_json::Value {
    let start = format!("const {name} = ");
    let line = worker
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(&start));
    let value = line
        .and_then(|line| line.strip_suffix(';'))
        .expect("a constant");
    serde_json::from_str(value).expect("JSON")
}

#[tokio::test]
async fn the_worker_comes_from_the_cache_and_is_asked_for_each_time() {
    let app = TestApp::start().await;
    app.get("/service-worker.js").await;
    let worker = app.get("/service-worker.js").await;
    assert_eq!(
        (worker.status, worker.header("x-cache-status")),
        (200, "HIT-L1")
    );
    assert_eq!(
        worker.header("content-type"),
        "text/javascript; charset=utf-8"
    );
    assert_eq!(worker.header("cache-control"), "no-cache");
    // What the worker itself may load is what its own policy says.
    assert!(
        worker
            .header("content-security-policy")
            .starts_with("default-src 'self'")
    );
    let health = app.get("/health/build").await.json();
    let build = health["fingerprint"].as_str().expect("a fingerprint");
    assert!(
        worker.text().contains(&format!("\"{build}\"")),
        "{}",
        worker.text()
    );
}

#[tokio::test]
async fn everything_that_the_worker_keeps_from_the_start_is_there() {
    let app = TestApp::start().await;
    let worker = app.get("/service-worker.js").await;
    let shell = constant(&worker, "SHELL");
    let shell: Vec<&str> = shell
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|url| url.as_str())
        .collect();
    let offline = constant(&worker, "OFFLINE");
    let offline = app.get(offline.as_str().expect("an address")).await;
    assert_eq!(offline.status, 200);
    assert!(offline.text().contains("There is no network"));
    assert!(offline.text().contains("content=\"noindex\""));
    // All that the page without a network loads is among it.
    let texts = offline.text().split('"');
    let assets = texts.filter(|text| text.starts_with("/assets/"));
    // What follows edits in development is of no use without a network.
    let loaded: Vec<&str> = assets
        .filter(|text| !text.ends_with("/reload.debug.js"))
        .collect();
    assert!(!loaded.is_empty());
    for url in loaded {
        assert!(shell.contains(&url), "{url} is not in {shell:?}");
    }
    for url in &shell {
        assert_eq!(app.get(url).await.status, 200, "{url}");
    }
}

#[tokio::test]
async fn the_manifest_is_that_of_an_application_with_icons_of_their_true_size() {
    let app = TestApp::start().await;
    let manifest = app.get("/manifest.webmanifest").await.json();
    assert_eq!(manifest["display"], "standalone");
    let icons = manifest["icons"].as_array().expect("a list");
    let mut purposes = Vec::new();
    for icon in icons {
        let answer = app.get(icon["src"].as_str().expect("an address")).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, icon["type"].as_str().expect("a type"))
        );
        if icon["type"] == "image/png" {
            // The header of a PNG has the width and the height as its first two numbers (RFC 2083, section 4.1.1).
            let number = |at: usize| {
                answer.body[at..at + 4]
                    .iter()
                    .fold(0, |n, byte| n << 8 | u32::from(*byte))
            };
            assert_eq!(icon["sizes"], format!("{}x{}", number(16), number(20)));
            purposes.push(icon["purpose"].clone());
        }
    }
    assert_eq!(purposes, ["any", "any", "maskable"]);
}
