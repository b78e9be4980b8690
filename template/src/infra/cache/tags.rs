//! What makes entries invalid: tags, and the generation in which each was last invalidated.
//!
//! Time is counted in generations: a number that every invalidation raises. An entry notes the generation in which its
//! loading began, and is outdated once one of its tags was invalidated in a later one. An invalidation therefore costs
//! the same for one entry and for a hundred thousand, cannot miss one, and reaches a value that is still being loaded.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// A tag as it is stored: 64 bits of hash, the same on every node and in every build. Two tags that collide are
/// invalidated together, which costs a load and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct TagId(pub u64);

impl TagId {
    /// Carried by every entry of every namespace.
    pub const EVERYTHING: Self = Self(0);

    pub fn of_tag(tag: &str) -> Self {
        Self::of("tag", tag)
    }

    /// Every entry carries its own key.
    pub fn of_key(key: &str) -> Self {
        Self::of("key", key)
    }

    /// Every entry carries its namespace.
    pub fn of_namespace(name: &str) -> Self {
        Self::of("namespace", name)
    }

    fn of(kind: &str, name: &str) -> Self {
        Self(xxh3_64(format!("{kind}:{name}").as_bytes()))
    }
}

/// Uses an id, which is a hash already, as it is.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only ids are hashed, and they are numbers")
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

pub(super) type Invalidated = HashMap<TagId, u64, BuildHasherDefault<IdHasher>>;

/// How many invalidated tags are remembered: up to about 32 MiB.
pub(super) const MOST_TAGS: usize = 1 << 20;

/// The generation of now, and of every invalidation that may still concern an entry.
#[derive(Debug, Default)]
pub(super) struct Generations {
    current: AtomicU64,
    table: RwLock<Table>,
    /// Invalidations up to this generation may have been forgotten.
    forgotten: AtomicU64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    /// What was born before this is outdated, whatever it carries.
    pub floor: u64,
    /// The generation it was taken in: entries may be that young.
    pub last: u64,
    pub invalidated: Invalidated,
}

impl Generations {
    /// Goes on where an earlier run, or the fleet, is.
    pub fn resume(table: &Table) -> Self {
        let generations = Self::default();
        generations.merge(table);
        generations
    }

    /// The generation that loading begins in now.
    pub fn current(&self) -> u64 {
        self.current.load(Ordering::SeqCst)
    }

    /// Outdates what was born up to now and carries one of `tags`. The generation returned is the present one.
    pub fn invalidate(&self, tags: &[TagId]) -> u64 {
        let mut table = self.write();
        let generation = self.current() + 1;
        table.note(tags, generation);
        // Raised last: who sees the new generation sees the table that belongs to it.
        self.current.store(generation, Ordering::SeqCst);
        generation
    }

    /// Notes everything another table knows.
    pub fn merge(&self, other: &Table) {
        let mut table = self.write();
        let is_news = other.floor > table.floor || !other.invalidated.is_empty();
        table.floor = table.floor.max(other.floor);
        for (&tag, &generation) in &other.invalidated {
            table.note(&[tag], generation);
        }
        let noted = other.invalidated.values().copied().max().unwrap_or(0);
        // News raises it, so that every entry is checked again.
        let least = self.current() + u64::from(is_news);
        let next = least.max(noted).max(table.floor).max(other.last);
        self.current.store(next, Ordering::SeqCst);
    }

    /// Whether one of `tags` was invalidated after generation `born`.
    pub fn is_outdated(&self, born: u64, tags: &[TagId]) -> bool {
        let table = self.read();
        let is_later = |tag| table.invalidated.get(tag).is_some_and(|&at| at > born);
        born < table.floor || tags.iter().any(is_later)
    }

    /// Whether a value whose loading began in `born` may be kept.
    pub fn may_keep(&self, born: u64, tags: &[TagId]) -> bool {
        // Asked last, because it is raised first.
        !self.is_outdated(born, tags) && born >= self.forgotten()
    }

    /// Forgets the invalidations up to generation `until`, because nothing that they outdate is stored any more.
    pub fn forget(&self, until: u64) {
        let mut table = self.write();
        // First, so that nothing older is stored while the table shrinks.
        self.forgotten.fetch_max(until, Ordering::SeqCst);
        table.invalidated.retain(|_, &mut at| at > until);
    }

    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    pub fn table(&self) -> Table {
        let mut table = self.read().clone();
        table.last = self.current();
        table
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn note(&mut self, tags: &[TagId], generation: u64) {
        for &tag in tags {
            if tag == TagId::EVERYTHING {
                self.floor = self.floor.max(generation);
                self.invalidated.retain(|_, &mut at| at > generation);
                continue;
            }
            let at = self.invalidated.entry(tag).or_insert(generation);
            *at = generation.max(*at);
        }
        if self.invalidated.len() > MOST_TAGS {
            self.forget_older_half();
        }
    }

    /// Keeps the table small: the price is that every entry born before what is forgotten is outdated.
    fn forget_older_half(&mut self) {
        let mut generations: Vec<u64> = self.invalidated.values().copied().collect();
        let middle = generations.len() / 2;
        let (_, &mut median, _) = generations.select_nth_unstable(middle);
        self.floor = self.floor.max(median);
        self.invalidated.retain(|_, &mut at| at > median);
    }
}
