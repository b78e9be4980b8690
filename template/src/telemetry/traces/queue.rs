//! Spans on their way to the collector: so many at most, and what is lost on the way is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{counter, describe_counter};
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

/// Spans that may wait for the collector; one more is dropped.
const MOST: usize = 2048;

/// Hands spans to a thread that exports them in batches. No request waits for it.
///
/// The batches of the library are bounded too, but nobody is told what they drop.
#[derive(Debug)]
pub struct Bounded {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
}

impl Bounded {
    pub fn new(exporter: impl SpanExporter + 'static) -> Self {
        describe_counter!(
            "telemetry_dropped_total",
            "What the service would have told about itself but lost on the way, by kind."
        );
        describe_counter!(
            "telemetry_exported_total",
            "What the service told about itself and a collector took, by kind."
        );
        // So that the first one is an increase.
        count_lost(0);
        count_exported(0);
        let waiting = Arc::default();
        let exporter = Counting {
            exporter,
            waiting: Arc::clone(&waiting),
            is_failing: AtomicBool::new(false),
        };
        let config = BatchConfigBuilder::default()
            // Never full, because no more are let in.
            .with_max_queue_size(MOST)
            .build();
        Self {
            batches: BatchSpanProcessor::builder(exporter)
                .with_batch_config(config)
                .build(),
            waiting,
        }
    }
}

fn count_lost(spans: usize) {
    counter!("telemetry_dropped_total", "kind" => "spans").increment(spans as u64);
}

fn count_exported(spans: usize) {
    counter!("telemetry_exported_total", "kind" => "spans").increment(spans as u64);
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let one_more = |waiting| (waiting < MOST).then_some(waiting + 1);
        let place = self
            .waiting
            .try_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        match place {
            Ok(_) => self.batches.on_end(span),
            Err(_) => count_lost(1),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Makes room for what it has exported, or counts it as lost.
#[derive(Debug)]
struct Counting<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
    is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        match result {
            Ok(()) => count_exported(spans),
            Err(_) => count_lost(spans),
        }
        // An outage is told once, not with every batch.
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !was_failing => tracing::warn!(%error, "spans cannot be exported"),
            Ok(()) if was_failing => tracing::info!("spans are exported again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::sync::{Mutex, PoisonError};

    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// Says how many spans it was given, and holds them until it may go on.
    #[derive(Debug)]
    struct Stuck {
        given: Sender<usize>,
        may: Mutex<Receiver<()>>,
    }

    impl SpanExporter for Stuck {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            let _ = self.given.send(batch.len());
            let may = self.may.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = may.recv();
            Ok(())
        }
    }

    #[test]
    fn a_collector_that_is_stuck_costs_spans_and_not_memory() {
        let (given, batches) = mpsc::channel();
        let (go_on, may) = mpsc::channel();
        let stuck = Stuck {
            given,
            may: Mutex::new(may),
        };
        let queue = Bounded::new(stuck);
        let waiting = Arc::clone(&queue.waiting);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .build();
        let tracer = provider.tracer("test");
        for _ in 0..3 * MOST {
            drop(tracer.start("span"));
        }
        assert_eq!(waiting.load(Ordering::Relaxed), MOST);
        drop(go_on);
        provider.shutdown().expect("it exports the rest");
        assert_eq!(batches.iter().sum::<usize>(), MOST);
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }
}
