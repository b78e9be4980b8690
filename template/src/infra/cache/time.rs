//! The time as the cache reads it: microseconds since the Unix epoch, and a cheap answer to "is it later than".

use crate::domain::clock::Clock;

/// How far the coarse clock may be behind the real one: several ticks of the slowest kernel.
const COARSE_ERROR: i64 = 50_000;

/// Never.
pub(super) const NEVER: i64 = i64::MAX;

#[derive(Clone, Debug)]
pub(super) struct Time(Clock);

impl Time {
    pub fn new(clock: Clock) -> Self {
        Self(clock)
    }

    pub fn now(&self) -> i64 {
        self.0.now_micros()
    }

    /// Whether `deadline` is still ahead. The kernel's coarse clock is read in a few nanoseconds; the exact one is asked only
    /// when it is near.
    pub fn is_before(&self, deadline: i64) -> bool {
        if !self.0.is_fixed()
            && coarse_now().is_some_and(|now| now < deadline.saturating_sub(COARSE_ERROR))
        {
            return true;
        }
        self.now() < deadline
    }
}

#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "not every system has one")]
fn coarse_now() -> Option<i64> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::RealtimeCoarse);
    Some(time.tv_sec * 1_000_000 + time.tv_nsec / 1000)
}

#[cfg(not(target_os = "linux"))]
fn coarse_now() -> Option<i64> {
    None
}
