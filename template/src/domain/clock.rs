//! The time, as an input: production reads the system clock, tests set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SubsecRound, Utc};

/// A source of UTC time in whole microseconds, the finest step PostgreSQL stores.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    fixed_micros: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until [`advance`](Self::advance) is called; clones share it.
    #[must_use]
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self {
            fixed_micros: Some(Arc::new(AtomicI64::new(at.timestamp_micros()))),
        }
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.fixed_micros {
            Some(micros) => {
                DateTime::from_timestamp_micros(micros.load(Ordering::Relaxed)).unwrap_or_default()
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "this is the one place that asks the system"
            )]
            None => Utc::now().trunc_subsecs(6),
        }
    }

    /// The same, in microseconds since the Unix epoch: quicker to get.
    #[must_use]
    pub fn now_micros(&self) -> i64 {
        if let Some(micros) = &self.fixed_micros {
            return micros.load(Ordering::Relaxed);
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
    }

    /// Whether the time stands still until it is told to go on.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.fixed_micros.is_some()
    }

    /// Moves a fixed clock forward; the system's clock moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Some(micros) = &self.fixed_micros {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Moves a fixed clock back, as a machine's is set when it was fast.
    pub fn turn_back(&self, by: Duration) {
        if let Some(micros) = &self.fixed_micros {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_sub(by, Ordering::Relaxed);
        }
    }
}
