//! Metrics: one exporter for Prometheus, and the buckets and descriptions of what it exports.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::build_info;
use crate::domain::events::Event;

/// Seconds: from a hit in memory to a request that times out.
const DURATIONS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
    10.0, 30.0,
];

/// Bytes: from an error's few words to an upload.
const SIZES: [f64; 8] = [
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    16_777_216.0,
];

const UPKEEP: Duration = Duration::from_secs(5);

/// Renders what was recorded, in the text format of Prometheus.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Starts recording for the whole process; a second call shares the first one's record.
    ///
    /// # Errors
    /// If something else records already.
    pub fn install() -> anyhow::Result<Self> {
        static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &*installed {
            return Ok(Self(handle.clone()));
        }
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".into()), &DURATIONS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_size_bytes".into()), &SIZES)
            })
            .and_then(PrometheusBuilder::install_recorder)
            .context("metrics cannot start")?;
        describe();
        super::errors::register();
        // So that the first one lost is an increase.
        counter!("log_lines_dropped_total").increment(0);
        let build = build_info();
        gauge!("build_info", "version" => build.version, "commit" => build.commit).set(1.0);
        Ok(Self(installed.insert(handle).clone()))
    }

    /// Condenses what was recorded, every few seconds until `stop`: without it memory would grow until somebody asks
    /// for the metrics.
    pub async fn upkeep_until(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.0.run_upkeep();
        }
    }

    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Counts domain events until `stop`.
pub async fn count_events(mut events: Receiver<Event>, stop: CancellationToken) {
    counter!("business_events_total", "event" => "uncounted").increment(0);
    while let Some(received) = stop.run_until_cancelled(events.recv()).await {
        match received {
            Ok(event) => counter!("business_events_total", "event" => event.name).increment(1),
            Err(RecvError::Lagged(missed)) => {
                counter!("business_events_total", "event" => "uncounted").increment(missed);
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn describe() {
    describe_http();
    describe_histogram!(
        "page_render_duration_seconds",
        "Time to make a page that no tier of the cache had, by route."
    );
    describe_cache();
    describe_neighbours();
    describe_counter!(
        "operator_requests_total",
        "Requests to the operator's listener besides /metrics, by route and status."
    );
    describe_counter!(
        "errors_total",
        "Answers that were our fault, panics, and tasks that ended early; by kind and severity."
    );
    describe_counter!(
        "error_reports_total",
        "Failures sent to a tracker of errors, by result."
    );
    describe_counter!("business_events_total", "Domain events published, by name.");
    describe_counter!(
        "log_lines_dropped_total",
        "Log lines lost because they could not be written, or not soon enough."
    );
    describe_gauge!(
        "tls_certificate_expires_timestamp_seconds",
        "Until when the certificate of the service is good, if it has one."
    );
    describe_gauge!("build_info", "Always 1; its labels say which build runs.");
    describe_runtime();
}

fn describe_http() {
    describe_counter!(
        "http_requests_total",
        "Requests answered, by method, route and status."
    );
    describe_histogram!(
        "http_request_duration_seconds",
        "Time from the request's headers to the response's."
    );
    describe_counter!(
        "http_requests_shed_total",
        "Requests refused because the service was busy, by reason."
    );
    describe_counter!(
        "rate_limited_total",
        "Requests refused because their sender has asked too often, by scope."
    );
    describe_histogram!(
        "http_request_size_bytes",
        "Length of the bodies that requests had and that was known at the start, by method and route."
    );
    describe_histogram!(
        "http_response_size_bytes",
        "Length of the bodies of answers that are not streams, by method and route."
    );
    describe_gauge!("http_requests_in_flight", "Requests being answered now.");
    describe_gauge!(
        "http_connections",
        "Connections that are open now, by listener: public or operator."
    );
    describe_gauge!(
        "http_connections_max",
        "Connections that a listener takes at most; more wait."
    );
}

fn describe_neighbours() {
    describe_histogram!(
        "database_query_duration_seconds",
        "Time of a database call, by operation and table."
    );
    describe_counter!(
        "database_query_errors_total",
        "Database calls that failed, by kind."
    );
    describe_gauge!("database_connections", "Connections of the pool, by state.");
    describe_gauge!("database_connections_max", "Connections the pool may have.");
    describe_gauge!(
        "circuit_breaker_state",
        "0 closed, 1 half-open, 2 open; by name."
    );
    describe_counter!(
        "circuit_breaker_failures_total",
        "Failures a circuit breaker has seen, by name."
    );
    describe_counter!(
        "retries_total",
        "Attempts after the first, by name and result."
    );
}

fn describe_runtime() {
    metrics_process::Collector::default().describe();
    describe_gauge!("tokio_workers", "Threads that run tasks.");
    describe_gauge!("tokio_alive_tasks", "Tasks that have begun and not ended.");
    describe_gauge!(
        "tokio_global_queue_depth",
        "Tasks that wait for a worker to take them."
    );
    describe_gauge!(
        "tokio_busy_seconds",
        "Time all workers together have spent on tasks since the start."
    );
    describe_gauge!(
        "disk_available_bytes",
        "Bytes the service may still write where it keeps its data."
    );
    describe_gauge!(
        "disk_size_bytes",
        "Size of the file system where the service keeps its data."
    );
}

fn describe_cache() {
    describe_counter!("cache_hits_total", "Values found in the cache, by tier.");
    describe_counter!(
        "cache_misses_total",
        "Look-ups that a tier could not answer."
    );
    describe_counter!("cache_sets_total", "Values stored, by tier.");
    describe_counter!("cache_errors_total", "Failures of a tier, by operation.");
    describe_counter!("cache_invalidations_total", "Invalidations, by scope.");
    describe_counter!(
        "cache_promotions_total",
        "Values taken from the second tier into memory."
    );
    describe_counter!(
        "cache_evictions_total",
        "Values dropped to make room, by tier."
    );
    describe_counter!(
        "cache_loads_total",
        "Values loaded because no tier had them, by result."
    );
    describe_histogram!(
        "cache_load_duration_seconds",
        "Time to load a value that no tier had."
    );
    describe_counter!(
        "cache_stale_served_total",
        "Values answered after their time, while a new one was made."
    );
    describe_counter!(
        "cache_coalesced_total",
        "Callers who waited for somebody else's load."
    );
    describe_counter!(
        "cache_negative_hits_total",
        "Hits that said that there is nothing."
    );
    describe_counter!(
        "cache_warmup_skipped_total",
        "Pages and values that the warm-up found in the cache."
    );
    describe_counter!(
        "cache_warmup_errors_total",
        "Pages and values that the warm-up could not make."
    );
    describe_gauge!(
        "cache_warmup_duration_seconds",
        "Time the last warm-up took."
    );
    describe_gauge!(
        "cache_l2_up",
        "Whether the second tier of the cache works: 1 or 0."
    );
    describe_gauge!("cache_entries", "Entries in a tier.");
    describe_gauge!("cache_bytes", "Bytes in a tier, estimated.");
}
