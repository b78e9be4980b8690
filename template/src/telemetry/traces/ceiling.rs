//! How many requests are traced in a second, whatever a share of them would be and whatever callers ask for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counts in windows of one second that follow each other.
#[derive(Debug)]
pub(super) struct Ceiling {
    most: u32,
    start: Instant,
    /// The number of a second, and how many were admitted in it: half of the bits each.
    window: AtomicU64,
}

impl Ceiling {
    pub fn new(most: u32) -> Self {
        Self {
            most,
            start: Instant::now(),
            window: AtomicU64::new(0),
        }
    }

    pub fn admits(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.start).as_secs() << u32::BITS;
        let admitted = |window: u64| {
            // A request may be a little older than the one before it.
            let window = window.max(second);
            (window & u64::from(u32::MAX) < u64::from(self.most)).then_some(window + 1)
        };
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        self.window.fetch_update(set, get, admitted).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_are_admitted_in_a_second_and_no_more() {
        let ceiling = Ceiling::new(3);
        let after = |millis| ceiling.start + Duration::from_millis(millis);
        let admitted = |millis: &[u64]| {
            let admitted = millis.iter().filter(|at| ceiling.admits(after(**at)));
            admitted.count()
        };
        assert_eq!(admitted(&[0, 1, 999]), 3);
        assert_eq!(admitted(&[999]), 0);
        assert_eq!(admitted(&[1000, 999, 1500]), 3);
        assert_eq!(admitted(&[1999, 1000]), 0);
        assert_eq!(admitted(&[3_600_000]), 1);
    }
}
