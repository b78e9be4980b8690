//! How often somebody may try: so many times in a window for each key, and no memory of more keys than fit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::clock::Clock;

/// Keys that are remembered. When there are more, those whose window is over are forgotten, and then the rest.
const MOST_KEYS: usize = 100_000;

/// A cheap handle.
#[derive(Clone)]
pub struct AttemptLimiter {
    seen: Arc<Mutex<HashMap<String, Window>>>,
    most: u32,
    window: Duration,
    clock: Clock,
}

struct Window {
    started: DateTime<Utc>,
    attempts: u32,
}

impl AttemptLimiter {
    /// `most` attempts in each `window`, which begins with the first.
    pub fn new(most: u32, window: Duration, clock: Clock) -> Self {
        Self {
            seen: Arc::default(),
            most,
            window,
            clock,
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn check(&self, key: &str) -> Result<(), Duration> {
        let now = self.clock.now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_KEYS && !seen.contains_key(key) {
            seen.retain(|_, window| self.left(window, now).is_some());
            if seen.len() >= MOST_KEYS {
                seen.clear();
            }
        }
        let window = seen.entry(key.to_owned()).or_insert(Window {
            started: now,
            attempts: 0,
        });
        let Some(left) = self.left(window, now) else {
            *window = Window {
                started: now,
                attempts: 1,
            };
            return Ok(());
        };
        if window.attempts >= self.most {
            return Err(left);
        }
        window.attempts += 1;
        Ok(())
    }

    /// The rest of the window; `None` if it is over.
    fn left(&self, window: &Window, now: DateTime<Utc>) -> Option<Duration> {
        let past = (now - window.started)
            .max(TimeDelta::zero())
            .to_std()
            .unwrap_or_default();
        self.window.checked_sub(past).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> (AttemptLimiter, Clock) {
        let clock = Clock::fixed(DateTime::from_timestamp(0, 0).unwrap());
        let limiter = AttemptLimiter::new(2, Duration::from_mins(15), clock.clone());
        (limiter, clock)
    }

    #[test]
    fn each_key_has_its_attempts_and_gets_them_back_when_the_window_is_over() {
        let (limiter, clock) = limiter();
        assert!(limiter.check("a").is_ok());
        clock.advance(Duration::from_mins(5));
        assert!(limiter.check("a").is_ok());
        assert_eq!(limiter.check("a"), Err(Duration::from_mins(10)));
        assert!(limiter.check("b").is_ok());
        clock.advance(Duration::from_mins(10) - Duration::from_micros(1));
        assert_eq!(limiter.check("a"), Err(Duration::from_micros(1)));
        clock.advance(Duration::from_micros(1));
        assert!(limiter.check("a").is_ok());
    }

    #[test]
    fn a_spray_of_keys_takes_bounded_memory() {
        let (limiter, _) = limiter();
        for key in 0..MOST_KEYS + 10 {
            assert!(limiter.check(&key.to_string()).is_ok());
        }
        assert!(limiter.seen.lock().unwrap().len() <= MOST_KEYS);
    }
}
