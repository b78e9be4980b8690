//! The two-tier cache: memory in front of disk, shared by every typed namespace.
//!
//! An entry carries the tags it depends on and the moment its loading began. Invalidating a tag notes a later
//! moment for it, so an entry is valid as long as none of its tags was invalidated since. That costs one small
//! write however many entries carry the tag, and a value loaded before a change can never be stored after it.

mod disk;
mod entry;
mod generations;
mod memory;

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use validator::Validate;

use self::disk::Disk;
use self::entry::Header;
use self::generations::Generations;
use self::memory::{Memory, Resident};
use crate::domain::clock::Clock;
use crate::settings::{limited, some_time};

/// `[cache]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    /// How long an entry stays in memory.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub l1_ttl: Duration,
    /// How long an entry is valid at all, on disk.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub l2_ttl: Duration,
    /// Bytes of memory; absent: a quarter of what the machine or container has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l1_capacity: Option<ByteSize>,
    /// The folder of the second tier. Nothing in it is precious.
    pub dir: PathBuf,
    /// How often expired entries are removed from disk.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub gc_interval: Duration,
}

/// The key of an entry: its namespace and its name in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key(String);

impl Key {
    fn new(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}:{name}"))
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Memory.
    L1,
    /// Disk.
    L2,
    /// Neither: it was loaded.
    Loader,
}

/// A value out of the cache.
#[derive(Debug)]
pub struct Cached<V> {
    pub value: Arc<V>,
    pub source: Source,
    /// When it was loaded, in milliseconds since the Unix epoch.
    pub stored_at_ms: i64,
}

/// A freshly loaded value and what it was made of.
#[derive(Debug)]
pub struct Loaded<V> {
    value: V,
    tags: Vec<String>,
    kept: bool,
}

impl<V> Loaded<V> {
    pub fn new(value: V) -> Self {
        Self {
            value,
            tags: Vec::new(),
            kept: true,
        }
    }

    /// A value for this caller alone: the next one loads anew.
    pub fn not_kept(value: V) -> Self {
        Self {
            kept: false,
            ..Self::new(value)
        }
    }

    pub fn into_value(self) -> V {
        self.value
    }

    /// Drops the entry when `tag` is invalidated.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

/// Both tiers. A cheap handle; [`Store::namespace`] gives typed views of it.
#[derive(Clone)]
pub struct Store(Arc<Tiers>);

struct Tiers {
    memory: Memory,
    disk: Option<Disk>,
    generations: Generations,
    clock: Clock,
    settings: CacheSettings,
    /// Writes to disk that requests did not wait for.
    writes: TaskTracker,
}

impl Store {
    /// Opens the disk tier for what is made by and of `origin`. A folder that cannot be used is reported and set aside: the cache
    /// then starts empty, or in memory only, but it starts.
    #[must_use]
    pub fn open(settings: CacheSettings, origin: &str, clock: Clock) -> Self {
        let disk = Disk::open(&settings.dir, origin)
            .inspect_err(|error| {
                metrics::counter!("cache_errors_total", "tier" => "l2", "op" => "open")
                    .increment(1);
                tracing::error!(
                    error = format!("{error:#}"),
                    "the cache works in memory only"
                );
            })
            .ok();
        Self::assemble(settings, disk, clock)
    }

    /// A cache without a disk tier.
    #[must_use]
    pub fn in_memory(settings: CacheSettings, clock: Clock) -> Self {
        Self::assemble(settings, None, clock)
    }

    fn assemble(settings: CacheSettings, disk: Option<Disk>, clock: Clock) -> Self {
        let capacity = settings
            .l1_capacity
            .map_or_else(memory::default_capacity, |size| size.as_u64());
        let invalidated = disk.as_ref().map(Disk::invalidations).unwrap_or_default();
        Self(Arc::new(Tiers {
            memory: Memory::new(capacity, settings.l1_ttl),
            generations: Generations::new(invalidated),
            disk,
            clock,
            settings,
            writes: TaskTracker::new(),
        }))
    }

    /// The typed view of the entries named `name`.
    #[must_use]
    pub fn namespace<V>(&self, name: &'static str) -> Cache<V> {
        Cache {
            store: self.clone(),
            name,
            values: PhantomData,
        }
    }

    /// Makes every entry that carries one of `tags` invalid, in both tiers, from now on.
    pub fn invalidate_tags<T: Into<String>>(&self, tags: impl IntoIterator<Item = T>) {
        for tag in tags {
            let tag = tag.into();
            let generation = self.0.generations.invalidate(&tag);
            metrics::counter!("cache_invalidations_total", "scope" => "tag").increment(1);
            self.write_behind("invalidate", move |disk| {
                disk.insert_invalidation(&tag, generation)
            });
        }
    }

    /// Whether the disk tier works; without it the cache is degraded, not down.
    #[must_use]
    pub fn has_disk(&self) -> bool {
        self.0.disk.is_some()
    }

    /// Removes expired and invalidated entries from disk every `gc_interval`, until `stop`.
    pub async fn sweep_until(self, stop: CancellationToken) {
        if !self.has_disk() {
            return;
        }
        loop {
            let pause = tokio::time::sleep(self.0.settings.gc_interval);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            self.sweep();
        }
    }

    /// Removes expired and invalidated entries from disk, without waiting for it.
    pub fn sweep(&self) {
        let store = self.clone();
        self.write_behind("sweep", move |disk| {
            let now = store.now_ms();
            disk.retain(|header| header.is_valid(now, &store.0.generations))
        });
    }

    /// Waits for outstanding writes and closes the disk tier, so that the next start can trust it.
    pub async fn close(&self) {
        self.0.writes.close();
        self.0.writes.wait().await;
        let store = self.clone();
        let close = move || store.0.disk.as_ref().map_or(Ok(()), Disk::close);
        match tokio::task::spawn_blocking(close).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the disk cache was not closed cleanly"),
            Err(error) => tracing::error!(%error, "closing the disk cache failed"),
        }
    }

    /// Sets the gauges to what the memory tier holds now.
    pub fn record_sizes(&self) {
        self.0.memory.record_size();
    }

    fn now_ms(&self) -> i64 {
        self.0.clock.now().timestamp_millis()
    }

    /// Hands work on the disk tier to a blocking thread without waiting for it.
    fn write_behind(
        &self,
        op: &'static str,
        work: impl FnOnce(&Disk) -> sled::Result<()> + Send + 'static,
    ) {
        if !self.has_disk() {
            return;
        }
        let store = self.clone();
        self.0.writes.spawn_blocking(move || {
            if let Some(Err(error)) = store.0.disk.as_ref().map(work) {
                metrics::counter!("cache_errors_total", "tier" => "l2", "op" => op).increment(1);
                tracing::warn!(%error, op, "the disk cache failed");
            }
        });
    }
}

/// A namespace of the cache whose values are of one type. A cheap handle.
pub struct Cache<V> {
    store: Store,
    name: &'static str,
    values: PhantomData<fn() -> V>,
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            name: self.name,
            values: PhantomData,
        }
    }
}

impl<V> Cache<V>
where
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// The value of `key`: from memory, from disk, or from `load`, whose value is kept for the next caller.
    ///
    /// # Errors
    /// Those of `load`; the cache itself never fails a caller.
    pub async fn fetch<E, F>(&self, key: &str, load: impl FnOnce() -> F) -> Result<Cached<V>, E>
    where
        F: Future<Output = Result<Loaded<V>, E>>,
    {
        let key = Key::new(self.name, key);
        if let Some(hit) = self.look_in_memory(&key) {
            metrics::counter!("cache_hits_total", "tier" => "l1").increment(1);
            return Ok(hit);
        }
        metrics::counter!("cache_misses_total", "tier" => "l1").increment(1);
        if let Some(hit) = self.look_on_disk(&key).await {
            metrics::counter!("cache_hits_total", "tier" => "l2").increment(1);
            return Ok(hit);
        }
        metrics::counter!("cache_misses_total", "tier" => "l2").increment(1);
        let born = self.store.0.generations.current();
        let Loaded { value, tags, kept } = load().await?;
        let value = Arc::new(value);
        let stored_at_ms = self.store.now_ms();
        if kept {
            self.keep(key, &value, tags, born, stored_at_ms);
        }
        Ok(Cached {
            value,
            source: Source::Loader,
            stored_at_ms,
        })
    }

    fn look_in_memory(&self, key: &Key) -> Option<Cached<V>> {
        let tiers = &self.store.0;
        let resident = tiers.memory.get(key)?;
        if !resident
            .header
            .is_valid(self.store.now_ms(), &tiers.generations)
        {
            tiers.memory.remove(key);
            return None;
        }
        let value = Arc::clone(&resident.value).downcast().ok()?;
        Some(Cached {
            value,
            source: Source::L1,
            stored_at_ms: resident.header.stored_at_ms,
        })
    }

    async fn look_on_disk(&self, key: &Key) -> Option<Cached<V>> {
        let store = self.store.clone();
        let disk_key = key.clone();
        let read = move || {
            store
                .0
                .disk
                .as_ref()
                .map(|disk| disk.get(disk_key.as_str()))
        };
        let bytes = match tokio::task::spawn_blocking(read).await.ok()?? {
            Ok(bytes) => bytes?,
            Err(error) => {
                metrics::counter!("cache_errors_total", "tier" => "l2", "op" => "get").increment(1);
                tracing::warn!(%error, "the disk cache failed");
                return None;
            }
        };
        let (header, value) = entry::decode::<V>(&bytes)?;
        if !header.is_valid(self.store.now_ms(), &self.store.0.generations) {
            return None;
        }
        let stored_at_ms = header.stored_at_ms;
        let value = Arc::new(value);
        self.promote(key.clone(), &value, header, bytes.len());
        Some(Cached {
            value,
            source: Source::L2,
            stored_at_ms,
        })
    }

    fn keep(&self, key: Key, value: &Arc<V>, tags: Vec<String>, born: u64, stored_at_ms: i64) {
        let ttl = millis(self.store.0.settings.l2_ttl);
        let header = Header {
            born,
            stored_at_ms,
            expires_at_ms: stored_at_ms.saturating_add(ttl),
            tags,
        };
        let bytes = entry::encode(&header, &**value);
        self.promote(key.clone(), value, header, bytes.len());
        metrics::counter!("cache_sets_total", "tier" => "l2").increment(1);
        self.store
            .write_behind("set", move |disk| disk.insert(key.as_str(), bytes));
    }

    /// Into memory, for the memory's time or what is left of the entry's own, whichever is shorter.
    fn promote(&self, key: Key, value: &Arc<V>, header: Header, bytes: usize) {
        let tiers = &self.store.0;
        let l1_end = self
            .store
            .now_ms()
            .saturating_add(millis(tiers.settings.l1_ttl));
        let header = Header {
            expires_at_ms: header.expires_at_ms.min(l1_end),
            ..header
        };
        metrics::counter!("cache_sets_total", "tier" => "l1").increment(1);
        tiers
            .memory
            .insert(key, Resident::new(Arc::clone(value) as _, header, bytes));
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
