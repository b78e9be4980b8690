//! The tier against a real server: what the tests share.

mod cluster;
mod entries;
mod leases;
mod news;
mod outages;
#[expect(dead_code, reason = "the tests of the whole service use the rest")]
#[path = "../../../../tests/it/support/redis.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use self::server::RedisServer;
use super::{Redis, RedisSettings};
use crate::infra::cache::entry::{Expiry, Header, encode};
use crate::infra::cache::second::{Lead, Lease, SecondTier};
use crate::infra::cache::tags::{Generations, TagId};
use crate::settings::Secret;

const TIMEOUT: Duration = Duration::from_millis(500);
const LOCK_TTL: Duration = Duration::from_secs(30);
const ORIGIN: &str = "a build";

impl Redis {
    /// What nothing but a test does: an entry that is gone before its time.
    async fn remove(&self, key: &str) -> anyhow::Result<()> {
        let unlink = redis::Cmd::unlink(self.keys.entry(key));
        Ok(self.link.session()?.query(&unlink).await?)
    }
}

/// What keeps things, as a node of the service does.
struct Node {
    redis: Redis,
    generations: Arc<Generations>,
    resyncs: Arc<AtomicU32>,
}

impl Node {
    /// One that has connected.
    async fn join(server: &RedisServer) -> Self {
        Self::start(server, ORIGIN, LOCK_TTL).connected().await
    }

    fn start(server: &RedisServer, origin: &str, lock_ttl: Duration) -> Self {
        Self::start_as("test", server, origin, lock_ttl)
    }

    /// One that has connected, and waits for its commands as long as a busy machine may take.
    async fn patient(server: &RedisServer) -> Self {
        let settings = RedisSettings {
            timeout: Duration::from_secs(20),
            ..settings("test")
        };
        Self::with(&settings, server, ORIGIN, LOCK_TTL)
            .connected()
            .await
    }

    fn start_as(prefix: &str, server: &RedisServer, origin: &str, lock_ttl: Duration) -> Self {
        Self::with(&settings(prefix), server, origin, lock_ttl)
    }

    fn with(
        settings: &RedisSettings,
        server: &RedisServer,
        origin: &str,
        lock_ttl: Duration,
    ) -> Self {
        let generations = Arc::new(Generations::default());
        let resyncs = Arc::new(AtomicU32::new(0));
        let on_resync = {
            let resyncs = Arc::clone(&resyncs);
            Arc::new(move || {
                resyncs.fetch_add(1, Ordering::SeqCst);
            })
        };
        let url = Secret::new(server.url());
        let known = Arc::clone(&generations);
        Self {
            redis: Redis::start(&url, settings, lock_ttl, origin, known, on_resync),
            generations,
            resyncs,
        }
    }

    async fn connected(self) -> Self {
        eventually("it connects", async || self.redis.is_ready()).await;
        self
    }

    /// As the cache does it: first here, then everywhere.
    async fn invalidate(&self, tags: &[TagId]) -> anyhow::Result<()> {
        self.generations.invalidate(tags);
        self.redis.announce(tags).await
    }

    /// An entry that is being loaded now.
    fn entry(&self, value: &str, tags: &[TagId]) -> Bytes {
        entry(self.generations.current(), value, tags)
    }

    fn is_outdated(&self, born: u64, tag: TagId) -> bool {
        self.generations.is_outdated(born, &[tag])
    }

    async fn store(&self, key: &str, entry: &Bytes) {
        let stored = self.redis.set(key, entry.clone(), None, None).await;
        stored.expect("it is stored");
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        self.redis.get(key).await.expect("it is connected")
    }

    /// The right to load `key`, which nobody has.
    async fn lease(&self, key: &str) -> Lease {
        match self.redis.lead(key, &|_| true).await {
            Ok(Lead {
                lease: Some(lease), ..
            }) => lease,
            Ok(_) => panic!("it was not leased"),
            Err(error) => panic!("{error:#}"),
        }
    }

    fn resyncs(&self) -> u32 {
        self.resyncs.load(Ordering::SeqCst)
    }
}

fn entry(born: u64, value: &str, tags: &[TagId]) -> Bytes {
    let header = Header {
        born,
        stored_at: 1,
        expiry: Expiry {
            stale_at: i64::MAX,
            ends_at: i64::MAX,
            is_absent: false,
        },
        tags: tags.into(),
    };
    encode(&header, &value).unwrap().into()
}

fn tag(name: &str) -> TagId {
    TagId::of_tag(name)
}

fn settings(prefix: &str) -> RedisSettings {
    RedisSettings {
        url: None,
        prefix: prefix.to_owned(),
        timeout: TIMEOUT,
    }
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
