//! The typed view of one namespace: how a value is found, kept and dropped.{% capture body %}

use std::sync::Arc;
use std::time::Duration;

use super::Tiers;
use super::entry::{self, Header};
use super::memory::{Entry, Shelf};
use super::policy::{Kept, Loaded, Policy, micros};
use super::second::Lease;
use super::tags::TagId;
use super::time::NEVER;
use super::value::{Cached, LoadFailed, Source, Weigh}; //~{% if features contains "otel" %}
use crate::telemetry::traces::spans; //~{% endif %}

/// A namespace of the cache whose values are of one type. A cheap handle.
pub struct Cache<V> {
    pub(super) shelf: Arc<Shelf<V>>,
    pub(super) tiers: Arc<Tiers>,
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
    /// more, for at most `cache.lock_ttl`; so long it may have waited for another node before.
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
            None => {
                let fetch = Box::pin(self.fetch_cold(key, policy, load)); //~{% if features contains "otel" %}
                let fetch = spans::within(spans::cache_fetch(self.shelf.name()), fetch); //~{% endif %}
                fetch.await
            }
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
        self.peek(key).inspect(|found| self.count_use(found))
    }

    /// The same for who does not know yet whether it will be used, and then [counts](Self::count_use) it.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<Cached<V>> {
        if !self.tiers.settings.read_enabled {
            return None;
        }
        let entry = self.shelf.get(self.shelf.place(key), key)?;
        self.is_fresh(&entry).then_some(Cached {
            entry,
            source: Source::L1,
            is_kept: true,
        })
    }

    /// Counts a hit.
    pub fn count_use(&self, found: &Cached<V>) {
        self.count_hit(self.shelf.place(&found.entry.key), &found.entry);
    }

    /// Keeps `value` under `key`, in place of what is or is being loaded there.
    pub async fn set(&self, key: &str, policy: &Policy, value: V) -> Cached<V> {
        // First, so that the value belongs to the generation that follows.
        self.invalidate(key).await;
        let born = self.tiers.generations.current();
        self.keep(key, policy, Loaded::new(value), born, None)
    }

    /// Puts another form of the same value in the place of `old`, unless something else is there. If memory had no room
    /// for the old one, the new one goes to the second tier alone.
    pub fn replace(&self, old: &Cached<V>, value: V) {
        let entry = &old.entry;
        let current = self.shelf.get(self.shelf.place(&entry.key), &entry.key);
        let is_there = match &current {
            Some(current) if !Arc::ptr_eq(current, entry) => return,
            current => current.is_some(),
        };
        let generation = self.tiers.generations.current();
        if !self.is_good(entry) {
            return;
        }
        let header = entry.header.clone();
        let entry = Entry::new(&entry.key, header, entry.leaves_at, generation, value);
        let entry = Arc::new(entry);
        if is_there {
            self.store(&entry, None);
        } else {
            self.write(&entry, entry.value.weight(), None);
        }
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
            } else if self.is_good(&entry) {
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

    /// Whether it may be answered, fresh or stale.
    fn is_good(&self, entry: &Entry<V>) -> bool {
        self.tiers.time.is_before(entry.leaves_at) && self.is_untouched(entry)
    }

    /// Whether none of its tags was invalidated. They are looked at only if anything was since the last time.
    fn is_untouched(&self, entry: &Entry<V>) -> bool {
        let generation = self.tiers.generations.current();
        if entry.is_checked(generation) {
            return true;
        }
        let Header { born, tags, .. } = &entry.header;
        // What came after the last look and is forgotten by now cannot be ruled out. Asked last, because it is raised first.
        let is_untouched = !self.tiers.generations.is_outdated(*born, tags)
            && entry.checked() >= self.tiers.generations.forgotten();
        if is_untouched {
            entry.set_checked(generation);
        }
        is_untouched
    }

    fn count_hit(&self, place: u64, entry: &Entry<V>) {
        self.tiers.memory.count_hit(place, entry);
        self.tiers.counters.l1_hits.count();
        if entry.header.expiry.is_absent {
            self.tiers.counters.negative_hits.increment(1);
        }
    }

    pub(super) async fn look_in_second(&self, key: &str) -> Option<Cached<V>> {
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
            // Otherwise it was not even asked.
            None if second.trouble().is_none() => counters.l2_misses.increment(1),
            None => {}
        }
        found
    }

    /// Takes an entry of the second tier into memory, for the memory's time or what is left of its own, whichever is
    /// shorter. What had been `forgotten` before it was read must still be the same.
    pub(super) fn promote(&self, key: &str, bytes: &[u8], forgotten: u64) -> Option<Cached<V>> {
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

    /// Stores a loaded value where it belongs, unless something it was made of has changed meanwhile.
    pub(super) fn keep(
        &self,
        key: &str,
        policy: &Policy,
        loaded: Loaded<V>,
        born: u64,
        lease: Option<Lease>,
    ) -> Cached<V> {
        let (entry, kept) = self.entry(key, policy, loaded, born);
        let entry = Arc::new(entry);
        let generation = self.tiers.generations.current();
        let Header { born, tags, .. } = &entry.header;
        let is_current = self.tiers.generations.may_keep(*born, tags);
        if is_current {
            entry.set_checked(generation);
        }
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

    pub(super) fn entry(
        &self,
        key: &str,
        policy: &Policy,
        loaded: Loaded<V>,
        born: u64,
    ) -> (Entry<V>, Kept) {
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

    /// When something leaves memory. Without a second tier there is none to come back from.
    fn leaves_at(&self, now: i64) -> i64 {
        if self.tiers.second.is_none() {
            return NEVER;
        }
        now.saturating_add(micros(self.tiers.settings.l1_ttl))
    }

    /// Into both tiers; the caller does not wait for the second.
    fn store(&self, entry: &Arc<Entry<V>>, lease: Option<Lease>) {
        let bytes = self.remember(entry);
        self.write(entry, bytes, lease);
    }

    /// Into the second tier, unless too much waits for that already.
    pub(super) fn write(&self, entry: &Arc<Entry<V>>, bytes: usize, lease: Option<Lease>) {
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
            let Some(bytes) = entry::encode(&entry.header, &entry.value) else {
                return;
            };
            if second.set(&key, bytes.into(), ttl, lease).await {
                tiers.counters.l2_sets.increment(1);
            }
            drop(room);
        });
    }

    /// Into memory; says how much of it that takes, in bytes.
    fn remember(&self, entry: &Arc<Entry<V>>) -> usize {
        let bytes = entry.value.weight();
        if bytes == usize::MAX {
            let namespace = self.shelf.name();
            tracing::error!(
                namespace,
                "a value of this type cannot be encoded, so none is kept"
            );
        }
        // Of what leaves at once nobody would find anything.
        if self.tiers.time.is_before(entry.leaves_at) {
            self.tiers.counters.l1_sets.increment(1);
            self.tiers.memory.insert(&self.shelf, entry, bytes);
        }
        bytes
    }

    pub(super) fn release(&self, key: &str, lease: Option<Lease>) {
        if let (Some(lease), Some(second)) = (lease, self.tiers.second.clone()) {
            let key = self.full_key(key);
            let release = async move { second.release(&key, lease).await };
            self.tiers.tasks.spawn(release);
        }
    }

    pub(super) fn full_key(&self, key: &str) -> String {
        [self.shelf.name(), ":", key].concat()
    }

    fn key_tag(&self, key: &str) -> TagId {
        TagId::of_key(&self.full_key(key))
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
