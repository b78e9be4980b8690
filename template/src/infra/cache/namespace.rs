//! The typed view of one namespace: how a value is found, loaded, kept and refreshed.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::Tiers;
use super::entry::{self, Header};
use super::flight::{Follower, Leader};
use super::memory::{Entry, Shelf};
use super::policy::{Kept, Loaded, Policy, micros};
use super::second::{Lead, Lease};
use super::tags::TagId;
use super::time::NEVER;

/// After a refresh that failed the stale value is answered for so long before the next one is tried.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// What the cache needs to know of a type to keep its values.
pub trait Weigh: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The memory a value takes, in bytes; estimated by its size when encoded.
    fn weight(&self) -> usize {
        size_of_val(self) + postcard::experimental::serialized_size(self).unwrap_or(0)
    }
}

impl Weigh for String {}
impl Weigh for Vec<u8> {}
impl Weigh for Bytes {}
impl<T: Weigh> Weigh for Option<T> {
    fn weight(&self) -> usize {
        self.as_ref().map_or(size_of_val(self), Weigh::weight)
    }
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Memory.
    L1,
    /// The second tier: disk or Redis.
    L2,
    /// One of both; past its time, and a new one is on its way.
    Stale,
    /// Neither: it was loaded.
    Loader,
}

/// A value out of the cache.
#[derive(Debug)]
pub struct Cached<V> {
    entry: Arc<Entry<V>>,
    source: Source,
    is_kept: bool,
}

impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            ..*self
        }
    }
}

impl<V> Deref for Cached<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.entry.value
    }
}

impl<V> Cached<V> {
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// When it was loaded, in microseconds since the Unix epoch.
    #[must_use]
    pub fn stored_at(&self) -> i64 {
        self.entry.header.stored_at
    }
}

/// Why a value could not be loaded, where its loader did not say so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadFailed {
    #[error("loading the value panicked")]
    Panicked,
    #[error("loading the value took too long")]
    TimedOut,
}

type Outcome<V, E> = Result<Cached<V>, E>;

/// A namespace of the cache whose values are of one type. A cheap handle.
pub struct Cache<V> {
    shelf: Arc<Shelf<V>>,
    tiers: Arc<Tiers>,
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self {
            shelf: Arc::clone(&self.shelf),
            tiers: Arc::clone(&self.tiers),
        }
    }
}

impl<V: Weigh> Cache<V> {
    pub(super) fn new(tiers: Arc<Tiers>, name: &'static str) -> Self {
        Self {
            shelf: tiers.memory.shelf(name),
            tiers,
        }
    }

    /// The value of `key`: from memory, from the second tier, or from `load`, whose value is kept for the next caller.
    ///
    /// Whoever asks for a key that is being loaded waits for that load. It goes to its end even if nobody waits any
    /// more, for at most `cache.lock_ttl`.
    ///
    /// # Errors
    /// Those of `load`, and [`LoadFailed`]; the cache itself never fails a caller.
    pub async fn fetch<E, F>(
        &self,
        key: &str,
        policy: &Policy,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Cached<V>, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Clone + From<LoadFailed> + Send + Sync + 'static,
    {
        if !self.tiers.settings.read_enabled {
            return self.load_alone(policy, load).await;
        }
        match self.look(key) {
            Some(found) if found.source == Source::Stale => {
                self.refresh(key, policy, &found.entry, load);
                Ok(found)
            }
            Some(found) => Ok(found),
            None => Box::pin(self.fetch_cold(key, policy, load)).await,
        }
    }

    /// The value of `key` if a tier has it.
    pub async fn get(&self, key: &str) -> Option<Cached<V>> {
        if !self.tiers.settings.read_enabled {
            return None;
        }
        match self.look(key) {
            Some(found) => Some(found),
            None => self.look_in_second(key).await,
        }
    }

    /// The value of `key` if memory has it and it is fresh. Nothing is counted if not: ask [`fetch`](Self::fetch) next.
    #[must_use]
    pub fn get_fresh(&self, key: &str) -> Option<Cached<V>> {
        if !self.tiers.settings.read_enabled {
            return None;
        }
        let place = self.shelf.place(key);
        let entry = self.shelf.get(place, key)?;
        if !self.is_fresh(&entry) {
            return None;
        }
        self.count_hit(place, &entry);
        Some(Cached {
            entry,
            source: Source::L1,
            is_kept: true,
        })
    }

    /// Keeps `value` under `key`, in place of what is or is being loaded there.
    pub async fn set(&self, key: &str, policy: &Policy, value: V) -> Cached<V> {
        // First, so that the value belongs to the generation that follows.
        self.invalidate(key).await;
        let born = self.tiers.generations.current();
        self.keep(key, policy, Loaded::new(value), born, None)
    }

    /// Puts another form of the same value in the place of `old`, if that is still there.
    pub fn replace(&self, old: &Cached<V>, value: V) {
        let entry = &old.entry;
        let current = self.shelf.get(self.shelf.place(&entry.key), &entry.key);
        if !current.is_some_and(|current| Arc::ptr_eq(&current, entry)) {
            return;
        }
        let generation = self.tiers.generations.current();
        let header = entry.header.clone();
        if !header.is_valid(self.tiers.time.now(), &self.tiers.generations) {
            return;
        }
        let entry = Entry::new(&entry.key, header, entry.leaves_at, generation, value);
        self.store(&Arc::new(entry), None);
    }

    /// Drops the entry of `key`, in both tiers and on all nodes.
    pub async fn invalidate(&self, key: &str) {
        let tag = self.key_tag(key);
        self.tiers.invalidate(&[tag], "key").await;
    }

    /// Drops every entry of the namespace, in both tiers and on all nodes.
    pub async fn clear(&self) {
        let tag = TagId::of_namespace(self.shelf.name());
        self.tiers.invalidate(&[tag], "namespace").await;
    }

    /// What memory has: fresh, or stale and still good for an answer.
    fn look(&self, key: &str) -> Option<Cached<V>> {
        let place = self.shelf.place(key);
        let found = self.shelf.get(place, key);
        let found = found.and_then(|entry| {
            let source = if self.is_fresh(&entry) {
                Source::L1
            } else if self.is_stale(&entry) {
                self.tiers.counters.stale_served.increment(1);
                Source::Stale
            } else {
                self.tiers.memory.remove(&self.shelf, &entry);
                return None;
            };
            self.count_hit(place, &entry);
            Some(Cached {
                entry,
                source,
                is_kept: true,
            })
        });
        if found.is_none() {
            self.tiers.counters.l1_misses.increment(1);
            self.tiers.memory.count_miss(place);
        }
        found
    }

    fn is_fresh(&self, entry: &Entry<V>) -> bool {
        self.tiers.time.is_before(entry.fresh_until) && self.is_untouched(entry)
    }

    fn is_stale(&self, entry: &Entry<V>) -> bool {
        self.tiers.time.is_before(entry.leaves_at) && self.is_untouched(entry)
    }

    /// Whether none of its tags was invalidated. They are looked at only if anything was since the last time.
    fn is_untouched(&self, entry: &Entry<V>) -> bool {
        let generation = self.tiers.generations.current();
        if entry.is_checked(generation) {
            return true;
        }
        let Header { born, tags, .. } = &entry.header;
        let is_untouched = !self.tiers.generations.is_outdated(*born, tags);
        if is_untouched {
            entry.set_checked(generation);
        }
        is_untouched
    }

    fn count_hit(&self, place: u64, entry: &Entry<V>) {
        self.tiers.memory.count_hit(place, entry);
        self.tiers.counters.l1_hits.increment(1);
        if entry.header.expiry.is_absent {
            self.tiers.counters.negative_hits.increment(1);
        }
    }

    async fn fetch_cold<E, F>(
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
            let (follower, leader) = self.shelf.flights().join::<Outcome<V, E>>(key);
            if let Some(leader) = leader {
                return self.lead_flight(key, policy, load, leader, follower).await;
            }
            self.tiers.counters.coalesced.increment(1);
            match follower.result().await {
                // Whoever led was cancelled before it began to load.
                None => {}
                Some(Ok(cached)) if !cached.is_kept => return self.load_alone(policy, load).await,
                // It began before a change that this caller may know of; the next one has not.
                Some(Ok(cached)) if self.is_older_than(&cached, arrived) => {}
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
            leader.land(cache.load(&key, &policy, load, limit).await);
        };
        self.tiers.tasks.spawn(flight.in_current_span());
        let outcome = follower.result().await;
        outcome.unwrap_or_else(|| Err(LoadFailed::Panicked.into()))
    }

    fn is_older_than(&self, cached: &Cached<V>, arrived: u64) -> bool {
        let Header { born, tags, .. } = &cached.entry.header;
        *born < arrived && !self.tiers.generations.may_keep(*born, tags)
    }

    /// Makes a new value in the background, unless somebody does already or one has just failed.
    fn refresh<E, F>(
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
        let (_, Some(leader)) = self.shelf.flights().join::<Outcome<V, E>>(key) else {
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
                Ok(_) => {}
                Err(_) => {
                    cache.tiers.counters.failed_refreshes.increment(1);
                    let pause = cache.tiers.time.now() + micros(REFRESH_PAUSE);
                    stale.refresh_after.store(pause, Ordering::Relaxed);
                }
            }
            leader.land(outcome);
        };
        self.tiers.tasks.spawn(refresh.in_current_span());
    }

    /// Whether `stale` is still the latest value, and no refresh has just failed.
    fn is_due(&self, stale: &Arc<Entry<V>>) -> bool {
        let current = self.shelf.get(self.shelf.place(&stale.key), &stale.key);
        current.is_none_or(|current| Arc::ptr_eq(&current, stale))
            && self.tiers.time.now() >= stale.refresh_after.load(Ordering::Relaxed)
    }

    async fn look_in_second(&self, key: &str) -> Option<Cached<V>> {
        let second = self.tiers.second.as_ref()?;
        let forgotten = self.tiers.generations.forgotten();
        let bytes = second.get(&self.full_key(key)).await;
        let found = bytes.and_then(|bytes| self.promote(key, &bytes, forgotten));
        let counters = &self.tiers.counters;
        match &found {
            Some(found) => {
                counters.l2_hits.increment(1);
                if found.source == Source::Stale {
                    counters.stale_served.increment(1);
                }
            }
            None => counters.l2_misses.increment(1),
        }
        found
    }

    /// Takes an entry of the second tier into memory, for the memory's time or what is left of its own, whichever is
    /// shorter. What had been `forgotten` before it was read must still be the same.
    fn promote(&self, key: &str, bytes: &[u8], forgotten: u64) -> Option<Cached<V>> {
        let tiers = &self.tiers;
        let generation = tiers.generations.current();
        let now = tiers.time.now();
        let (header, value) = entry::decode::<V>(bytes)?;
        if !header.is_valid(now, &tiers.generations) {
            return None;
        }
        // What outdates it may have been forgotten since it was read.
        if tiers.generations.forgotten() != forgotten {
            return None;
        }
        let source = if now < header.expiry.stale_at {
            Source::L2
        } else {
            Source::Stale
        };
        let entry = Arc::new(Entry::new(
            key,
            header,
            self.leaves_at(now),
            generation,
            value,
        ));
        self.remember(&entry);
        tiers.counters.promotions.increment(1);
        Some(Cached {
            entry,
            source,
            is_kept: true,
        })
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
    async fn load_alone<E, F>(
        &self,
        policy: &Policy,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Outcome<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: From<LoadFailed> + Send + 'static,
    {
        let born = self.tiers.generations.current();
        let loaded = self.run(load, self.tiers.settings.lock_ttl).await?;
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
        let loading = async move { load().await };
        let loading = AbortOnDropHandle::new(tokio::spawn(loading.in_current_span()));
        let loaded = match tokio::time::timeout(limit, loading).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(_)) => Err(LoadFailed::Panicked.into()),
            Err(_) => Err(LoadFailed::TimedOut.into()),
        };
        let counters = &self.tiers.counters;
        counters.load_duration.record(started.elapsed());
        let count = if loaded.is_ok() {
            &counters.loads
        } else {
            &counters.failed_loads
        };
        count.increment(1);
        loaded
    }

    /// Stores a loaded value where it belongs, unless something it was made of has changed meanwhile.
    fn keep(
        &self,
        key: &str,
        policy: &Policy,
        loaded: Loaded<V>,
        born: u64,
        lease: Option<Lease>,
    ) -> Cached<V> {
        let (entry, kept) = self.entry(key, policy, loaded, born);
        let entry = Arc::new(entry);
        let Header { born, tags, .. } = &entry.header;
        let is_current = self.tiers.generations.may_keep(*born, tags);
        match kept {
            Kept::Yes if is_current => self.store(&entry, lease),
            Kept::AsAbsent if is_current => {
                self.remember(&entry);
                self.release(key, lease);
            }
            _ => self.release(key, lease),
        }
        Cached {
            entry,
            source: Source::Loader,
            is_kept: kept != Kept::No,
        }
    }

    fn entry(&self, key: &str, policy: &Policy, loaded: Loaded<V>, born: u64) -> (Entry<V>, Kept) {
        let Loaded { value, tags, kept } = loaded;
        let now = self.tiers.time.now();
        let own = [TagId::of_namespace(self.shelf.name()), self.key_tag(key)];
        let header = Header {
            born,
            stored_at: now,
            expiry: policy.expiry(now, kept == Kept::AsAbsent, &self.tiers.settings),
            tags: own
                .into_iter()
                .chain(policy.tags().iter().copied())
                .chain(tags)
                .collect(),
        };
        (
            Entry::new(key, header, self.leaves_at(now), born, value),
            kept,
        )
    }

    fn leaves_at(&self, now: i64) -> i64 {
        now.saturating_add(micros(self.tiers.settings.l1_ttl))
    }

    /// Into both tiers; the caller does not wait for the second.
    fn store(&self, entry: &Arc<Entry<V>>, lease: Option<Lease>) {
        let bytes = self.remember(entry);
        self.write(entry, bytes, lease);
    }

    /// Into the second tier, unless too much waits for that already.
    fn write(&self, entry: &Arc<Entry<V>>, bytes: usize, lease: Option<Lease>) {
        let Some(second) = self.tiers.second.clone() else {
            return;
        };
        let Some(room) = self.tiers.room_to_write(bytes) else {
            return self.release(&entry.key, lease);
        };
        let (entry, key) = (Arc::clone(entry), self.full_key(&entry.key));
        let tiers = Arc::clone(&self.tiers);
        self.tiers.tasks.spawn(async move {
            let Header {
                born, tags, expiry, ..
            } = &entry.header;
            if !tiers.generations.may_keep(*born, tags) {
                if let Some(lease) = lease {
                    second.release(&key, lease).await;
                }
                return;
            }
            let ends_at = expiry.ends_at;
            let left = ends_at.saturating_sub(tiers.time.now());
            let ttl = Duration::from_micros(u64::try_from(left).unwrap_or(0));
            let ttl = (ends_at != NEVER).then_some(ttl);
            let bytes = entry::encode(&entry.header, &entry.value);
            second.set(&key, bytes.into(), ttl, lease).await;
            tiers.counters.l2_sets.increment(1);
            drop(room);
        });
    }

    /// Into memory; says how much of it that takes, in bytes.
    fn remember(&self, entry: &Arc<Entry<V>>) -> usize {
        self.tiers.counters.l1_sets.increment(1);
        let bytes = entry.value.weight();
        self.tiers.memory.insert(&self.shelf, entry, bytes);
        bytes
    }

    fn release(&self, key: &str, lease: Option<Lease>) {
        if let (Some(lease), Some(second)) = (lease, self.tiers.second.clone()) {
            let key = self.full_key(key);
            let release = async move { second.release(&key, lease).await };
            self.tiers.tasks.spawn(release);
        }
    }

    fn full_key(&self, key: &str) -> String {
        format!("{}:{key}", self.shelf.name())
    }

    fn key_tag(&self, key: &str) -> TagId {
        TagId::of_key(&self.full_key(key))
    }
}
