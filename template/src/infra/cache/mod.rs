//! The two-tier cache: memory in front of a second tier that outlives it, shared by every typed namespace.{% capture body %}
//!
//! - `namespace` is what callers use: fetch, set, invalidate. `loading` is what happens when a value is not there.
//! - `policy` says how long and under which tags a value is kept.
//! - `memory` is the first tier, `second` the contract of the other one, and what keeps it.
//! - `warmup` fills both tiers at the start.
//! - `tags` decides what is outdated, `flight` lets one caller load for all, `entry` is the stored form.

mod counters;
mod disk;
mod entry;
mod flight;
mod loading;
mod memory;
mod namespace;
mod policy; //~{% if features contains "redis" %}
mod redis; //~{% endif %}
mod second;
mod tags;
mod time;
mod value;
mod warmup;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::counters::Counters;
use self::disk::Disk;
use self::entry::Header;
use self::memory::Memory;
pub use self::namespace::Cache;
pub use self::policy::{CacheSettings, Loaded, Policy}; //~{% if features contains "redis" %}
pub use self::redis::RedisSettings; //~{% endif %}
use self::second::{Second, SecondTier};
use self::tags::{Generations, TagId};
use self::time::Time;
pub use self::value::{Cached, LoadFailed, Source, Weigh};
pub use self::warmup::Warm;
use crate::domain::clock::Clock; //~{% if features contains "redis" %}
use crate::settings::Secret; //~{% endif %}

/// How much may wait to be written to the second tier; what does not fit stays in memory only.
const MOST_UNWRITTEN_KIB: usize = 64 * 1024;

/// Both tiers. A cheap handle; [`Store::namespace`] gives typed views of it.
#[derive(Clone)]
pub struct Store(Arc<Tiers>);

struct Tiers {
    memory: Arc<Memory>,
    second: Option<Arc<Second>>,
    generations: Arc<Generations>,
    time: Time,
    settings: CacheSettings,
    counters: Counters,
    /// The generation in which the last sweep began.
    last_sweep: AtomicU64,
    /// Loads that go on without a caller, and writes that none waits for.
    tasks: TaskTracker,
    /// Nobody waits for a load any more.
    abandoned: CancellationToken,
    /// What may still be written, in KiB.
    room: Arc<Semaphore>,
}

impl Store {
    /// Opens the cache for what is made by and of `origin`. A second tier that cannot be used is reported; the cache then
    /// works in memory only.
    #[must_use]
    pub fn open(settings: CacheSettings, origin: &str, clock: Clock) -> Self {
        match Disk::open(&settings.dir, origin, settings.l2_capacity.as_u64()) {
            Ok(disk) => {
                let memory = Arc::new(Memory::new(settings.l1_bytes()));
                let generations = disk.generations();
                Self::assemble(settings, memory, Some(Box::new(disk)), generations, clock)
            }
            Err(error) => {
                metrics::counter!("cache_errors_total", "tier" => "l2", "op" => "open")
                    .increment(1);
                tracing::error!(
                    error = format!("{error:#}"),
                    "the cache works in memory only"
                );
                Self::in_memory(settings, clock)
            }
        }
    }

    /// A cache without a second tier.
    #[must_use]
    pub fn in_memory(settings: CacheSettings, clock: Clock) -> Self {
        let memory = Arc::new(Memory::new(settings.l1_bytes()));
        Self::assemble(settings, memory, None, Arc::default(), clock)
    } //~{% if features contains "redis" %}

    /// A cache whose second tier is shared with every other node of the fleet. It works in memory only until Redis is
    /// connected, and whenever it is not.
    #[must_use]
    pub fn shared(
        settings: CacheSettings,
        redis: &RedisSettings,
        url: &Secret,
        origin: &str,
        clock: Clock,
    ) -> Self {
        let memory = Arc::new(Memory::new(settings.l1_bytes()));
        let generations = Arc::<Generations>::default();
        let forget_all = {
            let memory = Arc::clone(&memory);
            Arc::new(move || memory.clear())
        };
        let known = Arc::clone(&generations);
        let tier = redis::Redis::start(url, redis, settings.lock_ttl, origin, known, forget_all);
        Self::assemble(settings, memory, Some(Box::new(tier)), generations, clock)
    } //~{% endif %}

    fn assemble(
        settings: CacheSettings,
        memory: Arc<Memory>,
        second: Option<Box<dyn SecondTier>>,
        generations: Arc<Generations>,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Tiers {
            memory,
            second: second.map(|tier| Arc::new(Second::new(tier, clock.clone()))),
            generations,
            time: Time::new(clock),
            settings,
            counters: Counters::register(),
            last_sweep: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            abandoned: CancellationToken::new(),
            room: Arc::new(Semaphore::new(MOST_UNWRITTEN_KIB)),
        }))
    }

    /// The typed view of the entries named `name`.
    ///
    /// # Panics
    /// If another type already uses that name.
    #[must_use]
    pub fn namespace<V: Weigh>(&self, name: &'static str) -> Cache<V> {
        Cache::new(Arc::clone(&self.0), name)
    }

    /// Makes every entry that carries one of `tags` invalid, in both tiers: here from now on, on the other nodes when
    /// this returns and a message has reached them.
    pub async fn invalidate_tags<T: AsRef<str>>(&self, tags: impl IntoIterator<Item = T>) {
        let tags: Vec<_> = tags
            .into_iter()
            .map(|tag| TagId::of_tag(tag.as_ref()))
            .collect();
        self.0.invalidate(&tags, "tag").await;
    }

    /// Drops the entry of `key`, written `namespace:key`.
    pub async fn invalidate_key(&self, key: &str) {
        self.0.invalidate(&[TagId::of_key(key)], "key").await;
    }

    /// Drops everything, in both tiers and on all nodes.
    pub async fn flush(&self) {
        self.0.invalidate(&[TagId::EVERYTHING], "all").await;
        if self.0.settings.delete_enabled {
            let memory = Arc::clone(&self.0.memory);
            // If that ends early, so does the process.
            let _ = spawn_blocking(move || memory.clear()).await;
            if let Some(second) = &self.0.second {
                second.clear().await;
            }
        }
    }

    /// Whether there is a second tier; without it the cache is degraded, not down.
    #[must_use]
    pub fn has_second_tier(&self) -> bool {
        self.0.second.is_some()
    }

    /// Whether the second tier works now.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.trouble().is_none()
    }

    /// Why the second tier does not work now, unless it does.
    #[must_use]
    pub fn trouble(&self) -> Option<&'static str> {
        match &self.0.second {
            Some(second) => second.trouble(),
            None => Some("there is none"),
        }
    }

    /// What is wrong with the second tier, after another try if it was left alone for a while.
    pub async fn check(&self) -> Option<&'static str> {
        if let Some(second) = &self.0.second {
            second.try_again().await;
        }
        self.trouble()
    }

    /// Removes what is no longer valid every `gc_interval`, until `stop`.
    pub async fn sweep_until(self, stop: CancellationToken) {
        loop {
            let pause = tokio::time::sleep(self.0.settings.gc_interval);
            let sweep = async {
                pause.await;
                self.sweep().await;
            };
            if stop.run_until_cancelled(sweep).await.is_none() {
                return;
            }
        }
    }

    /// Removes expired and invalidated entries from both tiers, and then forgets the invalidations that are over.
    pub async fn sweep(&self) {
        let tiers = &self.0;
        let now = tiers.time.now();
        let generation = tiers.generations.current();
        let own = Arc::clone(tiers);
        let swept = spawn_blocking(move || {
            own.memory.retain(generation, &|header, checked| {
                header.is_valid(now, &own.generations) && checked >= own.generations.forgotten()
            });
        });
        if swept.await.is_err() {
            return;
        }
        let is_swept = match &tiers.second {
            Some(second) => {
                let generations = Arc::clone(&tiers.generations);
                let keep = move |_: &str, header: &Header| header.is_valid(now, &generations);
                second.sweep(Box::new(keep)).await
            }
            None => true,
        };
        // Those of the sweep before: a write that began then is done by now.
        let before = tiers.last_sweep.swap(generation, Ordering::Relaxed);
        if is_swept {
            tiers.generations.forget(before);
        }
    }

    /// Ends what is still being loaded, and everything that will be: there is nobody left who asked for it.
    pub fn abandon_loads(&self) {
        self.0.abandoned.cancel();
    }

    /// Waits for outstanding loads and writes and closes the second tier, so that the next start can trust it.
    pub async fn close(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
        if let Some(second) = &self.0.second {
            second.close().await;
        }
    }

    /// What the tiers hold now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (entries, bytes) = self.0.memory.usage();
        let second = self.0.second.as_ref();
        Stats {
            l1: Usage { entries, bytes },
            l1_capacity: self.0.memory.capacity(),
            l2: second.map(|second| second.name()),
            l2_is_well: self.is_well(),
            l2_usage: second.and_then(|second| second.usage()),
            generation: self.0.generations.current(),
        }
    }

    /// Brings up to date the metrics that are not worth it with every hit: how many there were, and what the tiers hold.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floats; these are estimates"
    )]
    pub fn record(&self) {
        self.0.counters.l1_hits.tell();
        let stats = self.stats();
        metrics::gauge!("cache_l2_up").set(f64::from(u8::from(stats.l2_is_well)));
        for (tier, usage) in [("l1", Some(stats.l1)), ("l2", stats.l2_usage)] {
            if let Some(Usage { entries, bytes }) = usage {
                metrics::gauge!("cache_entries", "tier" => tier).set(entries as f64);
                metrics::gauge!("cache_bytes", "tier" => tier).set(bytes as f64);
            }
        }
    }
}

/// What the tiers hold.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stats {
    pub l1: Usage,
    /// Bytes.
    pub l1_capacity: u64,
    /// The kind of second tier, if there is one.
    pub l2: Option<&'static str>,
    pub l2_is_well: bool,
    /// Absent where it is not known without asking.
    pub l2_usage: Option<Usage>,
    /// Raised by every invalidation.
    pub generation: u64,
}

/// How much a tier holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub entries: u64,
    pub bytes: u64,
}

impl Tiers {
    async fn invalidate(&self, tags: &[TagId], scope: &'static str) {
        if !self.settings.delete_enabled {
            tracing::warn!(scope, "not invalidated: cache.delete_enabled is false");
            return;
        }
        self.counters.invalidations.get(&scope).increment(1);
        self.generations.invalidate(tags);
        if let Some(second) = &self.second {
            second.announce(tags).await;
        }
    }

    /// A place in the queue of writes to the second tier, unless it is full.
    fn room_to_write(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).ok()?;
        Arc::clone(&self.room).try_acquire_many_owned(kib).ok()
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
