//! Quotas that all instances share, in Redis: one script, by the clock of the server.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

use metrics::{counter, describe_counter};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use xxhash_rust::xxh3::xxh3_128;

use super::Key;
use super::quota::{Quota, Taken};
use crate::domain::clock::Clock;
use crate::infra::cache::RedisSettings;
use crate::settings::Secret;

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// How long, in microseconds, Redis is left alone after it has not answered: nobody else waits for it meanwhile.
const PAUSE: i64 = 1_000_000;

/// Redis does not say.
#[derive(Debug)]
pub(super) struct Silence;

#[derive(Clone)]
pub(super) struct Shared {
    /// Connects when it is first used, and again whenever it must.
    connection: ConnectionManager,
    prefix: Arc<str>,
    clock: Clock,
    /// Microseconds since the Unix epoch.
    silent_until: Arc<AtomicI64>,
}

impl Shared {
    pub fn connect(settings: &RedisSettings, url: &Secret, clock: Clock) -> anyhow::Result<Self> {
        describe_counter!(
            "rate_limit_errors_total",
            "Requests counted by this instance alone because the shared count did not answer, by scope."
        );
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(settings.timeout))
            .set_response_timeout(Some(settings.timeout));
        let client = Client::open(url.expose())?;
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, config)?,
            prefix: settings.prefix.as_str().into(),
            clock,
            silent_until: Arc::default(),
        })
    }

    /// Takes one from the quota that `key` has with all instances. A limit must not be what stops the service, so if Redis
    /// does not say, each instance goes by its own count.
    pub async fn take(&self, name: &str, key: Key<'_>, quota: Quota) -> Result<Taken, Silence> {
        let now = self.clock.now_micros();
        let silence = self.silent_until.load(Ordering::Relaxed) - now;
        if (1..=PAUSE).contains(&silence) {
            return Err(Silence);
        }
        // The braces keep it on one node of a cluster; hashed, it is short, and says nothing about a person.
        let hash = key.with_bytes(xxh3_128);
        let place = format!("{}:limit:{{{name}:{hash:032x}}}", self.prefix);
        let (one, full) = quota.terms();
        let mut take = TAKE.key(place);
        take.arg(one.div_ceil(1000)).arg(full.div_ceil(1000));
        let mut connection = self.connection.clone();
        match take.invoke_async::<(bool, u64)>(&mut connection).await {
            Ok((true, full_in)) => Ok(Taken::Granted {
                full_in: full_in.saturating_mul(1000),
            }),
            Ok((false, full_in)) => Ok(Taken::Refused {
                full_in: full_in.saturating_mul(1000),
            }),
            Err(error) => {
                tracing::debug!(%error, "Redis does not count requests");
                counter!("rate_limit_errors_total", "scope" => name.to_owned()).increment(1);
                self.silent_until.store(now + PAUSE, Ordering::Relaxed);
                Err(Silence)
            }
        }
    }
}
