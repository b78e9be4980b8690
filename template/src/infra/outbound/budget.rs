//! How many retries all calls together may make, so that retries cannot become the load that keeps others down.

use std::sync::atomic::{AtomicU32, Ordering};

/// A retry costs what ten calls have paid in.
const COST: u32 = 10;

/// What is saved at most, and there at the start: ten retries.
const MOST: u32 = 100;

pub(super) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(MOST))
    }
}

impl Budget {
    /// A call is made.
    pub fn deposit(&self) {
        let more = |saved: u32| (saved < MOST).then_some(saved + 1);
        let _ = self
            .0
            .try_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Whether a retry is paid for.
    pub fn withdraw(&self) -> bool {
        let less = |saved: u32| saved.checked_sub(COST);
        self.0
            .try_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_everything_fails_one_call_in_ten_is_repeated() {
        let budget = Budget::default();
        let at_first = std::iter::repeat_with(|| budget.withdraw()).take_while(|paid| *paid);
        assert_eq!(at_first.count(), 10);
        let calls = (0..1000).map(|_| {
            budget.deposit();
            budget.withdraw()
        });
        assert_eq!(calls.filter(|paid| *paid).count(), 100);
    }
}
