//! A collector that is away or fails.

use std::time::Instant;

use axum::http::StatusCode;

use super::collector::Collector;
use super::traced;
use crate::cli::http;
use crate::cli::process::{PATIENCE, Place, Service, free_port};

fn lost(service: &Service) -> u64 {
    spans(service, "telemetry_dropped_total")
}

fn exported(service: &Service) -> u64 {
    spans(service, "telemetry_exported_total")
}

/// What `/metrics` counts of spans.
fn spans(service: &Service, counter: &str) -> u64 {
    let series = format!("{counter}{{kind=\"spans\"}} ");
    let metrics = http::get(service.operator(), "/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.expect("the metric").parse().expect("a number")
}

#[test]
fn spans_that_a_collector_takes_are_counted() {
    let place = Place::new();
    let mut collector = Collector::http();
    let service = traced(&place, &collector, &[]);
    assert_eq!(service.get("/health/live").status, 200);
    collector.wait_for(|span| span.name == "GET /health/live");
    let deadline = Instant::now() + PATIENCE;
    // The collector has them before its answer is counted.
    while exported(&service) == 0 {
        assert!(Instant::now() < deadline, "none is counted");
    }
    assert_eq!(lost(&service), 0);
}

#[test]
fn a_collector_that_is_not_there_costs_spans_and_no_request() {
    let place = Place::new();
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let mut service = place.serve_with(&[
        ("APP__OTEL__ENDPOINT", &endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "5"),
    ]);
    assert_eq!(lost(&service), 0);
    for _ in 0..20 {
        assert_eq!(service.get("/health/live").status, 200);
    }
    service.wait_for("spans cannot be exported");
    assert!(lost(&service) > 0);
    assert_eq!(exported(&service), 0);
    let log = service.stop();
    let told = log
        .iter()
        .filter(|line| line.contains("spans cannot be exported"));
    assert_eq!(told.count(), 1, "{log:#?}");
}

#[test]
fn a_collector_that_fails_costs_spans_and_no_request() {
    let place = Place::new();
    let collector = Collector::answering(StatusCode::INTERNAL_SERVER_ERROR);
    let mut service = traced(&place, &collector, &[]);
    assert_eq!(service.get("/health/live").status, 200);
    service.wait_for("spans cannot be exported");
    assert!(lost(&service) > 0);
    service.stop();
}
