//! How a value is loaded: by one caller for all, by one node for all, for a while, and in the background.{% capture body %}

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::entry::{self, Header};
use super::flight::{Follower, Leader};
use super::memory::Entry;
use super::namespace::Cache;
use super::policy::{Loaded, Policy, micros};
use super::second::Lead;
use super::value::{Cached, LoadFailed, Source, Weigh};
use crate::telemetry::following; //~{% if features contains "otel" %}
use crate::telemetry::traces::spans; //~{% endif %}

/// After a refresh that failed the stale value is answered for so long before the next one is tried.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

type Outcome<V, E> = Result<Cached<V>, E>;

impl<V: Weigh> Cache<V> {
    pub(super) async fn fetch_cold<E, F>(
        &self,
        key: &str,
        policy: &Policy,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Outcome<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Clone + From<LoadFailed> + Send + Sync + 'static,
    {
        let arrived = self.tiers.generations.current();
        loop {
            let now = self.tiers.generations.current();
            let (follower, leader) = self.shelf.flights().join::<Outcome<V, E>>(key, now);
            if let Some(leader) = leader {
                return self.lead_flight(key, policy, load, leader, follower).await;
            }
            self.tiers.counters.coalesced.increment(1);
            let began = follower.began();
            match follower.result().await {
                // Whoever led was cancelled before it began to load.
                None => {}
                Some(Ok(cached)) if !cached.is_kept => return self.load_alone(policy, load).await,
                // It began before a change that this caller may know of; the next one has not.
                Some(Ok(cached)) if self.is_older_than(&cached, arrived) => {}
                Some(Err(_)) if began < arrived => {}
                Some(outcome) => return outcome,
            }
        }
    }

    /// Looks into the second tier, then loads in a task of its own, which does not end with this caller.
    async fn lead_flight<E, F>(
        &self,
        key: &str,
        policy: &Policy,
        load: impl FnOnce() -> F + Send + 'static,
        leader: Leader<Outcome<V, E>>,
        follower: Follower<Outcome<V, E>>,
    ) -> Outcome<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Clone + From<LoadFailed> + Send + Sync + 'static,
    {
        // The flight before this one may have landed since the caller looked.
        if let Some(found) = self.get_fresh(key) {
            leader.land(Ok(found.clone()));
            return Ok(found);
        }
        if let Some(found) = self.look_in_second(key).await {
            leader.land(Ok(found.clone()));
            if found.source == Source::Stale {
                self.refresh(key, policy, &found.entry, load);
            }
            return Ok(found);
        }
        let (cache, key, policy) = (self.clone(), Box::<str>::from(key), policy.clone());
        let flight = async move {
            let limit = cache.tiers.settings.lock_ttl;
            let outcome = cache.load(&key, &policy, load, limit).await;
            if outcome.is_err() {
                cache.tiers.counters.failed_loads.increment(1);
            }
            leader.land(outcome);
        };
        self.tiers.tasks.spawn(following(flight));
        let outcome = follower.result().await;
        outcome.unwrap_or_else(|| Err(LoadFailed::Panicked.into()))
    }

    fn is_older_than(&self, cached: &Cached<V>, arrived: u64) -> bool {
        let Header { born, tags, .. } = &cached.entry.header;
        *born < arrived && !self.tiers.generations.may_keep(*born, tags)
    }

    /// Makes a new value in the background, unless somebody does already or one has just failed.
    pub(super) fn refresh<E, F>(
        &self,
        key: &str,
        policy: &Policy,
        stale: &Arc<Entry<V>>,
        load: impl FnOnce() -> F + Send + 'static,
    ) where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Clone + From<LoadFailed> + Send + Sync + 'static,
    {
        if !self.is_due(stale) {
            return;
        }
        let now = self.tiers.generations.current();
        let (_, Some(leader)) = self.shelf.flights().join::<Outcome<V, E>>(key, now) else {
            return;
        };
        // Another refresh may have ended before this one could begin.
        if !self.is_due(stale) {
            return;
        }
        let (cache, policy, stale) = (self.clone(), policy.clone(), Arc::clone(stale));
        let refresh = async move {
            let limit = cache.tiers.settings.refresh_timeout;
            let outcome = cache.load(&stale.key, &policy, load, limit).await;
            match &outcome {
                // Otherwise what is stale in the second tier would come back when this is forgotten.
                Ok(cached) if cached.entry.header.expiry.is_absent => {
                    cache.write(&cached.entry, cached.entry.value.weight(), None);
                }
                // What was stale is nobody's any more.
                Ok(cached) if !cached.is_kept => cache.invalidate(&stale.key).await,
                Ok(_) => {}
                Err(_) => {
                    cache.tiers.counters.failed_refreshes.increment(1);
                    let pause = cache.tiers.time.now() + micros(REFRESH_PAUSE);
                    stale.refresh_after.store(pause, Ordering::Relaxed);
                }
            }
            leader.land(outcome);
        };
        self.tiers.tasks.spawn(following(refresh));
    }

    /// Whether `stale` is still the latest value, and no refresh has just failed.
    fn is_due(&self, stale: &Arc<Entry<V>>) -> bool {
        let current = self.shelf.get(self.shelf.place(&stale.key), &stale.key);
        current.is_none_or(|current| Arc::ptr_eq(&current, stale))
            && self.tiers.time.now() >= stale.refresh_after.load(Ordering::Relaxed)
    }

    /// Loads a value, unless another node does: then waits for its value.
    async fn load<E, F>(
        &self,
        key: &str,
        policy: &Policy,
        load: impl FnOnce() -> F + Send + 'static,
        limit: Duration,
    ) -> Outcome<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: From<LoadFailed> + Send + 'static,
    {
        let forgotten = self.tiers.generations.forgotten();
        let Lead { entry, lease } = self.lead(key).await;
        if let Some(theirs) = entry.and_then(|bytes| self.promote(key, &bytes, forgotten)) {
            return Ok(theirs);
        }
        // Read before anything else is: what changes from here on makes the value outdated.
        let born = self.tiers.generations.current();
        match self.run(load, limit).await {
            Ok(loaded) => Ok(self.keep(key, policy, loaded, born, lease)),
            Err(error) => {
                self.release(key, lease);
                Err(error)
            }
        }
    }

    async fn lead(&self, key: &str) -> Lead {
        let Some(second) = &self.tiers.second else {
            return Lead::default();
        };
        let is_good = |bytes: &[u8]| {
            let now = self.tiers.time.now();
            entry::decode_header(bytes).is_some_and(|header| {
                now < header.expiry.stale_at && header.is_valid(now, &self.tiers.generations)
            })
        };
        second.lead(&self.full_key(key), &is_good).await
    }

    /// Loads a value for one caller, who has to have it for itself.
    pub(super) async fn load_alone<E, F>(
        &self,
        policy: &Policy,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Outcome<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: From<LoadFailed> + Send + 'static,
    {
        let born = self.tiers.generations.current();
        let loaded = self.run(load, self.tiers.settings.lock_ttl).await;
        let loaded = loaded.inspect_err(|_| self.tiers.counters.failed_loads.increment(1))?;
        let (entry, _) = self.entry("", policy, loaded, born);
        Ok(Cached {
            entry: Arc::new(entry),
            source: Source::Loader,
            is_kept: false,
        })
    }

    /// Runs a loader for at most `limit`, in a task of its own: a panic ends there.
    async fn run<E, F>(
        &self,
        load: impl FnOnce() -> F + Send + 'static,
        limit: Duration,
    ) -> Result<Loaded<V>, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: From<LoadFailed> + Send + 'static,
    {
        let started = Instant::now();
        let loading = async move { load().await }; //~{% if features contains "otel" %}
        let loading = spans::within(spans::cache_load(self.shelf.name()), loading); //~{% endif %}
        let loading = AbortOnDropHandle::new(tokio::spawn(following(loading)));
        let loading = tokio::time::timeout(limit, loading);
        let loaded = match self.tiers.abandoned.run_until_cancelled(loading).await {
            Some(Ok(Ok(loaded))) => loaded,
            Some(Ok(Err(_))) => Err(LoadFailed::Panicked.into()),
            Some(Err(_)) | None => Err(LoadFailed::TimedOut.into()),
        };
        let counters = &self.tiers.counters;
        let duration = started.elapsed();
        counters.load_duration.record(duration);
        if loaded.is_ok() {
            counters.loads.increment(1);
        }
        let (namespace, duration_ms) = (self.shelf.name(), duration.as_secs_f64() * 1000.0);
        let is_ok = loaded.is_ok();
        tracing::debug!(
            namespace,
            duration_ms,
            is_ok,
            "loaded what the cache has not"
        );
        loaded
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
