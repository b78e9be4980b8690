//! The second tier: what a store behind the memory has to offer.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;

use super::entry::Header;
use super::tags::TagId;

/// A store of encoded entries that outlives the memory of this process. Every call may fail, and no failure reaches
/// whoever asked for a value.
#[async_trait]
pub(super) trait SecondTier: Send + Sync + 'static {
    /// For logs: `disk`, `redis`.
    fn name(&self) -> &'static str;

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

    async fn remove(&self, key: &str) -> anyhow::Result<()>;

    /// Decides which node loads `key`: this one, or another whose value is waited for. `is_good` judges an entry that appears.
    async fn lead(&self, _key: &str, _is_good: Judge<'_>) -> anyhow::Result<Lead> {
        Ok(Lead::Load(None))
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

    /// Removes what fails `keep`, and gives its space back.
    async fn sweep(&self, _keep: Keep) -> anyhow::Result<()> {
        Ok(())
    }

    /// What it holds, where that is known without asking.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// Writes what is still in memory and lets go of everything.
    async fn close(&self) -> anyhow::Result<()>;
}

/// Whether an encoded entry may be answered.
pub(super) type Judge<'a> = &'a (dyn Fn(&[u8]) -> bool + Send + Sync);

/// Whether an entry is to stay, by its key and header.
pub(super) type Keep = Box<dyn Fn(&str, &Header) -> bool + Send + Sync>;

/// What to do about a key that no tier has.
pub(super) enum Lead {
    /// Load it; the lease is this node's right to be the only one.
    Load(Option<Lease>),
    /// Another node has: its entry.
    Value(Bytes),
}

/// The right of one node to load one key, renewed until it is dropped.
pub(super) struct Lease {
    /// Nobody else's: it makes the store refuse a holder whose lease has run out.
    pub token: String,
    #[expect(dead_code, reason = "held for its Drop")]
    pub renewal: AbortOnDropHandle<()>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub entries: u64,
    pub bytes: u64,
}
