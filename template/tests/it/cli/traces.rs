//! Traces, as a real collector gets them: what is in them, and what is not.{% capture body %}

mod collector;
mod outages;
mod outbound;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use serde_json::Value;

use self::collector::{Collector, attribute, hex};
use super::http::{self, Answer};
use super::process::{Place, Service};

const CALLER: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

/// A service that exports to `collector` every few milliseconds.
fn traced(place: &Place, collector: &Collector, variables: &[(&str, &str)]) -> Service {
    let endpoint = collector.endpoint();
    let own = [
        ("APP__OTEL__ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "5"),
    ];
    place.serve_with(&[&own, variables].concat())
}

fn get_with(service: &Service, path: &str, lines: &str) -> Answer {
    http::send_with(service.address(), "GET", path, lines, "")
}

/// The name of the trace of which an answer is part.
#[track_caller]
fn trace_of(answer: &Answer) -> String {
    let id = answer.header("x-trace-id").expect("the name of a trace");
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    id.to_owned()
}

/// Finds spans of one trace by their names.
struct Trace<'a> {
    collector: &'a mut Collector,
    id: String,
}

impl Trace<'_> {
    #[track_caller]
    fn span(&mut self, name: &str) -> Span {
        let id = self.id.clone();
        self.collector
            .wait_for(|span| hex(&span.trace_id) == id && span.name == name)
    }

    /// The span of that name that began in `parent`.
    #[track_caller]
    fn within(&mut self, parent: &Span, name: &str) -> Span {
        let found = self.collector.wait_for(|span| {
            span.trace_id == parent.trace_id
                && span.parent_span_id == parent.span_id
                && span.name == name
        });
        assert!(found.start_time_unix_nano >= parent.start_time_unix_nano);
        assert!(found.end_time_unix_nano >= found.start_time_unix_nano);
        found
    }
}

#[test]
fn a_request_is_one_trace_of_what_was_done_for_it() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let service = traced(&place, &collector, &[]);
    let written = service.publish("Traced");
    let read = service.get("/api/v1/articles/by-slug/traced?x=secret");
    assert_eq!(read.status, 200, "{}", read.body);

    let mut trace = Trace {
        id: trace_of(&written),
        collector: &mut collector,
    };
    let request = trace.span("POST /api/v1/articles");
    assert_eq!(request.kind(), SpanKind::Server);
    assert!(request.parent_span_id.is_empty());
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/api/v1/articles"),
        ("http.response.status_code", "201"),
        ("url.scheme", "http"),
        ("url.path", "/api/v1/articles"),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(attribute(&request, key).as_deref(), Some(value), "{key}");
    }
    // A write goes on in a task of its own.
    let insert = trace.within(&request, "insert articles");
    assert_eq!(insert.kind(), SpanKind::Client);
    assert_eq!(
        attribute(&insert, "db.collection.name").as_deref(),
        Some("articles")
    );
    assert!(
        ["sqlite", "postgresql"].contains(
            &attribute(&insert, "db.system.name")
                .expect("a name")
                .as_str()
        )
    );

    trace.id = trace_of(&read);
    let request = trace.span("GET /api/v1/articles/by-slug/{slug}");
    let fetch = trace.within(&request, "cache fetch");
    trace.within(&fetch, "disk get");
    let load = trace.within(&fetch, "cache load");
    assert_eq!(
        attribute(&load, "cache.namespace").as_deref(),
        Some("articles")
    );
    trace.within(&load, "select articles");
    // What has just been written is read past the cache.
    trace.within(&request, "select articles");
    for span in collector.spans() {
        let told = format!("{:?}", span.attributes);
        assert!(!told.contains("secret"), "{told}");
    }
} //~{% if frontend != "none" %}

#[test]
fn a_page_is_made_within_its_load_and_found_in_memory_after() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let service = traced(&place, &collector, &[]);
    let (made, found) = (service.get("/sitemap.xml"), service.get("/sitemap.xml"));
    assert_eq!(found.header("x-cache-status"), Some("HIT-L1"));
    let mut trace = Trace {
        id: trace_of(&made),
        collector: &mut collector,
    };
    let load = trace.span("cache load");
    let render = trace.within(&load, "render");
    assert_eq!(
        attribute(&render, "http.route").as_deref(),
        Some("/sitemap.xml")
    );
    trace.id = trace_of(&found);
    let hit = trace.span("GET /sitemap.xml");
    assert_eq!(attribute(&hit, "cache.status").as_deref(), Some("HIT-L1"));
    let id = hit.trace_id;
    let of_hit = collector.spans().iter().filter(|span| span.trace_id == id);
    assert_eq!(of_hit.count(), 1);
} //~{% endif %}

#[test]
fn the_trace_of_a_caller_is_continued() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let service = traced(&place, &collector, &[("APP__OTEL__SAMPLE_RATIO", "0")]);
    let lines =
        format!("traceparent: 00-{CALLER}-01\r\ntracestate: vendor=1\r\ntracestate: other=2\r\n");
    let answer = get_with(&service, "/health/live", &lines);
    let (trace, parent) = CALLER.split_once('-').expect("two names");
    assert_eq!(trace_of(&answer), trace);
    let span = collector.wait_for(|span| span.name == "GET /health/live");
    assert_eq!(hex(&span.trace_id), trace);
    assert_eq!(hex(&span.parent_span_id), parent);
    assert_eq!(span.trace_state, "vendor=1,other=2");
}

#[test]
fn a_header_that_is_not_valid_is_as_good_as_none() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let service = traced(&place, &collector, &[]);
    for lines in [
        "traceparent: garbage\r\n".to_owned(),
        format!("traceparent: 00-{CALLER}\r\n"),
        // Who is to be believed?
        format!("traceparent: 00-{CALLER}-00\r\ntraceparent: 00-{CALLER}-00\r\n"),
    ] {
        let answer = get_with(&service, "/health/live", &lines);
        let id = trace_of(&answer);
        assert!(!CALLER.starts_with(&id), "{lines}");
        let span = collector.wait_for(|span| hex(&span.trace_id) == id);
        assert!(span.parent_span_id.is_empty(), "{lines}");
    }
}

#[test]
fn what_is_not_sampled_is_not_traced() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let service = traced(&place, &collector, &[]);
    let not_sampled = format!("traceparent: 00-{CALLER}-00\r\n");
    for path in ["/api/v1/articles", "/health/live", "/api/openapi.json"] {
        let answer = get_with(&service, path, &not_sampled);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-trace-id"), None);
    }
    service.get("/health/ready");
    collector.wait_for(|span| span.name == "GET /health/ready");
    service.stop();
    let names: Vec<_> = collector.spans().iter().map(|span| &span.name).collect();
    assert_eq!(names, ["GET /health/ready"]);
}

#[test]
fn strangers_need_not_be_followed() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let settings = [
        ("APP__OTEL__FOLLOW_CALLERS", "false"),
        ("APP__OTEL__SAMPLE_RATIO", "0"),
    ];
    let service = traced(&place, &collector, &settings);
    let sampled = format!("traceparent: 00-{CALLER}-01\r\n");
    let answer = get_with(&service, "/health/live", &sampled);
    assert_eq!(answer.header("x-trace-id"), None);
    service.stop();
    assert!(collector.spans().is_empty());
}

#[test]
fn without_an_endpoint_nothing_is_traced() {
    let place = Place::new();
    let service = place.serve();
    let sampled = format!("traceparent: 00-{CALLER}-01\r\n");
    let answer = get_with(&service, "/health/live", &sampled);
    assert_eq!(answer.header("x-trace-id"), None);
    let log = service.stop();
    assert!(
        log.iter().all(|line| !line.contains("trace_id")),
        "{log:#?}"
    );
}

#[test]
fn the_log_names_the_trace_and_the_span() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let service = traced(&place, &collector, &[("APP__LOG__FORMAT", "json")]);
    let answer = service.get("/health/live");
    let id = trace_of(&answer);
    let span = collector.wait_for(|span| hex(&span.trace_id) == id);
    let log = service.stop();
    let line = log.iter().find(|line| line.contains("/health/live"));
    let line: Value = serde_json::from_str(line.expect("a line")).expect("JSON");
    let logged = &line["spans"][0];
    assert_eq!(logged["trace_id"], id);
    assert_eq!(logged["span_id"], hex(&span.span_id));
    assert_eq!(
        logged["request_id"],
        answer.header("x-request-id").expect("an id")
    );
}

#[test]
fn a_failure_is_marked_and_its_line_names_the_trace_whatever_is_logged() {
    const TOKEN: &str = "kraken-over-lima";
    let (place, mut collector) = (Place::new(), Collector::http());
    let settings = [
        ("APP__LOG__FORMAT", "json"),
        ("APP__OPERATOR__TOKEN", TOKEN),
    ];
    let service = traced(&place, &collector, &settings);
    let path = "/debug/log-level?level=error";
    let changed = http::send_with_token(service.operator(), "POST", path, TOKEN);
    assert_eq!(changed.status, 204);
    place.execute("ALTER TABLE articles RENAME TO elsewhere");
    let answer = service.get("/api/v1/articles");
    assert!(answer.status >= 500, "{}", answer.status);
    let mut trace = Trace {
        id: trace_of(&answer),
        collector: &mut collector,
    };
    let request = trace.span("GET /api/v1/articles");
    let query = trace.within(&request, "list articles");
    for span in [&request, &query] {
        let status = span.status.as_ref().expect("a status");
        assert_eq!(status.code(), SpanStatus::Error, "{}", span.name);
    }
    let id = trace.id;
    let log = service.stop();
    let failed = log
        .iter()
        .find(|line| line.contains("the request failed"))
        .expect("a line");
    assert!(
        failed.contains(&format!("\"trace_id\":\"{id}\"")),
        "{failed}"
    );
}

#[test]
fn the_log_as_text_names_the_trace() {
    let (place, collector) = (Place::new(), Collector::http());
    let service = traced(&place, &collector, &[]);
    let id = trace_of(&service.get("/health/live"));
    let log = service.stop();
    let line = log
        .iter()
        .find(|line| line.contains("path=\"/health/live\""));
    let line = line.expect("a line");
    assert!(line.contains(&format!(" trace_id={id} span_id=")), "{line}");
}

#[test]
fn a_silent_log_does_not_silence_the_traces() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let mut service = traced(
        &place,
        &collector,
        &[("APP__LOG__LEVEL", "info,request=off")],
    );
    let id = trace_of(&service.get("/health/live"));
    collector.wait_for(|span| hex(&span.trace_id) == id);
    service.signal("TERM");
    service.wait();
    assert!(!service.has_logged("/health/live"), "{:#?}", service.log);
}

#[test]
fn spans_travel_over_grpc_too() {
    let (place, mut collector) = (Place::new(), Collector::grpc());
    let service = traced(
        &place,
        &collector,
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
    );
    let id = trace_of(&service.get("/health/live"));
    let span = collector.wait_for(|span| hex(&span.trace_id) == id);
    assert_eq!(span.name, "GET /health/live");
}

#[test]
fn a_stop_exports_what_is_left() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let endpoint = collector.endpoint();
    let service = place.serve_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        // Longer than the test lasts.
        ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
    ]);
    let id = trace_of(&service.get("/health/live"));
    service.stop();
    assert!(
        collector
            .spans()
            .iter()
            .any(|span| hex(&span.trace_id) == id)
    );
}

#[test]
fn spans_say_which_service_they_are_of() {
    let (place, mut collector) = (Place::new(), Collector::http());
    let service = traced(
        &place,
        &collector,
        &[("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=shop")],
    );
    service.get("/health/live");
    collector.wait_for(|span| span.name == "GET /health/live");
    for (key, value) in [
        ("service.name", env!("CARGO_PKG_NAME")),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("deployment.environment.name", "development"),
        ("service.namespace", "shop"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(collector.resource(key).as_deref(), Some(value), "{key}");
    }
    let instance = collector.resource("service.instance.id");
    assert_eq!(instance.expect("a name").len(), 36);
    drop(service);
    let service = traced(&place, &collector, &[("OTEL_SERVICE_NAME", "shop-front")]);
    service.get("/health/build");
    collector.wait_for(|span| span.name == "GET /health/build");
    assert_eq!(
        collector.resource("service.name").as_deref(),
        Some("shop-front")
    );
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let place = Place::new();
    for (name, value, problem) in [
        (
            "APP__OTEL__ENDPOINT",
            "localhost:4317",
            "otel.endpoint must look like http://localhost:4318 ",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "ftp://collector",
            "otel.endpoint must look like http://localhost:4318 ",
        ),
        (
            "APP__OTEL__SAMPLE_RATIO",
            "1.5",
            "otel.sample_ratio must be between 0 and 1 ",
        ),
        (
            "APP__OTEL__SAMPLE_RATIO",
            "nan",
            "otel.sample_ratio must be between 0 and 1 ",
        ),
        (
            "APP__OTEL__SAMPLE_RATIO",
            "-1",
            "otel.sample_ratio must be between 0 and 1 ",
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "otel.protocol "),
        (
            "OTEL_SERVICE_NAME",
            "",
            "otel.service_name must not be empty ",
        ),
    ] {
        let finished = place.run_with(&["config"], &[(name, value)]);
        let problems = finished.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(problem), "{problems:?}");
        assert!(problems[0].contains(name), "{problems:?}");
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
