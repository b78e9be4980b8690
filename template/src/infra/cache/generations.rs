//! Which tags were invalidated when, counted in generations instead of time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// A counter that every invalidation raises, and for each invalidated tag the count it got.
#[derive(Debug, Default)]
pub(super) struct Generations {
    current: AtomicU64,
    invalidated: RwLock<HashMap<String, u64>>,
}

impl Generations {
    /// Goes on where the disk tier left off.
    pub fn new(invalidated: HashMap<String, u64>) -> Self {
        let current = invalidated.values().copied().max().unwrap_or(0);
        Self {
            current: AtomicU64::new(current),
            invalidated: RwLock::new(invalidated),
        }
    }

    pub fn current(&self) -> u64 {
        self.current.load(Ordering::SeqCst)
    }

    /// Outdates what was born up to now and carries `tag`.
    pub fn invalidate(&self, tag: &str) -> u64 {
        let mut invalidated = self
            .invalidated
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Counted under the lock, so that a tag's generation never goes back.
        let generation = self.current.fetch_add(1, Ordering::SeqCst) + 1;
        invalidated.insert(tag.to_owned(), generation);
        generation
    }

    /// Whether one of `tags` was invalidated after generation `born`.
    pub fn is_outdated(&self, born: u64, tags: &[String]) -> bool {
        let invalidated = self
            .invalidated
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        tags.iter().any(|tag| {
            invalidated
                .get(tag)
                .is_some_and(|&generation| generation > born)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_born_before_and_carries_the_tag_is_outdated() {
        let generations = Generations::default();
        let tags = ["a".to_owned()];
        let before = generations.current();
        generations.invalidate("a");
        assert!(generations.is_outdated(before, &tags));
        assert!(!generations.is_outdated(before, &["b".to_owned()]));
        assert!(!generations.is_outdated(generations.current(), &tags));
    }

    #[test]
    fn counting_goes_on_after_a_restart() {
        let generations = Generations::new(HashMap::from([("a".to_owned(), 41)]));
        assert_eq!(generations.current(), 41);
        assert_eq!(generations.invalidate("b"), 42);
        assert!(generations.is_outdated(40, &["a".to_owned()]));
    }
}
