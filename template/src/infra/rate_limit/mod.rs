//! How often somebody may do something: a quota for each key, counted in memory that does not grow.{% capture body %}
//!
//! The rule is the generic cell rate algorithm: a quota fills up evenly, so nobody waits for the end of a window, and all
//! there is to remember of a key is until when its quota is used.

mod quota; //~{% if features contains "redis" %}
mod shared; //~{% endif %}
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter};

pub use self::quota::Quota;
use self::table::Table;
use crate::domain::clock::Clock; //~{% if features contains "redis" and features contains "otel" %}
use crate::telemetry::traces::spans; //~{% endif %}

/// Makes the limiters of a service.
#[derive(Clone)]
pub struct RateLimits {
    clock: Clock, //~{% if features contains "redis" %}
    /// The count of all instances.
    shared: Option<shared::Shared>, //~{% endif %}
}

impl RateLimits {
    /// Limiters that count what this instance sees.
    #[must_use]
    pub fn local(clock: Clock) -> Self {
        Self {
            // By which quotas fill up again.
            clock, //~{% if features contains "redis" %}
            // Each instance for itself.
            shared: None, //~{% endif %}
        }
    } //~{% if features contains "redis" %}

    /// Limiters that all instances with the same Redis share. Must be called on a runtime.
    ///
    /// # Errors
    /// If the URL is not one of Redis.
    pub fn shared(
        settings: &crate::infra::cache::RedisSettings,
        url: &crate::settings::Secret,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            shared: Some(shared::Shared::connect(settings, url, clock.clone())?),
            clock,
        })
    } //~{% endif %}

    /// One that gives every key `quota`. `name` is its label in the metrics, and what tells its keys from those of others.
    #[must_use]
    pub fn limiter(&self, name: &'static str, quota: Quota) -> RateLimiter {
        let refused = counter!("rate_limited_total", "scope" => name);
        // So that the first one is an increase.
        refused.increment(0); //~{% if features contains "redis" %}
        counter!("rate_limit_errors_total", "scope" => name).increment(0); //~{% endif %}
        RateLimiter(Arc::new(Inner {
            quota,
            clock: self.clock.clone(),
            table: Table::new(),
            refused, //~{% if features contains "redis" %}
            name,
            // Asked after the table.
            shared: self.shared.clone(), //~{% endif %}
        }))
    }
}

/// Counts what is done under one name. A cheap handle; clones share the count.
#[derive(Clone)]
pub struct RateLimiter(Arc<Inner>);

struct Inner {
    quota: Quota,
    clock: Clock,
    table: Table,
    refused: Counter, //~{% if features contains "redis" %}
    name: &'static str,
    /// The count of all instances.
    shared: Option<shared::Shared>, //~{% endif %}
}

/// Who is limited.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    Client(IpAddr),
    /// A user, an account, whatever has a name.
    Name(&'a str),
}

impl From<IpAddr> for Key<'_> {
    fn from(ip: IpAddr) -> Self {
        Self::Client(ip)
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl Key<'_> {
    /// Calls `use_it` with the bytes that tell this key from others. An IPv6 client is its /64: that is the least a network
    /// has, and all of it may be one machine.
    fn with_bytes<T>(&self, use_it: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Client(IpAddr::V4(ip)) => use_it(&ip.octets()),
            Self::Client(IpAddr::V6(ip)) => use_it(&ip.octets()[..8]),
            Self::Name(name) => use_it(name.as_bytes()),
        }
    }
}

/// What is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What a full quota allows at once.
    pub limit: u32,
    pub remaining: u32,
    /// How long until it is full again.
    pub full_in: Duration,
}

/// There is nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub standing: Standing,
    /// How long until it may be tried again.
    pub retry_after: Duration,
}

impl RateLimiter {
    /// Takes one from the quota of `key`, whether or not somebody waits for the answer.
    ///
    /// # Errors
    /// If it is used up. What is refused costs nothing.
    pub fn check<'a>(
        &'a self,
        key: impl Into<Key<'a>>,
    ) -> impl Future<Output = Result<Standing, Exceeded>> + Send {
        let key = key.into();
        let taken = self.take(key);
        async move {
            // What is refused is counted. //~{% if features contains "redis" %}
            let taken = self.ask_all(key, taken).await; //~{% endif %}
            if taken.is_err() {
                self.0.refused.increment(1);
            }
            taken
        }
    }

    fn take(&self, key: Key<'_>) -> Result<Standing, Exceeded> {
        let Inner {
            quota,
            clock,
            table,
            ..
        } = &*self.0;
        let now = clock.now_micros().max(0).unsigned_abs() * 1000;
        quota.judge(key.with_bytes(|key| table.take(key, *quota, now)))
    } //~{% if features contains "redis" %}

    /// What all instances say together, if this one agrees: whoever is too quick for one is not worth asking about.
    async fn ask_all(
        &self,
        key: Key<'_>,
        here: Result<Standing, Exceeded>,
    ) -> Result<Standing, Exceeded> {
        let Inner { quota, shared, .. } = &*self.0;
        let (Ok(_), Some(shared)) = (here, shared) else {
            return here;
        };
        let asked = shared.take(self.0.name, key, *quota); //~{% endif %}{% if features contains "redis" and features contains "otel" %}
        let asked = spans::within(spans::store("redis", "limit"), asked); //~{% endif %}{% if features contains "redis" %}
        match asked.await {
            Ok(taken) => quota.judge(taken),
            Err(shared::Silence) => here,
        }
    } //~{% endif %}
}

#[cfg(test)]
mod tests {
    use super::*;

    use chrono::DateTime;

    fn clock() -> Clock {
        Clock::fixed(DateTime::from_timestamp(1_767_323_045, 0).unwrap())
    }

    fn limiter(quota: Quota) -> (RateLimiter, Clock) {
        let clock = clock();
        let limits = RateLimits::local(clock.clone());
        (limits.limiter("test", quota), clock)
    }

    #[tokio::test]
    async fn a_quota_holds_at_its_limit_and_fills_up_evenly() {
        let (limiter, clock) = limiter(Quota::new(5, Duration::from_mins(15)));
        for remaining in (0..5).rev() {
            let standing = limiter.check("ada").await.unwrap();
            assert_eq!((standing.limit, standing.remaining), (5, remaining));
        }
        let refused = limiter.check("ada").await.unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_mins(3));
        assert_eq!(refused.standing.remaining, 0);
        assert_eq!(refused.standing.full_in, Duration::from_mins(15));
        assert!(
            limiter.check("bob").await.is_ok(),
            "everybody has their own"
        );

        clock.advance(Duration::from_mins(3) - Duration::from_micros(1));
        let refused = limiter.check("ada").await.unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_micros(1));
        clock.advance(Duration::from_micros(1));
        assert_eq!(limiter.check("ada").await.unwrap().remaining, 0);
        assert!(limiter.check("ada").await.is_err());
        clock.advance(Duration::from_hours(1));
        assert_eq!(limiter.check("ada").await.unwrap().remaining, 4);
    }

    #[tokio::test]
    async fn a_burst_is_more_than_the_rate_keeps_up() {
        let quota = Quota::new(10, Duration::from_secs(1)).burst(20);
        let (limiter, clock) = limiter(quota);
        let passed = async || {
            let mut passed = 0;
            while limiter.check("ada").await.is_ok() {
                passed += 1;
            }
            passed
        };
        assert_eq!(passed().await, 20);
        clock.advance(Duration::from_secs(1));
        assert_eq!(passed().await, 10);
    }

    #[tokio::test]
    async fn the_addresses_of_one_ipv6_network_share_a_quota() {
        let (limiter, _) = limiter(Quota::new(1, Duration::from_secs(1)));
        let check = async |ip: &str| limiter.check(ip.parse::<IpAddr>().unwrap()).await.is_ok();
        assert!(check("2001:db8:0:1::1").await);
        assert!(!check("2001:db8:0:1:ffff::2").await);
        assert!(check("2001:db8:0:2::1").await);
        assert!(check("192.0.2.1").await);
        assert!(check("192.0.2.2").await);
        assert!(!check("192.0.2.2").await);
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_keeps_nobody_out() {
        let earlier = clock();
        let later = Clock::fixed(earlier.now() + Duration::from_hours(24));
        let quota = Quota::new(1, Duration::from_secs(1));
        let limiter = RateLimits::local(later.clone()).limiter("test", quota);
        assert!(limiter.check("ada").await.is_ok());
        let now = |clock: &Clock| clock.now_micros().unsigned_abs() * 1000;
        let table = &limiter.0.table;
        let take = |clock| quota.judge(table.take(b"ada", quota, now(clock)));
        assert!(take(&later).is_err());
        assert!(take(&earlier).is_ok());
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
