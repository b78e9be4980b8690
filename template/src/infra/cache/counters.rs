//! The metrics of the cache, as handles made once: a hit does not look them up.

use std::sync::Arc;

use metrics::{Counter, Histogram, counter, histogram};

use crate::telemetry::Handles;

#[derive(Clone)]
pub(super) struct Counters {
    pub l1_hits: Counter,
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
            l1_hits: counter!("cache_hits_total", "tier" => "l1"),
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
