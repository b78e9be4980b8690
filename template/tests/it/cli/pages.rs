//! The cached pages over restarts and crashes, and their assets.

mod assets;

use std::fs;

use serde_json::Value;

use super::http;
use super::process::{Place, Service, files};

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
    assert_eq!(
        http::send(service.address(), "PUT", path, changed).status,
        200
    );
    service.kill();
    let service = place.serve();
    let (source, body) = page(&service, "hello");
    assert_eq!(source, "MISS");
    assert!(body.contains("Changed"));
    assert!(service.get("/").body.contains("Changed"));
}

#[test]
fn a_deleted_article_stays_gone_after_a_restart() {
    let place = Place::new();
    let service = place.serve();
    let created = service.publish("Hello");
    page(&service, "hello");
    let path = created.header("location").expect("where it is");
    assert_eq!(
        http::send(service.address(), "DELETE", path, "").status,
        204
    );
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
    assert_eq!(
        http::send(first.address(), "PUT", path, changed).status,
        200
    );
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
