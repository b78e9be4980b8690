//! The arithmetic of a quota: when one more is too much, and what is left.

use std::time::Duration;

use super::{Exceeded, Standing};

/// So many at once, and so many per time after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Nanoseconds in which one comes back.
    one: u64,
    burst: u32,
}

/// One was taken, or would be too much. In nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The quota is full again after that time.
    Granted {
        full_in: u64,
    },
    Refused {
        full_in: u64,
    },
}

impl Quota {
    /// `requests` at once, and as many again in every `window`. Of either the least is one.
    #[must_use]
    pub fn new(requests: u32, window: Duration) -> Self {
        let requests = requests.max(1);
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        Self {
            one: (window / u64::from(requests)).max(1),
            burst: requests,
        }
    }

    /// `most` at once instead.
    #[must_use]
    pub fn burst(self, most: u32) -> Self {
        Self {
            burst: most.max(1),
            ..self
        }
    }

    /// Nanoseconds in which one comes back, and in which a whole quota does.
    pub(super) fn terms(self) -> (u64, u64) {
        (self.one, self.one.saturating_mul(self.burst.into()))
    }

    /// Takes one from a quota that is used until `used_until`, which moves on.
    pub(super) fn take(self, used_until: &mut u64, now: u64) -> Taken {
        let (one, full) = self.terms();
        let full_in = used_until.saturating_sub(now);
        // More than a whole quota cannot be used: the clock was set back.
        let full_in = if full_in > full { 0 } else { full_in };
        if full_in.saturating_add(one) > full {
            return Taken::Refused { full_in };
        }
        let full_in = full_in + one;
        *used_until = now.saturating_add(full_in);
        Taken::Granted { full_in }
    }

    pub(super) fn judge(self, taken: Taken) -> Result<Standing, Exceeded> {
        let (one, full) = self.terms();
        let standing = |full_in: u64| Standing {
            limit: self.burst,
            remaining: u32::try_from((full - full_in.min(full)) / one).unwrap_or(u32::MAX),
            full_in: Duration::from_nanos(full_in),
        };
        match taken {
            Taken::Granted { full_in } => Ok(standing(full_in)),
            Taken::Refused { full_in } => Err(Exceeded {
                standing: standing(full_in),
                retry_after: Duration::from_nanos(full_in.saturating_add(one).saturating_sub(full)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_quotas_neither_overflow_nor_divide_by_zero() {
        for quota in [
            Quota::new(0, Duration::ZERO),
            Quota::new(u32::MAX, Duration::from_nanos(1)),
            Quota::new(1, Duration::MAX).burst(u32::MAX),
            Quota::new(1, Duration::from_secs(1)).burst(0),
        ] {
            let mut used_until = 0;
            let taken = quota.take(&mut used_until, u64::MAX / 2);
            assert!(quota.judge(taken).is_ok(), "{quota:?}");
        }
    }
}
