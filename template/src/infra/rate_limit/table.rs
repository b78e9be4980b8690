//! Where the use of quotas is noted: a table of one size, in which those who have used least make room for others.

use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use foldhash::quality::RandomState;

use super::quota::{Quota, Taken};

/// Keys that are remembered: `SETS` × `WAYS`, in about a megabyte.
const SETS: usize = 8192;
const WAYS: usize = 8;

/// A key has its place in one of the sets. The hash is another in every process, so nobody can aim at a set.
pub(super) struct Table {
    sets: Box<[Mutex<[Slot; WAYS]>]>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u64,
    used_until: u64,
}

impl Table {
    pub fn new() -> Self {
        let sets = std::iter::repeat_with(Mutex::default).take(SETS);
        Self {
            sets: sets.collect(),
            hasher: RandomState::default(),
        }
    }

    /// Takes one from the quota of `key`. Where there is no place, the key that has used least of its own is forgotten: that
    /// is another of the crowd, and not the one that the quota is there for.
    pub fn take(&self, key: &[u8], quota: Quota, now: u64) -> Taken {
        let hash = self.hasher.hash_one(key);
        // The remainder is smaller than the number of sets.
        let set = &self.sets[usize::try_from(hash % SETS as u64).unwrap_or_default()];
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|slot| slot.hash == hash);
        let place = known.unwrap_or_else(|| least_used(&set));
        let slot = &mut set[place];
        if slot.hash != hash {
            *slot = Slot {
                hash,
                used_until: 0,
            };
        }
        quota.take(&mut slot.used_until, now)
    }
}

fn least_used(set: &[Slot; WAYS]) -> usize {
    let slots = set.iter().enumerate();
    let least = slots.min_by_key(|(_, slot)| slot.used_until);
    least.map_or(0, |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_million_keys_neither_grow_the_table_nor_free_the_one_that_asks_most() {
        const NOW: u64 = 1_767_323_045_000_000_000;
        let table = Table::new();
        let quota = Quota::new(5, Duration::from_mins(15));
        let take = |key: &[u8]| table.take(key, quota, NOW);
        for _ in 0..5 {
            assert!(matches!(take(b"the one"), Taken::Granted { .. }));
        }
        let sprayed = allocation_counter::measure(|| {
            for key in 0..1_000_000_u32 {
                let key = table.take(&key.to_le_bytes(), quota, NOW);
                assert!(matches!(key, Taken::Granted { .. }));
            }
        });
        assert_eq!(sprayed.count_total, 0);
        assert!(matches!(take(b"the one"), Taken::Refused { .. }));
    }
}
