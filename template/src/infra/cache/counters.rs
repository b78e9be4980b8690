//! The metrics of the cache, as handles made once: a hit does not look them up.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Histogram, counter, histogram};

use crate::telemetry::Handles;

/// Threads that count one after the other hardly wait for each other if there are so many places to count in.
const STRIPES: usize = 16;

thread_local! {
    static STRIPE: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES
    };
}

/// Counts what happens on all threads all the time, added up when somebody asks: one number would go from core to core,
/// which takes longer than a hit.
pub(super) struct Hits {
    stripes: [Stripe; STRIPES],
    told: Mutex<u64>,
    counter: Counter,
}

/// Alone on its cache line, and on the one that is fetched with it.
#[derive(Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Hits {
    fn new(counter: Counter) -> Self {
        Self {
            stripes: Default::default(),
            told: Mutex::new(0),
            counter,
        }
    }

    pub fn count(&self) {
        let stripe = STRIPE.with(|stripe| *stripe);
        self.stripes[stripe].0.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds to the metric what was counted since the last time.
    pub fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = self.stripes.iter();
        let all: u64 = counts.map(|count| count.0.load(Ordering::Relaxed)).sum();
        self.counter.increment(all - *told);
        *told = all;
    }
}

#[derive(Clone)]
pub(super) struct Counters {
    pub l1_hits: Arc<Hits>,
    pub l2_hits: Counter,
    pub l1_misses: Counter,
    pub l2_misses: Counter,
    pub l1_sets: Counter,
    pub l2_sets: Counter,
    pub promotions: Counter,
    pub negative_hits: Counter,
    pub stale_served: Counter,
    pub coalesced: Counter,
    pub loads: Counter,
    pub failed_loads: Counter,
    pub failed_refreshes: Counter,
    pub load_duration: Histogram,
    /// By scope.
    pub invalidations: Arc<Handles<&'static str, Counter>>,
}

impl Counters {
    pub fn register() -> Self {
        let invalidations =
            Handles::new(|scope| counter!("cache_invalidations_total", "scope" => *scope));
        // From the start, so that the first one shows as a change.
        for scope in ["tag", "key", "namespace", "all"] {
            invalidations.get(&scope).increment(0);
        }
        Self {
            l1_hits: Arc::new(Hits::new(counter!("cache_hits_total", "tier" => "l1"))),
            l2_hits: counter!("cache_hits_total", "tier" => "l2"),
            l1_misses: counter!("cache_misses_total", "tier" => "l1"),
            l2_misses: counter!("cache_misses_total", "tier" => "l2"),
            l1_sets: counter!("cache_sets_total", "tier" => "l1"),
            l2_sets: counter!("cache_sets_total", "tier" => "l2"),
            promotions: counter!("cache_promotions_total"),
            negative_hits: counter!("cache_negative_hits_total"),
            stale_served: counter!("cache_stale_served_total"),
            coalesced: counter!("cache_coalesced_total"),
            loads: counter!("cache_loads_total", "result" => "ok"),
            failed_loads: counter!("cache_loads_total", "result" => "error"),
            failed_refreshes: counter!("cache_loads_total", "result" => "refresh_error"),
            load_duration: histogram!("cache_load_duration_seconds"),
            invalidations: Arc::new(invalidations),
        }
    }
}
