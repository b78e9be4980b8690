//! The second tier: what a store behind the memory has to offer.{% capture body %}

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;

use super::Usage;
use super::entry::Header;
use super::tags::TagId;
use crate::domain::clock::Clock;
use crate::infra::resilience::{Breaker, BreakerSettings, BreakerState}; //~{% if features contains "otel" %}
use crate::telemetry::traces::spans; //~{% endif %}

/// A store of encoded entries that outlives the memory of this process. Every call may fail, and no failure reaches
/// whoever asked for a value.
#[async_trait]
pub(super) trait SecondTier: Send + Sync + 'static {
    /// For logs, for example `disk`.
    fn name(&self) -> &'static str;

    /// Whether it can be asked at all now.
    fn is_ready(&self) -> bool {
        true
    }

    /// Fails when it takes longer than somebody waits for a page: the value is loaded instead.
    async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>>;

    /// Stores an entry for `ttl`, or for ever. One that was born later stays. With a lease, only if it is still held; the lease
    /// ends here.
    async fn set(
        &self,
        key: &str,
        entry: Bytes,
        ttl: Option<Duration>,
        lease: Option<Lease>,
    ) -> anyhow::Result<()>;

    /// Decides which node loads `key`: this one, or another whose value is waited for. `is_good` judges an entry that appears.
    async fn lead(&self, _key: &str, _is_good: Judge<'_>) -> anyhow::Result<Lead> {
        Ok(Lead::default())
    }

    /// Gives up a lease without a value.
    async fn release(&self, _key: &str, _lease: Lease) -> anyhow::Result<()> {
        Ok(())
    }

    /// Tells the other nodes that `tags` were invalidated. What cannot be told now is told later.
    async fn announce(&self, _tags: &[TagId]) -> anyhow::Result<()> {
        Ok(())
    }

    /// Removes every entry.
    async fn clear(&self) -> anyhow::Result<()>;

    /// Removes what fails `keep`, and gives its space back. Says whether all of it is gone.
    async fn sweep(&self, _keep: Keep) -> anyhow::Result<bool> {
        Ok(false)
    }

    /// What it holds, where that is known without asking.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// Writes and tells what is still in memory, and lets go of everything.
    async fn close(&self) -> anyhow::Result<()>;
}

/// Whether an encoded entry may be answered.
pub(super) type Judge<'a> = &'a (dyn Fn(&[u8]) -> bool + Send + Sync);

/// Whether an entry is to stay, by its key and header.
pub(super) type Keep = Box<dyn Fn(&str, &Header) -> bool + Send + Sync>;

/// What to do about a key that no tier has: load it, unless another node has done so.
#[derive(Default)]
pub(super) struct Lead {
    /// What the other node has made.
    pub entry: Option<Bytes>,
    /// This node's right to be the only one that loads.
    pub lease: Option<Lease>,
}

/// The right of one node to load one key, renewed until it is dropped.
pub(super) struct Lease {
    /// Nobody else's: it makes the store refuse a holder whose lease has run out.
    pub token: String,
    #[expect(dead_code, reason = "held for its Drop")]
    pub renewal: AbortOnDropHandle<()>,
}

/// A second tier behind a circuit breaker. Its failures are counted and logged, and end here.
pub(super) struct Second {
    tier: Box<dyn SecondTier>,
    breaker: Breaker,
}

impl Second {
    pub fn new(tier: Box<dyn SecondTier>, clock: Clock) -> Self {
        Self {
            tier,
            breaker: Breaker::new("cache_l2", BreakerSettings::default(), clock),
        }
    }

    pub fn name(&self) -> &'static str {
        self.tier.name()
    }

    pub fn is_ready(&self) -> bool {
        self.tier.is_ready()
    }

    /// Why it is not used now, unless it is.
    pub fn trouble(&self) -> Option<&'static str> {
        if !self.is_ready() {
            return Some("not connected");
        }
        (self.breaker.state() != BreakerState::Closed).then_some("its circuit breaker is open")
    }

    pub fn usage(&self) -> Option<Usage> {
        self.tier.usage()
    }

    /// Asks for something if nobody has lately, because the breaker is open: without it, a tier that works again would stay
    /// unused while memory answers everything.
    pub async fn try_again(&self) {
        if self.breaker.state() != BreakerState::Closed {
            self.get("").await;
        }
    }

    pub async fn get(&self, key: &str) -> Option<Bytes> {
        self.guard("get", self.tier.get(key)).await?
    }

    /// Says whether the tier has taken it.
    pub async fn set(
        &self,
        key: &str,
        entry: Bytes,
        ttl: Option<Duration>,
        lease: Option<Lease>,
    ) -> bool {
        let set = self.guard("set", self.tier.set(key, entry, ttl, lease));
        set.await.is_some()
    }

    pub async fn lead(&self, key: &str, is_good: Judge<'_>) -> Lead {
        // It may wait for another node: too long to find out whether a broken tier works again.
        if self.breaker.state() != BreakerState::Closed {
            return Lead::default();
        }
        let lead = self.guard("lead", self.tier.lead(key, is_good)).await;
        lead.unwrap_or_default()
    }

    pub async fn release(&self, key: &str, lease: Lease) {
        tracing::debug!(key, token = lease.token, "gives up the right to load");
        self.guard("release", self.tier.release(key, lease)).await;
    }

    /// Past the breaker: the tier itself keeps what it could not tell.
    pub async fn announce(&self, tags: &[TagId]) {
        if let Err(error) = self.tier.announce(tags).await {
            report("announce", &error);
        }
    }

    pub async fn clear(&self) {
        self.guard("clear", self.tier.clear()).await;
    }

    pub async fn sweep(&self, keep: Keep) -> bool {
        self.guard("sweep", self.tier.sweep(keep)).await == Some(true)
    }

    pub async fn close(&self) {
        if let Err(error) = self.tier.close().await {
            report("close", &error);
        }
    }

    async fn guard<T>(
        &self,
        op: &'static str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> Option<T> {
        // Not a failure: there was nobody to ask.
        if !self.tier.is_ready() {
            return None;
        }
        let permit = self.breaker.admit()?; //~{% if features contains "otel" %}
        let work = spans::within(spans::store(self.tier.name(), op), work); //~{% endif %}
        match work.await {
            Ok(value) => {
                permit.succeed();
                Some(value)
            }
            Err(error) => {
                permit.fail();
                report(op, &error);
                None
            }
        }
    }
}

fn report(op: &'static str, error: &anyhow::Error) {
    metrics::counter!("cache_errors_total", "tier" => "l2", "op" => op).increment(1);
    tracing::warn!(
        error = format!("{error:#}"),
        op,
        "the second tier of the cache failed"
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use chrono::DateTime;

    use super::*;

    /// Fails at everything, connected or not.
    #[derive(Default)]
    struct Broken {
        is_connected: Arc<AtomicBool>,
    }

    #[async_trait]
    impl SecondTier for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }

        fn is_ready(&self) -> bool {
            self.is_connected.load(Ordering::SeqCst)
        }

        async fn get(&self, _: &str) -> anyhow::Result<Option<Bytes>> {
            anyhow::bail!("broken")
        }

        async fn set(
            &self,
            _: &str,
            _: Bytes,
            _: Option<Duration>,
            _: Option<Lease>,
        ) -> anyhow::Result<()> {
            anyhow::bail!("broken")
        }

        async fn clear(&self) -> anyhow::Result<()> {
            anyhow::bail!("broken")
        }

        async fn close(&self) -> anyhow::Result<()> {
            anyhow::bail!("broken")
        }
    }

    #[tokio::test]
    async fn a_tier_that_does_not_work_says_why() {
        let broken = Broken::default();
        let is_connected = Arc::clone(&broken.is_connected);
        let second = Second::new(Box::new(broken), Clock::fixed(DateTime::UNIX_EPOCH));
        assert_eq!(second.trouble(), Some("not connected"));
        is_connected.store(true, Ordering::SeqCst);
        assert_eq!(second.trouble(), None);
        for _ in 0..BreakerSettings::default().failures {
            assert_eq!(second.trouble(), None);
            assert!(second.get("key").await.is_none());
        }
        assert_eq!(second.trouble(), Some("its circuit breaker is open"));
        is_connected.store(false, Ordering::SeqCst);
        assert_eq!(second.trouble(), Some("not connected"));
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
