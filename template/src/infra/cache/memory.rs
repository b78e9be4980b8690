//! The first tier: decoded values in memory, bounded in bytes.
//!
//! mini-moka owns the entries and decides who stays; a lock-free map beside it answers. The map only refers to entries, so
//! what mini-moka drops is gone at once and takes its reference out of the map. mini-moka hears of the first hits of an entry
//! and of a sample of the later ones, from which it learns what is asked for most. So a hit costs a look into the map,
//! and what mini-moka costs is paid by misses.

use std::any::Any;
use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use foldhash::fast::RandomState;
use mini_moka::sync::{Cache as MiniMoka, ConcurrentCacheExt};

use super::entry::Header;
use super::flight::Flights;
use super::tags::IdHasher;

/// What an entry costs besides its key, tags and value: its header and the nodes of both maps, measured.
const OVERHEAD: usize = 672;

/// Hits of an entry that are all reported; mini-moka counts to fifteen.
const FIRST_HITS: u32 = 8;

/// After them, about one in so many.
const SAMPLE: u32 = 32;

/// The share of the free memory that is taken when no size is set.
const DEFAULT_SHARE: u64 = 4;

/// However little memory there is: below that nothing would stay long enough to be of use.
const LEAST_CAPACITY: u64 = 16 * 1024 * 1024;

/// For a machine that does not tell how much memory it has.
const FALLBACK_CAPACITY: u64 = 64 * 1024 * 1024;

/// A value in memory.
#[derive(Debug)]
pub(super) struct Entry<V> {
    hits: AtomicU32,
    /// The generation in which the tags were last looked at.
    checked: AtomicU64,
    /// Until then a hit needs no further thought.
    pub fresh_until: i64,
    /// When it leaves this tier.
    pub leaves_at: i64,
    /// No refresh before, because the last one failed.
    pub refresh_after: AtomicI64,
    id: u64,
    pub key: Box<str>,
    pub header: Header,
    pub value: V,
}

impl<V> Entry<V> {
    /// `checked` is the generation in which the tags of `header` were known not to be invalidated.
    pub fn new(key: &str, header: Header, leaves_at: i64, checked: u64, value: V) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let leaves_at = leaves_at.min(header.expiry.ends_at);
        Self {
            hits: AtomicU32::new(0),
            checked: AtomicU64::new(checked),
            fresh_until: leaves_at.min(header.expiry.stale_at),
            leaves_at,
            refresh_after: AtomicI64::new(0),
            id: IDS.fetch_add(1, Ordering::Relaxed),
            key: key.into(),
            header,
            value,
        }
    }

    /// The generation in which the tags were last looked at.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    pub fn is_checked(&self, generation: u64) -> bool {
        self.checked() == generation
    }

    pub fn set_checked(&self, generation: u64) {
        self.checked.store(generation, Ordering::Relaxed);
    }

    /// Whether mini-moka is to hear of this hit. Later ones are written down nowhere: threads would wait for each other.
    fn count_hit(&self) -> bool {
        let hits = self.hits.load(Ordering::Relaxed);
        if hits < FIRST_HITS {
            self.hits.store(hits + 1, Ordering::Relaxed);
            return true;
        }
        fastrand::u32(..SAMPLE) == 0
    }
}

/// What mini-moka knows an entry by. It learns how often a place is asked for; whatever stands there, each entry is
/// another one to it, because it miscounts the bytes of entries that are replaced while it decides about them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Resident {
    place: u64,
    id: u64,
}

impl Hash for Resident {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.place);
    }
}

/// The entries of all namespaces, and the bound on their bytes.
pub(super) struct Memory {
    residents: MiniMoka<Resident, Arc<Ticket>, BuildHasherDefault<IdHasher>>,
    /// Held by whoever changes the residents: mini-moka miscounts what comes and goes at the same time, too.
    writing: Mutex<()>,
    capacity: u64,
    bytes: Arc<AtomicU64>,
    shelves: Mutex<HashMap<&'static str, Arc<dyn AnyShelf>>>,
}

impl Memory {
    /// Holds at most `capacity` bytes.
    pub fn new(capacity: u64) -> Self {
        let residents = MiniMoka::builder()
            .max_capacity(capacity)
            .weigher(|_, ticket: &Arc<Ticket>| ticket.bytes)
            .build_with_hasher(BuildHasherDefault::default());
        Self {
            residents,
            writing: Mutex::default(),
            capacity,
            bytes: Arc::default(),
            shelves: Mutex::default(),
        }
    }

    /// The shelf called `name`.
    ///
    /// # Panics
    /// If there is one for values of another type.
    pub fn shelf<V: Send + Sync + 'static>(&self, name: &'static str) -> Arc<Shelf<V>> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let found = shelves
            .entry(name)
            .or_insert_with(|| Arc::new(Shelf::<V>::new(name)));
        let found: Arc<dyn Any + Send + Sync> = Arc::<dyn AnyShelf>::clone(found);
        found
            .downcast()
            .unwrap_or_else(|_| panic!("the cache namespace {name} holds values of another type"))
    }

    /// Puts `entry` on its shelf, for as long as mini-moka lets it stay.
    pub fn insert<V: Send + Sync + 'static>(
        &self,
        its: &Arc<Shelf<V>>,
        entry: &Arc<Entry<V>>,
        bytes: usize,
    ) {
        let place = its.place(&entry.key);
        let bytes = bytes
            .saturating_add(entry.key.len() + size_of_val(&*entry.header.tags))
            .saturating_add(OVERHEAD);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes.fetch_add(u64::from(bytes), Ordering::Relaxed);
        let ticket = Ticket {
            shelf: Arc::downgrade(its) as Weak<dyn AnyShelf>,
            place,
            id: entry.id,
            bytes,
            total: Arc::clone(&self.bytes),
            _entry: Arc::clone(entry) as Arc<dyn Any + Send + Sync>,
        };
        let reference = Reference {
            id: entry.id,
            entry: Arc::downgrade(entry),
        };
        let resident = Resident {
            place,
            id: entry.id,
        };
        let _writing = self.writing();
        let former = its.put(place, reference);
        if let Some(id) = former {
            self.residents.invalidate(&Resident { place, id });
        }
        self.residents.insert(resident, Arc::new(ticket));
        // It decides in batches; the bound on bytes does not wait for them.
        self.residents.sync();
    }

    /// Somebody found `entry` at `place`.
    pub fn count_hit<V>(&self, place: u64, entry: &Entry<V>) {
        if entry.count_hit() {
            self.residents.get(&Resident {
                place,
                id: entry.id,
            });
        }
    }

    /// Somebody found nothing at `place`.
    pub fn count_miss(&self, place: u64) {
        self.residents.get(&Resident { place, id: 0 });
    }

    pub fn remove<V: Send + Sync + 'static>(&self, its: &Shelf<V>, entry: &Entry<V>) {
        let place = its.place(&entry.key);
        let id = entry.id;
        its.take(place, id);
        let _writing = self.writing();
        self.residents.invalidate(&Resident { place, id });
        self.residents.sync();
    }

    /// Removes what fails `keep`, which looks at tags as they are in `generation`, and is told in which they were last
    /// looked at.
    pub fn retain(&self, generation: u64, keep: &dyn Fn(&Header, u64) -> bool) {
        for shelf in self.all_shelves() {
            for resident in shelf.retain(generation, keep) {
                let _writing = self.writing();
                self.residents.invalidate(&resident);
            }
        }
        self.residents.sync();
    }

    pub fn clear(&self) {
        self.retain(0, &|_, _| false);
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_shelves(&self) -> Vec<Arc<dyn AnyShelf>> {
        let shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        shelves.values().cloned().collect()
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Entries and bytes held now.
    pub fn usage(&self) -> (u64, u64) {
        self.residents.sync();
        let entries = self.all_shelves().iter().map(|shelf| shelf.len()).sum();
        (entries, self.bytes.load(Ordering::Relaxed))
    }
}

/// The entries of one namespace, by the hash of their key.
pub(super) struct Shelf<V> {
    name: &'static str,
    flights: Arc<Flights>,
    hasher: RandomState,
    entries: papaya::HashMap<u64, Reference<V>, BuildHasherDefault<IdHasher>>,
}

struct Reference<V> {
    id: u64,
    entry: Weak<Entry<V>>,
}

impl<V> Shelf<V> {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            flights: Arc::default(),
            hasher: RandomState::default(),
            entries: papaya::HashMap::default(),
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The values that are on their way to this shelf.
    pub fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    /// Where `key` stands, here and at mini-moka. Two keys in one place drive each other out.
    pub fn place(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    pub fn get(&self, place: u64, key: &str) -> Option<Arc<Entry<V>>> {
        let entries = self.entries.pin();
        let entry = entries.get(&place)?.entry.upgrade()?;
        (*entry.key == *key).then_some(entry)
    }

    /// Returns what stood there.
    fn put(&self, place: u64, reference: Reference<V>) -> Option<u64> {
        let entries = self.entries.pin();
        entries.insert(place, reference).map(|former| former.id)
    }

    fn take(&self, place: u64, id: u64) -> bool {
        let entries = self.entries.pin();
        let taken = entries.remove_if(&place, |_, reference| reference.id == id);
        matches!(taken, Ok(Some(_)))
    }
}

/// What memory does with a shelf whatever is on it.
trait AnyShelf: Any + Send + Sync {
    fn take(&self, place: u64, id: u64) -> bool;
    /// Removes what fails `keep`, and says what it was.
    fn retain(&self, generation: u64, keep: &dyn Fn(&Header, u64) -> bool) -> Vec<Resident>;
    fn len(&self) -> u64;
}

impl<V: Send + Sync + 'static> AnyShelf for Shelf<V> {
    fn take(&self, place: u64, id: u64) -> bool {
        self.take(place, id)
    }

    fn retain(&self, generation: u64, keep: &dyn Fn(&Header, u64) -> bool) -> Vec<Resident> {
        let mut removed = Vec::new();
        self.entries.pin().retain(|&place, reference| {
            let entry = reference.entry.upgrade();
            let entry = entry.filter(|entry| keep(&entry.header, entry.checked()));
            let stays = entry.is_some();
            if let Some(entry) = entry {
                entry.set_checked(generation);
            } else {
                removed.push(Resident {
                    place,
                    id: reference.id,
                });
            }
            stays
        });
        removed
    }

    fn len(&self) -> u64 {
        self.entries.len() as u64
    }
}

/// What mini-moka owns: an entry. Dropped, it takes the entry off its shelf.
struct Ticket {
    shelf: Weak<dyn AnyShelf>,
    place: u64,
    id: u64,
    bytes: u32,
    total: Arc<AtomicU64>,
    _entry: Arc<dyn Any + Send + Sync>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.total
            .fetch_sub(u64::from(self.bytes), Ordering::Relaxed);
        // Still there: nobody but mini-moka wanted it to go.
        let its = self.shelf.upgrade();
        if its.is_some_and(|shelf| shelf.take(self.place, self.id)) {
            metrics::counter!("cache_evictions_total", "tier" => "l1").increment(1);
        }
    }
}

/// A quarter of the memory that the container or the machine still has.
pub(super) fn default_capacity() -> u64 {
    let left = [container_memory_left(), machine_memory_left()]
        .into_iter()
        .flatten()
        .min();
    left.map_or(FALLBACK_CAPACITY, |left| {
        (left / DEFAULT_SHARE).max(LEAST_CAPACITY)
    })
}

/// What the limits of this process's control group and of those around it leave (cgroup v2, then v1), in bytes.
fn container_memory_left() -> Option<u64> {
    let root = Path::new("/sys/fs/cgroup");
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let unified = Path::new(own.unwrap_or_default())
        .ancestors()
        .filter_map(|group| left_in(&root.join(group), "memory.max", "memory.current"));
    let legacy = root.join("memory");
    let legacy = left_in(&legacy, "memory.limit_in_bytes", "memory.usage_in_bytes");
    unified.chain(legacy).min()
}

fn left_in(group: &Path, limit: &str, used: &str) -> Option<u64> {
    let number = |name| {
        let text = fs::read_to_string(group.join(name)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let (limit, used) = (number(limit)?, number(used)?);
    // Files in memory that the kernel drops as soon as somebody needs the room.
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let files = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "))
        .and_then(|bytes| bytes.parse().ok());
    Some(limit.saturating_sub(used.saturating_sub(files.unwrap_or(0))))
}

/// `MemAvailable` of Linux, in bytes.
fn machine_memory_left() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::infra::cache::entry::Expiry;
    use crate::infra::cache::time::NEVER;

    fn entry(key: u64) -> Arc<Entry<u64>> {
        let expiry = Expiry {
            stale_at: NEVER,
            ends_at: NEVER,
            is_absent: false,
        };
        let header = Header {
            born: 0,
            stored_at: 0,
            expiry,
            tags: Box::default(),
        };
        Arc::new(Entry::new(&key.to_string(), header, NEVER, 0, key))
    }

    #[test]
    fn what_a_control_group_leaves_is_its_limit_without_what_is_really_used() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        let left = || left_in(group.path(), "memory.max", "memory.current");
        assert_eq!(left(), None, "there is no limit");
        write("memory.current", "600\n");
        write("memory.max", "max\n");
        assert_eq!(left(), None, "there is none either");
        write("memory.max", "1000\n");
        assert_eq!(left(), Some(400));
        write(
            "memory.stat",
            "anon 300\ninactive_file 250\nactive_file 50\n",
        );
        assert_eq!(left(), Some(650));
        write("memory.current", "1300\n");
        assert_eq!(left(), Some(0), "more is used than there should be");
    }

    /// Asks for a few keys again and again, inserts them if they are not there, and now and then removes or replaces one.
    fn come_and_go(memory: &Memory, shelf: &Arc<Shelf<u64>>, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..20_000 {
            let entry = entry(random.u64(..400));
            let place = shelf.place(&entry.key);
            let bytes = random.usize(..20_000);
            match (shelf.get(place, &entry.key), random.u8(..10)) {
                (Some(found), 0) => memory.remove(shelf, &found),
                (Some(_), 1..5) => memory.insert(shelf, &entry, bytes),
                (Some(found), _) => memory.count_hit(place, &found),
                (None, _) => {
                    memory.count_miss(place);
                    memory.insert(shelf, &entry, bytes);
                }
            }
        }
    }

    #[test]
    fn however_much_comes_and_goes_at_the_same_time_every_byte_is_counted_and_all_room_is_used() {
        let memory = Memory::new(1 << 20);
        let shelf = memory.shelf("numbers");
        thread::scope(|scope| {
            for seed in 0..4 {
                let (memory, shelf) = (&memory, &shelf);
                scope.spawn(move || come_and_go(memory, shelf, seed));
            }
        });
        let (entries, bytes) = memory.usage();
        assert_eq!(memory.residents.weighted_size(), bytes);
        assert_eq!(memory.residents.entry_count(), entries);
        assert!(bytes <= 1 << 20 && bytes > (1 << 20) / 10 * 9, "{bytes}");
        memory.clear();
        assert_eq!(memory.usage(), (0, 0));
    }
}
