//! The entries touched last, in memory: reading one of them needs neither the disk nor another thread.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// Parts that are locked one by one.
const SHARDS: usize = 16;

/// What an entry costs besides its key and value, estimated.
const OVERHEAD: usize = 128;

pub(super) struct Warm {
    shards: [Mutex<Shard>; SHARDS],
    /// Bytes of one generation of one shard.
    generation: usize,
}

/// Entries move to the young generation whenever they are touched. When it is full the old one is forgotten, and the
/// young one takes its place.
#[derive(Default)]
struct Shard {
    young: HashMap<Box<str>, Bytes>,
    young_bytes: usize,
    old: HashMap<Box<str>, Bytes>,
    changes: u64,
}

/// How often a part had been changed before something was read from disk.
pub(super) struct Ticket(u64);

impl Warm {
    /// Holds at most `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: Default::default(),
            generation: capacity / SHARDS / 2,
        }
    }

    pub fn get(&self, key: &str) -> Option<Bytes> {
        let mut shard = self.shard(key);
        if let Some(entry) = shard.young.get(key) {
            return Some(entry.clone());
        }
        let (key, entry) = shard.old.remove_entry(key)?;
        let forgotten = shard.keep(key, entry.clone(), self.generation);
        drop((shard, forgotten));
        Some(entry)
    }

    /// Notes what was written to disk.
    pub fn put(&self, key: &str, entry: Bytes) {
        let mut shard = self.shard(key);
        shard.forget(key);
        let forgotten = shard.keep(key.into(), entry, self.generation);
        drop((shard, forgotten));
    }

    /// Notes what was read from disk, unless something was changed since `ticket`: it may be what was just replaced.
    pub fn put_read(&self, key: &str, entry: Bytes, ticket: &Ticket) {
        let mut shard = self.shard(key);
        if shard.changes == ticket.0 {
            let forgotten = shard.keep(key.into(), entry, self.generation);
            drop((shard, forgotten));
        }
    }

    /// To be drawn before something is read from disk.
    pub fn ticket(&self, key: &str) -> Ticket {
        Ticket(self.shard(key).changes)
    }

    pub fn remove(&self, key: &str) {
        self.shard(key).forget(key);
    }

    pub fn clear(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let empty = Shard {
                changes: shard.changes + 1,
                ..Shard::default()
            };
            let forgotten = mem::replace(&mut *shard, empty);
            drop((shard, forgotten));
        }
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        let [first, ..] = xxh3_64(key.as_bytes()).to_be_bytes();
        lock(&self.shards[usize::from(first) % SHARDS])
    }
}

impl Shard {
    /// What is returned is to be dropped after the lock.
    fn keep(&mut self, key: Box<str>, entry: Bytes, generation: usize) -> HashMap<Box<str>, Bytes> {
        let size = size(&key, &entry);
        let mut forgotten = HashMap::new();
        if size > generation {
            return forgotten;
        }
        if self.young_bytes + size > generation {
            forgotten = mem::replace(&mut self.old, mem::take(&mut self.young));
            self.young_bytes = 0;
        }
        // Two may have read the same from disk.
        if let Some(twin) = self.young.remove(&key) {
            self.young_bytes -= self::size(&key, &twin);
        }
        self.young_bytes += size;
        self.young.insert(key, entry);
        forgotten
    }

    fn forget(&mut self, key: &str) {
        self.changes += 1;
        self.old.remove(key);
        if let Some(entry) = self.young.remove(key) {
            self.young_bytes -= size(key, &entry);
        }
    }
}

fn size(key: &str, entry: &Bytes) -> usize {
    key.len() + entry.len() + OVERHEAD
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: usize = 1 << 20;

    fn entry(length: usize) -> Bytes {
        vec![7; length].into()
    }

    /// Touches as many others as fit in all.
    fn touch_others(warm: &Warm) {
        for n in 0..CAPACITY / 1000 {
            warm.put(&format!("other-{n}"), entry(1000));
        }
    }

    fn bytes(warm: &Warm) -> usize {
        let in_map = |map: &HashMap<Box<str>, Bytes>| -> usize {
            map.iter().map(|(key, entry)| size(key, entry)).sum()
        };
        let in_shard = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            assert_eq!(in_map(&shard.young), shard.young_bytes);
            shard.young_bytes + in_map(&shard.old)
        };
        warm.shards.iter().map(in_shard).sum()
    }

    #[test]
    fn what_is_touched_no_more_is_forgotten() {
        let warm = Warm::new(CAPACITY);
        warm.put("key", entry(10));
        assert_eq!(warm.get("key"), Some(entry(10)));
        touch_others(&warm);
        touch_others(&warm);
        assert_eq!(warm.get("key"), None);
    }

    #[test]
    fn what_is_touched_stays() {
        let warm = Warm::new(CAPACITY);
        warm.put("key", entry(10));
        for n in 0..10_000 {
            warm.put(&format!("other-{n}"), entry(1000));
            assert_eq!(warm.get("key"), Some(entry(10)));
        }
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let warm = Warm::new(CAPACITY);
        for n in 0..20_000_usize {
            let key = format!("key-{}", n % 3000);
            match n % 5 {
                0 => warm.remove(&key),
                1 => warm.put_read(&key, entry(n % 4000), &warm.ticket(&key)),
                2 => drop(warm.get(&key)),
                _ => warm.put(&key, entry(n % 9000)),
            }
            if n % 100 == 0 {
                assert!(bytes(&warm) <= CAPACITY);
            }
        }
        assert!(bytes(&warm) > CAPACITY / 4);
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_neither_is_what_it_replaces() {
        let warm = Warm::new(CAPACITY);
        warm.put("key", entry(10));
        warm.put("key", entry(CAPACITY / SHARDS));
        assert_eq!(warm.get("key"), None);
        assert_eq!(bytes(&warm), 0);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        type Change = fn(&Warm);
        let changes: [Change; 3] = [
            |warm| warm.put("key", entry(2)),
            |warm| warm.remove("key"),
            Warm::clear,
        ];
        for change in changes {
            let warm = Warm::new(CAPACITY);
            let ticket = warm.ticket("key");
            change(&warm);
            warm.put_read("key", entry(1), &ticket);
            assert_ne!(warm.get("key"), Some(entry(1)));
        }
        let warm = Warm::new(CAPACITY);
        let (ticket, twin) = (warm.ticket("key"), warm.ticket("key"));
        warm.put_read("key", entry(1), &ticket);
        warm.put_read("key", entry(1), &twin);
        assert_eq!(warm.get("key"), Some(entry(1)));
        assert_eq!(bytes(&warm), size("key", &entry(1)));
    }
}
