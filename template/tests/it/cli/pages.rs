//! The cached pages over restarts and crashes, and their assets.

mod assets;
#[cfg(not(embedded_assets))]
mod changing_assets;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread;

use serde_json::Value;

use super::http;
use super::process::{PATIENCE, Place, Service, files};

/// The page of an article and where it came from.
fn page(service: &Service, slug: &str) -> (String, String) {
    let answer = service.get(&format!("/articles/{slug}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let source = answer.header("x-cache-status").expect("a source");
    (source.to_owned(), answer.body)
}

#[test]
fn a_page_comes_from_disk_after_a_restart() {
    let place = Place::new();
    let service = place.serve();
    service.publish("Hello");
    let (source, first) = page(&service, "hello");
    assert_eq!(source, "MISS");
    assert_eq!(page(&service, "hello").0, "HIT-L1");
    service.stop();
    let service = place.serve();
    assert_eq!(
        page(&service, "hello"),
        ("HIT-L2".to_owned(), first.clone())
    );
    assert_eq!(page(&service, "hello"), ("HIT-L1".to_owned(), first));
}

#[test]
fn a_page_changed_just_before_a_kill_is_never_stale() {
    let place = Place::new();
    let service = place.serve();
    let created = service.publish("Hello");
    page(&service, "hello");
    // On disk for certain, and from an earlier run.
    service.stop();
    let service = place.serve();
    assert_eq!(page(&service, "hello").0, "HIT-L2");
    let path = created.header("location").expect("where it is");
    let changed = r#"{"slug":"hello","title":"Changed","status":"published"}"#;
    assert_eq!(service.send("PUT", path, changed).status, 200);
    service.kill();
    let service = place.serve();
    let (source, body) = page(&service, "hello");
    assert_eq!(source, "MISS");
    assert!(body.contains("Changed"));
    assert!(service.get("/").body.contains("Changed"));
}

/// Changes the article and asks for its page, over and over, and tells how often that worked; until nobody answers any more.
fn keep_changing(address: SocketAddr, lines: &str, slug: &str, path: &str, changes: &Sender<()>) {
    let page = format!("/articles/{slug}");
    for n in 0.. {
        let article = format!(r#"{{"slug":"{slug}","title":"Change {n}","status":"published"}}"#);
        if !works(address, "PUT", path, lines, &article) || !works(address, "GET", &page, "", "") {
            return;
        }
        // Once enough have been counted nobody listens.
        let _ = changes.send(());
    }
}

/// Whether a request is answered well by a service that may be gone.
fn works(address: SocketAddr, method: &str, path: &str, lines: &str, json: &str) -> bool {
    let send = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(http::request(address, method, path, lines, json).as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    send().is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 "))
}

#[test]
fn twenty_kills_while_pages_change_leave_no_page_that_is_damaged_or_old() {
    const SLUGS: [&str; 3] = ["one", "two", "three"];
    let place = Place::new();
    let service = place.serve();
    let paths = SLUGS.map(|slug| {
        let created = service.publish(slug);
        created.header("location").expect("where it is").to_owned()
    });
    service.stop();
    for changes_before_it in 1..=20 {
        let service = place.serve();
        let lines = service.headers();
        for (slug, path) in SLUGS.iter().zip(&paths) {
            let article = service.get(path).json();
            let title = article["title"].as_str().expect("a title");
            let (_, first) = page(&service, slug);
            assert!(first.contains(&format!(">{title}</h1>")), "{first}");
            assert!(first.trim_end().ends_with("</html>"), "{first}");
            assert_eq!(page(&service, slug), ("HIT-L1".to_owned(), first));
        }
        let address = service.address();
        let (counter, changes) = mpsc::channel();
        thread::scope(|scope| {
            for (slug, path) in SLUGS.iter().zip(&paths) {
                let counter = counter.clone();
                let lines = lines.as_str();
                scope.spawn(move || keep_changing(address, lines, slug, path, &counter));
            }
            for _ in 0..changes_before_it {
                changes.recv_timeout(PATIENCE).expect("it works");
            }
            service.kill();
        });
    }
}

#[test]
fn a_deleted_article_stays_gone_after_a_restart() {
    let place = Place::new();
    let service = place.serve();
    let created = service.publish("Hello");
    page(&service, "hello");
    let path = created.header("location").expect("where it is");
    assert_eq!(service.send("DELETE", path, "").status, 204);
    service.stop();
    assert_eq!(place.serve().get("/articles/hello").status, 404);
}

#[test]
fn a_damaged_cache_never_shows_a_damaged_page() {
    let place = Place::new();
    let service = place.serve();
    service.publish("Hello");
    let (_, whole) = page(&service, "hello");
    service.stop();
    for file in files(&place.path("data/cache")) {
        let mut bytes = fs::read(&file).expect("a file");
        for byte in bytes.iter_mut().step_by(101) {
            *byte ^= 0xFF;
        }
        fs::write(&file, bytes).expect("damage");
    }
    let service = place.serve();
    assert_eq!(page(&service, "hello").1, whole);
    service.stop();
    assert_eq!(page(&place.serve(), "hello").1, whole);
}

#[test]
fn a_second_service_does_not_serve_what_the_first_has_changed_before_it_started() {
    let place = Place::new();
    let first = place.serve();
    let created = first.publish("Hello");
    page(&first, "hello");
    let path = created.header("location").expect("where it is");
    let changed = r#"{"slug":"hello","title":"Changed","status":"published"}"#;
    assert_eq!(first.send("PUT", path, changed).status, 200);
    let second = place.serve();
    assert!(page(&second, "hello").1.contains("Changed"));
}

/// What the warm-up says at its end.
fn warm(place: &Place) -> (Service, String) {
    let mut service = place.serve_with(&[("APP__CACHE__WARMUP_ENABLED", "true")]);
    let summary = service.wait_for("the cache is warm");
    (service, summary)
}

#[test]
fn a_start_fills_the_cache_and_a_second_one_finds_it_full() {
    let place = Place::new();
    place.run(&["seed"]).ok();
    let (service, summary) = warm(&place);
    assert!(summary.contains("made=4 skipped=0 failed=0"), "{summary}");
    let metrics = http::get(service.operator(), "/metrics").body;
    let mut requests = metrics
        .lines()
        .filter(|line| line.starts_with("http_requests_total{"));
    assert!(requests.all(|line| line.ends_with(" 0")), "{metrics}");
    for series in [
        "cache_warmup_skipped_total 0",
        "cache_warmup_errors_total 0",
    ] {
        assert!(metrics.contains(series), "{series}");
    }
    let duration = metrics
        .lines()
        .find_map(|line| line.strip_prefix("cache_warmup_duration_seconds "));
    assert!(
        duration
            .expect("a duration")
            .parse::<f64>()
            .expect("a number")
            > 0.0
    );
    assert_eq!(page(&service, "start-here").0, "HIT-L1");
    let log = service.stop();
    let requests = log.iter().filter(|line| line.contains(" request: "));
    assert_eq!(requests.count(), 1, "{log:#?}");

    let (service, summary) = warm(&place);
    assert!(summary.contains("made=0 skipped=4 failed=0"), "{summary}");
    let metrics = http::get(service.operator(), "/metrics").body;
    assert!(metrics.contains("cache_warmup_skipped_total 4"));
    assert_eq!(page(&service, "start-here").0, "HIT-L1");
}

#[test]
fn a_warm_up_that_fails_is_named_and_stops_nothing() {
    let place = Place::new();
    place.run(&["seed"]).ok();
    place.execute("UPDATE articles SET slug = 'Not a slug' WHERE slug = 'start-here'");
    let (service, summary) = warm(&place);
    assert!(summary.contains("made=0 skipped=0 failed=1"), "{summary}");
    assert!(
        service.has_logged("name=\"articles\""),
        "{:#?}",
        service.log
    );
    let metrics = http::get(service.operator(), "/metrics").body;
    assert!(metrics.contains("cache_warmup_errors_total 1"));
    assert_eq!(service.get("/health").status, 200);
}

#[test]
fn operators_make_the_cache_forget_one_page_some_pages_or_all() {
    let place = Place::new();
    let token = "kraken-over-lima";
    let service = place.serve_with(&[("APP__OPERATOR__TOKEN", token)]);
    service.publish("Hello");
    service.publish("World");
    for (path, forgotten, kept) in [
        (
            "invalidate?key=pages:/articles/hello",
            &["hello"][..],
            &["world"][..],
        ),
        ("invalidate?tag=articles", &[], &["hello", "world"]),
        ("flush", &["hello", "world"], &[]),
    ] {
        for slug in ["hello", "world"] {
            page(&service, slug);
            assert_eq!(page(&service, slug).0, "HIT-L1");
        }
        service.get("/");
        let path = format!("/admin/cache/{path}");
        let answer = http::send_with_token(service.operator(), "POST", &path, token);
        assert_eq!(answer.status, 204, "{answer:?}");
        for slug in forgotten {
            assert_eq!(page(&service, slug).0, "MISS", "{path}");
        }
        for slug in kept {
            assert_eq!(page(&service, slug).0, "HIT-L1", "{path}");
        }
        let front = service.get("/");
        let is_kept = front.header("x-cache-status") == Some("HIT-L1");
        assert_eq!(is_kept, path.contains("?key="), "{path}");
    }
}

#[test]
fn a_page_in_memory_is_logged_like_every_other_answer() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__LOG__FORMAT", "json")]);
    service.publish("Hello");
    // Made, then from memory past the routes, then from memory through them.
    for path in ["/articles/hello", "/articles/hello", "/articles/hello?x"] {
        assert_eq!(service.get(path).status, 200);
    }
    let log = service.stop();
    let lines = log
        .iter()
        .filter(|line| line.contains("\"path\":\"/articles/hello\""));
    let mut lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3, "{log:#?}");
    let sources: Vec<_> = lines.iter().map(|line| line["cache"].clone()).collect();
    assert_eq!(sources, ["MISS", "HIT-L1", "HIT-L1"]);
    let mut ids = Vec::new();
    for line in &mut lines {
        ids.push(line["spans"][0]["request_id"].take());
        for changing in ["timestamp", "duration_ms", "cache"] {
            assert!(!line[changing].take().is_null(), "{line}");
        }
    }
    assert!(lines[0] == lines[1] && lines[1] == lines[2], "{lines:#?}");
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

#[test]
fn a_page_that_takes_an_address_of_the_service_stops_the_start_and_is_named() {
    let place = Place::new();
    let development = [("APP_ENV", "development")];
    let in_silence = [("APP_ENV", "development"), ("RUST_LOG", "off")];
    place.write(
        "content/help/page.md",
        "+++\ntitle = \"Help\"\n+++\nIt helps.",
    );
    let service = place.serve_with(&development);
    assert!(service.get("/help").body.contains("It helps."));
    service.stop();
    for (file, front, expected) in [
        (
            "content/articles/mine/page.md",
            "title = \"Mine\"",
            "/articles/mine of content/articles/mine/page.md is also /articles/{slug} of features::pages::articles::show",
        ),
        (
            "content/other/page.html",
            "title = \"Other\"\naliases = [\"/help\"]",
            "/help is claimed twice: by content/help/page.md and by content/other/page.html",
        ),
        (
            "content/health/page.md",
            "title = \"Health\"",
            "/health of handlers::system::health is also /health of content/health/page.md",
        ),
        (
            "content/broken/page.md",
            "titel = \"Broken\"",
            "content/broken/page.md: line 2: unknown field `titel`",
        ),
    ] {
        let path = place.write(file, format!("+++\n{front}\n+++\n"));
        let finished = place.run_with(&["serve"], &in_silence);
        assert!(finished.error().starts_with(expected), "{finished:?}");
        fs::remove_file(path).expect("the file");
    }
}
