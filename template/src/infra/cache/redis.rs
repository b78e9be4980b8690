//! The second tier that a fleet shares: its entries, who of it loads what, and the news of what was invalidated, in Redis.

mod bus;
mod lease;
mod link;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use redis::{Cmd, Script};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use validator::{Validate, ValidationError};

use self::bus::{BATCH, Bus};
use self::lease::Leases;
use self::link::Link;
use super::entry;
use super::second::{Judge, Lead, Lease, SecondTier};
use super::tags::{Generations, TagId};
use crate::settings::{Secret, some_time};

/// How long the end waits until everything is announced.
const LAST_WORDS: Duration = Duration::from_secs(2);

static SET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/set.lua")));

/// `[redis]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// Absent: every node is on its own, with a second tier on disk. May hold a password, so it is shown without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = url_of_redis))]
    pub url: Option<Secret>,
    /// How every key begins. Services that share a server need one each, the nodes of a service the same.
    #[serde(default = "package_name")]
    #[validate(custom(function = plain))]
    pub prefix: String,
    /// How long a command may take.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub timeout: Duration,
}

fn package_name() -> String {
    env!("CARGO_PKG_NAME").to_owned()
}

fn url_of_redis(url: &Secret) -> Result<(), ValidationError> {
    redis::Client::open(url.expose()).map(drop).map_err(|_| {
        ValidationError::new("url").with_message("must be redis://…, rediss://… or unix://…".into())
    })
}

/// Braces would decide the slot of a key, the rest are wildcards of a search for keys.
fn plain(prefix: &str) -> Result<(), ValidationError> {
    if prefix.is_empty() || prefix.contains(['{', '}', '*', '?', '[', ']', '\\']) {
        let rule = "must not be empty or contain any of {}*?[]\\";
        return Err(ValidationError::new("prefix").with_message(rule.into()));
    }
    Ok(())
}

/// Works from the moment it is connected and has heard of everything that was invalidated; until then, and whenever the
/// connection is lost, every call fails at once.
pub(super) struct Redis {
    link: Arc<Link>,
    leases: Leases,
    keys: Keys,
    closing: CancellationToken,
    _keeper: AbortOnDropHandle<()>,
}

impl Redis {
    /// Connects in the background. `on_resync` is called each time that news may have been missed, before anything is read.
    pub fn start(
        url: &Secret,
        settings: &RedisSettings,
        lock_ttl: Duration,
        origin: &str,
        generations: Arc<Generations>,
        on_resync: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let bus = Bus::new(&settings.prefix, generations);
        let link = Arc::new(Link::new(url.clone(), settings.timeout, bus, on_resync));
        let closing = CancellationToken::new();
        let keeper = {
            let (link, closing) = (Arc::clone(&link), closing.clone());
            tokio::spawn(async move {
                closing.run_until_cancelled(link.keep()).await;
                link.end();
            })
        };
        Self {
            leases: Leases::new(Arc::clone(&link), lock_ttl),
            link,
            keys: Keys::new(&settings.prefix, origin),
            closing,
            _keeper: AbortOnDropHandle::new(keeper),
        }
    }
}

#[async_trait]
impl SecondTier for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    /// Whether it is connected, and knows what was invalidated.
    fn is_ready(&self) -> bool {
        self.link.has_session()
    }

    async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        let get = Cmd::get(self.keys.entry(key));
        Ok(self.link.session()?.query(&get).await?)
    }

    async fn set(
        &self,
        key: &str,
        entry: Bytes,
        ttl: Option<Duration>,
        lease: Option<Lease>,
    ) -> anyhow::Result<()> {
        let session = self.link.session()?;
        let (born, _) = entry::age(&entry).context("an entry without an age")?;
        if !self.link.bus.has_heard_of(born) {
            // Younger than an invalidation that has no number yet: the others might take it for younger than theirs.
            return match lease {
                Some(lease) => self.release(key, lease).await,
                None => Ok(()),
            };
        }
        let ttl = ttl.map_or_else(String::new, |ttl| milliseconds(ttl).to_string());
        let token = lease.as_ref().map_or("", |lease| &lease.token);
        session
            .run::<()>(
                SET.key(self.keys.entry(key))
                    .key(self.keys.lock(key))
                    .arg(&entry[..])
                    .arg(ttl)
                    .arg(token),
            )
            .await?;
        Ok(())
    }

    async fn lead(&self, key: &str, is_good: Judge<'_>) -> anyhow::Result<Lead> {
        let (entry, lock) = (self.keys.entry(key), self.keys.lock(key));
        self.leases.lead(&entry, &lock, is_good).await
    }

    async fn release(&self, key: &str, lease: Lease) -> anyhow::Result<()> {
        self.leases
            .release(&self.keys.lock(key), &lease.token)
            .await
    }

    async fn announce(&self, tags: &[TagId]) -> anyhow::Result<()> {
        self.link.announce(tags).await
    }

    async fn clear(&self) -> anyhow::Result<()> {
        let session = self.link.session()?;
        let every_entry = self.keys.every_entry();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&every_entry);
            scan.arg("COUNT").arg(BATCH);
            let (next, keys): (u64, Vec<String>) = session.query(&scan).await?;
            if !keys.is_empty() {
                session.query::<()>(&Cmd::unlink(keys)).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn close(&self) -> anyhow::Result<()> {
        let told = tokio::time::timeout(LAST_WORDS, self.link.told()).await;
        self.closing.cancel();
        self.link.end();
        told.context("the other nodes do not know of all that was invalidated")
    }
}

/// The names of what is stored. The braces keep what belongs to one key on one node of a cluster.
struct Keys(String);

impl Keys {
    fn new(prefix: &str, origin: &str) -> Self {
        Self(format!("{prefix}:{origin}:"))
    }

    fn entry(&self, key: &str) -> String {
        [&self.0, "{", key, "}:entry"].concat()
    }

    fn lock(&self, key: &str) -> String {
        [&self.0, "{", key, "}:lock"].concat()
    }

    fn every_entry(&self) -> String {
        format!("{}{{*}}:entry", self.0)
    }
}

/// Rounded up, so that the shortest time to live is none at all for nobody.
fn milliseconds(duration: Duration) -> u64 {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000).max(1);
    u64::try_from(milliseconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
