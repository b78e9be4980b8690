//! The cached pages over restarts and crashes.

use std::fs;

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
