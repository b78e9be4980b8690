//! Failures on their way to a tracker that takes them, is slow, refuses, or is not there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use app::infra::error_reports::{ErrorReports, ErrorSettings};
use app::infra::outbound::Outbound;
use app::settings::{Environment, Secret};
use app::telemetry::{self, Exporter, Failure, FailureKind};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{fixed_clock, settings_alone};

/// What a tracker was sent: path, key, event.
type Report = (String, String, Value);

/// One that answers with `status`, as often as `may` lets it.
struct Tracker {
    address: SocketAddr,
    reports: UnboundedReceiver<Report>,
    may: Arc<Semaphore>,
}

impl Tracker {
    async fn start(status: StatusCode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, reports) = unbounded_channel();
        let may = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&may);
        let handler = async move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let key = headers["x-sentry-auth"].to_str().expect("text").to_owned();
            let _ = tell.send((uri.path().to_owned(), key, event(&body)));
            gate.acquire().await.expect("open").forget();
            status
        };
        let routes = Router::new().fallback(any(handler));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            address,
            reports,
            may,
        }
    }

    /// The events of `reporter` among the next ones.
    async fn next(&mut self, reporter: &Reporter) -> Report {
        loop {
            let report = self.reports.recv().await.expect("a report");
            if report.2["tags"]["request_id"] == reporter.id {
                return report;
            }
        }
    }
}

/// The third line of an envelope, after two of headers.
fn event(envelope: &[u8]) -> Value {
    let lines: Vec<Value> = serde_json::Deserializer::from_slice(envelope)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("lines of JSON");
    let [head, item, event] = <[Value; 3]>::try_from(lines).expect("three lines");
    assert_eq!(head["event_id"], event["event_id"]);
    assert_eq!(item, json!({ "type": "event" }));
    event
}

/// What sends reports, beside those of other tests, whose failures it is told of too.
struct Reporter {
    id: String,
    stop: CancellationToken,
    sending: JoinHandle<()>,
}

impl Reporter {
    fn start(tracker: SocketAddr) -> Self {
        let dsn = Secret::new(format!("http://k1@{tracker}/7"));
        let settings = ErrorSettings { dsn: Some(dsn) };
        let outbound = Outbound::new(&settings_alone(&[]).outbound, fixed_clock());
        let environment = Environment::Production;
        let reports = ErrorReports::start(&settings, environment, &outbound, fixed_clock());
        let stop = CancellationToken::new();
        let sending = reports.expect("a tracker").send_until(stop.clone());
        Self {
            id: Uuid::new_v4().to_string(),
            stop,
            sending: tokio::spawn(sending),
        }
    }

    fn report(&self, kind: FailureKind, cause: &str) {
        telemetry::report(&Failure {
            kind,
            cause: Some(cause),
            request_id: &self.id,
            route: Some("/articles/{slug}"),
        });
    }

    async fn stop(self) {
        self.stop.cancel();
        self.sending.await.expect("it stops");
    }
}

#[tokio::test]
async fn a_defect_reaches_the_tracker_and_what_is_away_for_a_while_does_not() {
    let mut tracker = Tracker::start(StatusCode::OK).await;
    tracker.may.add_permits(1000);
    let reporter = Reporter::start(tracker.address);
    reporter.report(FailureKind::Unavailable, "the database is away");
    reporter.report(FailureKind::Timeout, "it took too long");
    reporter.report(FailureKind::Internal, "\"quoted\"\nlines");
    let (path, key, event) = tracker.next(&reporter).await;
    assert_eq!(path, "/api/7/envelope/");
    assert_eq!(key, "Sentry sentry_version=7, sentry_key=k1");
    let thrown = json!([{ "type": "internal", "value": "\"quoted\"\nlines" }]);
    assert_eq!(event["exception"]["values"], thrown);
    assert_eq!(event["level"], "error");
    assert_eq!(event["environment"], "production");
    assert_eq!(event["transaction"], "/articles/{slug}");
    assert_eq!(event["timestamp"], fixed_clock().now().timestamp());
    let release = event["release"].as_str().expect("a release");
    assert!(release.contains('@'), "{release}");
    reporter.stop().await;
}

#[tokio::test]
async fn a_stop_sends_what_is_left() {
    let mut tracker = Tracker::start(StatusCode::OK).await;
    let reporter = Reporter::start(tracker.address);
    reporter.report(FailureKind::Panic, "first");
    tracker.next(&reporter).await;
    // The tracker is busy with the first.
    reporter.report(FailureKind::Task, "last");
    tracker.may.add_permits(1000);
    let id = reporter.id.clone();
    reporter.stop().await;
    let mut left = Vec::new();
    while let Ok((_, _, event)) = tracker.reports.try_recv() {
        left.push(event);
    }
    let is_last = |event: &&Value| event["tags"]["request_id"] == id;
    let last = left.iter().find(is_last).expect("the last");
    assert_eq!(last["exception"]["values"][0]["value"], "last");
}

#[tokio::test]
async fn a_storm_of_failures_neither_waits_for_the_tracker_nor_fills_memory() {
    let dropped = || {
        let metrics = Exporter::install().expect("metrics").render();
        let series = "error_reports_total{result=\"dropped\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |count| count.parse().expect("a number"))
    };
    Exporter::install().expect("metrics");
    let tracker = Tracker::start(StatusCode::OK).await;
    let reporter = Reporter::start(tracker.address);
    let before: u64 = dropped();
    for n in 0..1000 {
        reporter.report(FailureKind::Internal, &format!("number {n}"));
    }
    assert!(dropped() - before >= 1000 - 64 - 1, "{}", dropped());
    tracker.may.add_permits(10_000);
    reporter.stop().await;
}

#[tokio::test]
async fn a_tracker_that_refuses_is_left_alone_for_a_while_and_asked_once_more_at_the_end() {
    let mut tracker = Tracker::start(StatusCode::TOO_MANY_REQUESTS).await;
    tracker.may.add_permits(1000);
    let reporter = Reporter::start(tracker.address);
    reporter.report(FailureKind::Internal, "first");
    tracker.next(&reporter).await;
    reporter.report(FailureKind::Internal, "second");
    // Much longer than it would take, and much shorter than the ten seconds that are to pass.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(tracker.reports.is_empty());
    reporter.stop().await;
    assert!(!tracker.reports.is_empty());
}
