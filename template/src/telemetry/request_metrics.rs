//! The request metrics: a counter and histograms for each method, route and status, looked up once and then held.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Routes are few, so every series stays.
static SERIES: LazyLock<RwLock<HashMap<String, Vec<Labelled>, RandomState>>> =
    LazyLock::new(RwLock::default);

struct Labelled {
    method: &'static str,
    status: u16,
    series: &'static RequestSeries,
}

/// What is counted of the requests with one method, route and status.
#[derive(Debug)]
pub struct RequestSeries {
    total: Counter,
    duration: Histogram,
    response_size: Histogram,
    /// Few routes take a body.
    request_size: OnceLock<Histogram>,
}

impl RequestSeries {
    /// `route` is a template, never a path: a series stays for good.
    #[must_use]
    pub fn of(method: &'static str, route: &str, status: u16) -> &'static Self {
        let find = |labelled: &&Labelled| labelled.method == method && labelled.status == status;
        let known = SERIES.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(route).and_then(|all| all.iter().find(find));
        if let Some(labelled) = found {
            return labelled.series;
        }
        drop(known);
        let series: &Self = Box::leak(Box::new(Self::register(method, route, status)));
        let mut known = SERIES.write().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(route.to_owned()).or_default();
        if known.iter().all(|labelled| labelled.method != method) {
            expect_failures(method, route);
        }
        known.push(Labelled {
            method,
            status,
            series,
        });
        series
    }

    fn register(method: &'static str, route: &str, status: u16) -> Self {
        let labels = [
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.to_string()),
        ];
        Self {
            total: counter!("http_requests_total", &labels),
            duration: histogram!("http_request_duration_seconds", &labels),
            // Sizes hardly depend on the status, and each label makes eleven series more.
            response_size: histogram!("http_response_size_bytes", &labels[..2]),
            request_size: OnceLock::new(),
        }
    }

    /// `bytes` is the length of the answer's body, unless it is a stream.
    pub fn record(&self, duration: Duration, bytes: Option<u64>) {
        self.total.increment(1);
        self.duration.record(duration);
        if let Some(bytes) = bytes {
            self.response_size.record(size(bytes));
        }
    }

    /// Records the length of a request's body, in bytes. `method` and `route` are those of the series.
    pub fn record_request_size(&self, method: &'static str, route: &str, bytes: u64) {
        let register = || {
            let labels = [("method", method.to_owned()), ("route", route.to_owned())];
            histogram!("http_request_size_bytes", &labels)
        };
        self.request_size.get_or_init(register).record(size(bytes));
    }
}

/// So that the first failure of a route is an increase, which a series that begins with it would not show.
fn expect_failures(method: &'static str, route: &str) {
    for status in ["500", "503", "504"] {
        let route = route.to_owned();
        counter!("http_requests_total", "method" => method, "route" => route, "status" => status)
            .increment(0);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to eight pebibytes, and buckets are coarser"
)]
fn size(bytes: u64) -> f64 {
    bytes as f64
}

/// Counts a request until it is dropped, which happens in the middle when the client goes away.
pub struct InFlight(&'static Gauge);

impl InFlight {
    #[must_use]
    pub fn enter() -> Self {
        static GAUGE: LazyLock<Gauge> = LazyLock::new(|| gauge!("http_requests_in_flight"));
        let gauge = &*GAUGE;
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn the_first_failure_of_a_route_is_an_increase() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || RequestSeries::of("GET", "/well", 200));
        let told = recorder.handle().render();
        let failures = r#"http_requests_total{method="GET",route="/well",status="503"} 0"#;
        assert!(told.contains(failures), "{told}");
    }

    #[test]
    fn to_count_a_request_of_a_known_series_takes_no_memory_of_its_own() {
        let count = || {
            let series = RequestSeries::of("GET", "/counted", 200);
            series.record(Duration::from_millis(1), Some(4096));
        };
        let recorder = PrometheusBuilder::new().build_recorder();
        let made = with_local_recorder(&recorder, || {
            count();
            allocation_counter::measure(|| (0..640).for_each(|_| count()))
        });
        // The exporter gathers the values of each of the two histograms by 64, until it adds them up.
        assert!(made.count_total <= 2 * 640 / 64, "{made:?}");
    }
}
