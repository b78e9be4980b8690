//! Who of the fleet loads a key: a lock with a short life that its holder renews, and the wait for the holder's value.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use redis::Script;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::link::{Link, jittered};
use super::milliseconds;
use crate::infra::cache::second::{Judge, Lead, Lease};

static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("renew.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("release.lua")));

/// How long the lock of a node that died keeps the others waiting.
const LEASE: Duration = Duration::from_secs(2);
const RENEWAL: Duration = Duration::from_millis(500);

/// How often those who wait look.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MOST_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Leases {
    link: Arc<Link>,
    /// The longest that a lease is renewed, and waited for.
    lock_ttl: Duration,
}

impl Leases {
    pub fn new(link: Arc<Link>, lock_ttl: Duration) -> Self {
        Self { link, lock_ttl }
    }

    pub async fn lead(
        &self,
        entry_key: &str,
        lock_key: &str,
        is_good: Judge<'_>,
    ) -> anyhow::Result<Lead> {
        let token = Uuid::now_v7().simple().to_string();
        let deadline = Instant::now() + self.lock_ttl;
        let mut pause = FIRST_PAUSE;
        loop {
            let session = self.link.session()?;
            let (is_ours, entry): (bool, Option<Bytes>) = session
                .run(
                    CLAIM
                        .key(entry_key)
                        .key(lock_key)
                        .arg(&token)
                        .arg(milliseconds(LEASE)),
                )
                .await?;
            match (is_ours, entry.filter(|entry| is_good(entry))) {
                (true, Some(entry)) => {
                    // If that fails it runs out.
                    let _ = self.release(lock_key, &token).await;
                    return Ok(theirs(entry));
                }
                (true, None) => {
                    return Ok(Lead {
                        lease: Some(self.lease(lock_key, token)),
                        entry: None,
                    });
                }
                (false, Some(entry)) => return Ok(theirs(entry)),
                (false, None) if Instant::now() >= deadline => return Ok(Lead::default()),
                (false, None) => tokio::time::sleep(jittered(pause)).await,
            }
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    pub async fn release(&self, lock_key: &str, token: &str) -> anyhow::Result<()> {
        let session = self.link.session()?;
        session.run::<()>(RELEASE.key(lock_key).arg(token)).await?;
        Ok(())
    }

    fn lease(&self, lock_key: &str, token: String) -> Lease {
        let renewal = renew(
            Arc::clone(&self.link),
            lock_key.to_owned(),
            token.clone(),
            self.lock_ttl,
        );
        Lease {
            token,
            renewal: AbortOnDropHandle::new(tokio::spawn(renewal)),
        }
    }
}

fn theirs(entry: Bytes) -> Lead {
    Lead {
        entry: Some(entry),
        lease: None,
    }
}

/// Until the lease is lost, or has been held for as long as anyone waits for it.
async fn renew(link: Arc<Link>, lock_key: String, token: String, lock_ttl: Duration) {
    let end = Instant::now() + lock_ttl;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left <= RENEWAL {
            return;
        }
        tokio::time::sleep(RENEWAL).await;
        // Not beyond the end.
        let lease = LEASE.min(left);
        let Ok(session) = link.session() else {
            continue;
        };
        let renewal = session
            .run(RENEW.key(&lock_key).arg(&token).arg(milliseconds(lease)))
            .await;
        // An error says nothing about the lease: the next try may be in time.
        if matches!(renewal, Ok(false)) {
            return;
        }
    }
}
