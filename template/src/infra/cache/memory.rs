//! The first tier: a bounded map in memory that keeps what is asked for most.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use mini_moka::sync::Cache as MiniMoka;

use super::Key;
use super::entry::Header;

/// What an entry costs besides its value: the maps' own nodes and pointers, estimated.
const OVERHEAD: usize = 256;

/// The share of the free memory that is taken when no size is set.
const DEFAULT_SHARE: u64 = 4;

/// For a machine that does not tell how much memory it has.
const FALLBACK_CAPACITY: u64 = 64 * 1024 * 1024;

/// A decoded value in memory.
#[derive(Clone)]
pub(super) struct Resident {
    pub value: Arc<dyn Any + Send + Sync>,
    pub header: Arc<Header>,
    bytes: u32,
}

impl Resident {
    /// `encoded` is the size of the value on disk, which stands for its size in memory.
    pub fn new(value: Arc<dyn Any + Send + Sync>, header: Header, encoded: usize) -> Self {
        let bytes = u32::try_from(encoded + OVERHEAD).unwrap_or(u32::MAX);
        Self {
            value,
            header: Arc::new(header),
            bytes,
        }
    }
}

pub(super) struct Memory(MiniMoka<Key, Resident>);

impl Memory {
    /// Holds at most about `capacity` bytes, each entry for at most `ttl`.
    pub fn new(capacity: u64, ttl: Duration) -> Self {
        let cache = MiniMoka::builder()
            .max_capacity(capacity)
            .weigher(|key: &Key, resident: &Resident| {
                u32::try_from(key.as_str().len())
                    .unwrap_or(u32::MAX)
                    .saturating_add(resident.bytes)
            })
            .time_to_live(ttl)
            .build();
        Self(cache)
    }

    pub fn get(&self, key: &Key) -> Option<Resident> {
        self.0.get(key)
    }

    pub fn insert(&self, key: Key, resident: Resident) {
        self.0.insert(key, resident);
    }

    pub fn remove(&self, key: &Key) {
        self.0.invalidate(key);
    }

    /// Sets the gauges to what the map holds now.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floats; these are estimates"
    )]
    pub fn record_size(&self) {
        metrics::gauge!("cache_entries", "tier" => "l1").set(self.0.entry_count() as f64);
        metrics::gauge!("cache_bytes", "tier" => "l1").set(self.0.weighted_size() as f64);
    }
}

/// A quarter of the memory that the container or the machine still has.
pub(super) fn default_capacity() -> u64 {
    let left = [container_memory_left(), machine_memory_left()]
        .into_iter()
        .flatten()
        .min();
    left.map_or(FALLBACK_CAPACITY, |left| left / DEFAULT_SHARE)
}

/// What the limit of the control group leaves (cgroup v2, then v1), in bytes.
fn container_memory_left() -> Option<u64> {
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let limit = read("memory.max").or_else(|| read("memory/memory.limit_in_bytes"))?;
    let used = read("memory.current").or_else(|| read("memory/memory.usage_in_bytes"))?;
    Some(limit.saturating_sub(used))
}

/// `MemAvailable` of Linux, in bytes.
fn machine_memory_left() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
