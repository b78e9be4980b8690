//! How long and under which names a value is kept: the settings, what a call says, and what a loader adds.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationError};

use super::entry::Expiry;
use super::memory;
use super::tags::TagId;
use super::time::NEVER;
use crate::settings::{a_share, limited, some_time};

/// `[cache]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the file"
)]
pub struct CacheSettings {
    /// How long an entry stays in memory before the second tier is asked again.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub l1_ttl: Duration,
    /// How long an entry is fresh.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub l2_ttl: Duration,
    /// How long it is remembered that something does not exist.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub negative_ttl: Duration,
    /// How long after its time an entry is still answered, while a new one is made.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub stale_for: Duration,
    /// Lifetimes vary by up to this share of themselves, so that what was stored together does not end together.
    #[validate(custom(function = a_share))]
    pub jitter: f64,
    /// Bytes of memory; absent: a quarter of what the machine or container has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l1_capacity: Option<ByteSize>,
    /// Bytes on disk.
    #[validate(custom(function = some_room))]
    pub l2_capacity: ByteSize,
    /// The folder of the second tier. Nothing in it is precious.
    pub dir: PathBuf,
    /// How often expired entries are removed.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub gc_interval: Duration,
    /// How long loading a value may take, and one node may keep others from loading it.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub lock_ttl: Duration,
    /// How long a refresh in the background may take.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub refresh_timeout: Duration,
    /// Whether the pages and values that components name are made at the start.
    pub warmup_enabled: bool,
    /// How many of them at the same time.
    #[validate(range(min = 1, message = "must be at least 1"))]
    pub warmup_concurrency: usize,
    /// Whether `/health/ready` waits until that is done.
    pub warmup_before_ready: bool,
    /// For emergencies: `false` asks no tier. Every value is loaded anew, and what was loaded is not kept.
    pub read_enabled: bool,
    /// For emergencies: `false` keeps entries although what they show has changed.
    pub delete_enabled: bool,
}

impl CacheSettings {
    /// The size of the first tier.
    pub(super) fn l1_bytes(&self) -> u64 {
        self.l1_capacity
            .map_or_else(memory::default_capacity, |size| size.as_u64())
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature validator asks for"
)]
fn some_room(size: &ByteSize) -> Result<(), ValidationError> {
    if *size >= ByteSize::mib(8) {
        return Ok(());
    }
    Err(ValidationError::new("size").with_message("must be at least 8MiB".into()))
}

/// What a call says about the value it asks for; what it leaves open is decided by the settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    ttl: Option<Ttl>,
    stale_for: Option<Duration>,
    negative_ttl: Option<Duration>,
    jitter: Option<f64>,
    tags: Vec<TagId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ttl {
    For(Duration),
    Forever,
}

impl Policy {
    /// Everything as in the settings.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ttl: None,
            stale_for: None,
            negative_ttl: None,
            jitter: None,
            tags: Vec::new(),
        }
    }

    /// How long the value is fresh.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(Ttl::For(ttl));
        self
    }

    /// Fresh until it is invalidated.
    #[must_use]
    pub const fn forever(mut self) -> Self {
        self.ttl = Some(Ttl::Forever);
        self
    }

    /// How long after that it is still answered while a new one is made; zero: not at all.
    #[must_use]
    pub const fn stale_for(mut self, window: Duration) -> Self {
        self.stale_for = Some(window);
        self
    }

    /// How long it is remembered that there is nothing.
    #[must_use]
    pub const fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = Some(ttl);
        self
    }

    /// The share of its lifetime, 0 to 1, by which that varies.
    #[must_use]
    pub const fn jitter(mut self, share: f64) -> Self {
        self.jitter = Some(share);
        self
    }

    /// Drops the entry when `tag` is invalidated.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(TagId::of_tag(tag));
        self
    }

    pub(super) fn tags(&self) -> &[TagId] {
        &self.tags
    }

    /// When a value stored at `now` goes stale and ends.
    pub(super) fn expiry(&self, now: i64, is_absent: bool, settings: &CacheSettings) -> Expiry {
        let default = Ttl::For(settings.l2_ttl);
        let ttl = match self.ttl.unwrap_or(default) {
            _ if is_absent => Ttl::For(self.negative_ttl.unwrap_or(settings.negative_ttl)),
            ttl => ttl,
        };
        let Ttl::For(ttl) = ttl else {
            return Expiry {
                stale_at: NEVER,
                ends_at: NEVER,
                is_absent,
            };
        };
        let share = self.jitter.unwrap_or(settings.jitter);
        let stale_at = now.saturating_add(micros(vary(ttl, share, fastrand::f64())));
        let window = if is_absent {
            Duration::ZERO
        } else {
            self.stale_for.unwrap_or(settings.stale_for)
        };
        Expiry {
            stale_at,
            ends_at: stale_at.saturating_add(micros(window)),
            is_absent,
        }
    }
}

/// `ttl` times a factor between `1 - share` and `1 + share`, its mean 1 when the mean of `random` (0 to 1) is a half.
fn vary(ttl: Duration, share: f64, random: f64) -> Duration {
    let factor = 1.0 + share.clamp(0.0, 1.0) * (2.0 * random - 1.0);
    Duration::try_from_secs_f64(ttl.as_secs_f64() * factor).unwrap_or(ttl)
}

/// Rounded up: nothing ends before its time.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(i64::MAX)
}

/// A freshly loaded value and what it was made of.
#[derive(Clone, Debug)]
pub struct Loaded<V> {
    pub(super) value: V,
    pub(super) tags: Vec<TagId>,
    pub(super) kept: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    AsAbsent,
    No,
}

impl<V> Loaded<V> {
    pub fn new(value: V) -> Self {
        Self {
            value,
            tags: Vec::new(),
            kept: Kept::Yes,
        }
    }

    /// A value that says that there is nothing. It is kept for the shorter time of such answers, and in memory only
    /// unless it replaces a stale value.
    pub fn absent(value: V) -> Self {
        Self {
            kept: Kept::AsAbsent,
            ..Self::new(value)
        }
    }

    /// A value for this caller alone: everybody else loads anew.
    pub fn not_kept(value: V) -> Self {
        Self {
            kept: Kept::No,
            ..Self::new(value)
        }
    }

    /// Drops the entry when `tag` is invalidated.
    #[must_use]
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        self.tags.push(TagId::of_tag(tag.as_ref()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_spread_evenly_around_the_lifetime() {
        let ttl = Duration::from_secs(100);
        assert_eq!(vary(ttl, 0.1, 0.0), Duration::from_secs(90));
        assert_eq!(vary(ttl, 0.1, 0.5), ttl);
        assert_eq!(vary(ttl, 0.0, 0.9), ttl);
        let mean = (0..=1000)
            .map(|step| vary(ttl, 0.1, f64::from(step) / 1000.0).as_secs_f64())
            .sum::<f64>()
            / 1001.0;
        assert!((mean - 100.0).abs() < 1e-6, "{mean}");
    }

    #[test]
    fn the_shortest_lifetime_is_not_rounded_away() {
        assert_eq!(micros(Duration::from_nanos(1)), 1);
        assert_eq!(micros(Duration::from_millis(1)), 1000);
        assert!(vary(Duration::from_micros(10), 0.5, 0.0) >= Duration::from_micros(5));
    }
}
