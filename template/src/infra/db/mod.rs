//! The database: one pool, its settings, the migrations, and what its errors mean to the domain.{% capture body %}

mod constraints;
mod error;
mod migrations; //~{% if database == "postgres" %}
pub mod postgres; //~{% endif %}{% if database == "sqlite" %}
pub mod sqlite; //~{% endif %}

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use metrics::Histogram;
use serde::{Deserialize, Serialize};
use sqlx::{ConnectOptions, Connection, Transaction};
use validator::{Validate, ValidationError};

pub use error::{Class, store_error}; //~{% if false %}
#[cfg(feature = "postgres")]
use postgres as engine;
#[cfg(not(feature = "postgres"))]
use sqlite as engine; //~{% endif %}{% if database == "postgres" %}
//+ use postgres as engine; //~{% endif %}{% if database == "sqlite" %}
//+ use sqlite as engine; //~{% endif %}

use self::migrations::MIGRATOR;
use crate::domain::clock::Clock;
use crate::infra::resilience::{self, Backoff, Breaker, BreakerSettings, retry};
use crate::settings::{Secret, limited, some_time};
use crate::telemetry::Handles; //~{% if features contains "otel" %}
use crate::telemetry::traces::spans; //~{% endif %}

pub use engine::Driver;

pub type Pool = sqlx::Pool<Driver>;

/// `[database]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// May hold a password, so it is shown without it.
    #[validate(custom(function = url_of_this_engine))]
    pub url: Secret,
    #[validate(range(min = 1, max = 1000, message = "must be 1 to 1000"))]
    pub max_connections: u32,
    /// How long a request waits for a free connection, and a write in `SQLite` for the one before it.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub acquire_timeout: Duration,
    /// How long one statement may take.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub statement_timeout: Duration,
    /// A statement that takes longer is logged.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub slow_query: Duration,
    /// How long a start waits for a server that does not answer.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub startup_timeout: Duration,
    /// Whether `serve` applies pending migrations before it serves.
    pub migrate_on_start: bool,
}

impl DatabaseSettings {
    /// Whether the password in the URL is one that is tried first, and others than this machine may try.
    #[must_use]
    pub fn has_weak_password(&self) -> bool {
        engine::has_weak_password(self.url.expose())
    }

    /// Whether there is no server.
    #[must_use]
    pub fn is_a_file(&self) -> bool {
        engine::IS_A_FILE
    }
}

fn url_of_this_engine(url: &Secret) -> Result<(), ValidationError> {
    let rule = |rule: String| ValidationError::new("url").with_message(rule.into());
    engine::parse(url.expose()).map(drop).map_err(rule)
}

/// Half of the last calls tell an outage from a hiccup. It is short, because one call at a time finds out whether it is
/// over, and the others are refused meanwhile.
const BREAKER: BreakerSettings = BreakerSettings {
    failures: 5,
    of: 10,
    open_for: Duration::from_secs(1),
};

/// How a transaction that lost against another one is run again.
const RETRIES: Backoff = Backoff {
    attempts: 5,
    first: Duration::from_millis(10),
    longest: Duration::from_millis(500),
};

/// A cheap handle on the pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
    breaker: Breaker,
    /// How long a call may take, whatever the database does.
    patience: Duration,
    /// How long after its start a write is run again.
    retry_for: Duration,
    /// By operation and table.
    durations: Arc<Durations>,
}

type Durations = Handles<(&'static str, &'static str), Histogram>;

impl Database {
    /// A pool that connects when it is first used.
    ///
    /// # Errors
    /// If the settings do not name a database of the right kind.
    pub fn open(settings: &DatabaseSettings) -> anyhow::Result<Self> {
        let options = engine::options(settings)?;
        let pool = sqlx::pool::PoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .test_before_acquire(engine::ASK_FIRST)
            // A commit that fails, on a full disk for one, leaves a connection that can begin no other transaction.
            .before_acquire(
                |connection: &mut <Driver as sqlx::Database>::Connection, _| {
                    let is_usable = !connection.is_in_transaction();
                    Box::pin(async move { Ok(is_usable) })
                },
            )
            .connect_lazy_with(options);
        resilience::count_from_now("database");
        Ok(Self {
            pool,
            // An outage lasts by the real time, also where a test holds the clock.
            breaker: Breaker::new("database", BREAKER, Clock::system()),
            patience: settings.acquire_timeout + settings.statement_timeout,
            retry_for: settings.acquire_timeout,
            durations: Arc::new(Handles::new(
                |(operation, table)| metrics::histogram!("database_query_duration_seconds", "operation" => *operation, "table" => *table),
            )),
        })
    }

    /// Waits until the database answers: a server may start at the same time as the service.
    ///
    /// # Errors
    /// At once if the database refuses (a wrong password, a file that is no database), and after
    /// `startup_timeout` if it cannot be reached.
    pub async fn wait_until_ready(&self, settings: &DatabaseSettings) -> anyhow::Result<()> {
        let options = self.pool.connect_options();
        engine::prepare(&options)?;
        let deadline = Instant::now() + settings.startup_timeout;
        let mut pause = Duration::from_millis(100);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match tokio::time::timeout(left, options.connect()).await {
                Ok(Ok(connection)) => return Ok(connection.close().await?),
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
            };
            let url = &settings.url;
            if !Class::of(&error).is_temporary_at_start() {
                return Err(error).with_context(|| format!("the database {url} cannot be used"));
            }
            if deadline.saturating_duration_since(Instant::now()) <= pause {
                let waited = settings.startup_timeout;
                return Err(error).with_context(|| {
                    format!("the database {url} did not answer within {waited:?}")
                });
            }
            tracing::warn!(%error, "the database {url} does not answer yet; trying again in {pause:?}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Applies the migrations that are not applied yet and says how many there were.
    ///
    /// # Errors
    /// If one fails, or is missing beside others that this binary does not know.
    pub async fn migrate(&self) -> anyhow::Result<usize> {
        let at_first = self.pending().await?;
        let mut before = at_first;
        let mut connection = engine::patient(&self.pool.connect_options())
            .connect()
            .await
            .context("the database could not be migrated")?;
        while let Err(error) = MIGRATOR.run(&mut connection).await {
            if let sqlx::migrate::MigrateError::VersionMissing(version) = error {
                if before == 0 {
                    // This version is back after a newer one, whose migrations have to suit both.
                    tracing::warn!(
                        version,
                        "the database holds a migration that this version does not know"
                    );
                    break;
                }
                bail!(
                    "the database holds migration {version}, which this version does not know; run the version that applied it"
                );
            }
            // Another process may be at it too, for which SQLite has no lock. Then go on from where it is.
            let pending = self.pending().await?;
            if pending == before {
                return Err(error).context("the database could not be migrated");
            }
            before = pending;
        }
        connection.close().await?;
        Ok(at_first)
    }

    async fn pending(&self) -> anyhow::Result<usize> {
        let migrations = self.migrations().await?;
        Ok(migrations.iter().filter(|m| !m.applied).count())
    }

    /// Every migration of this binary, oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn migrations(&self) -> anyhow::Result<Vec<Migration>> {
        let applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(&self.pool)
            .await;
        let applied: Vec<i64> = match applied {
            Ok(applied) => applied,
            Err(error) if error::is_missing_table(&error) => Vec::new(),
            Err(error) => {
                return Err(error).context("the list of applied migrations cannot be read");
            }
        };
        let known = MIGRATOR.iter().map(|migration| Migration {
            version: migration.version,
            description: migration.description.clone(),
            applied: applied.contains(&migration.version),
        });
        Ok(known.collect())
    }

    /// # Errors
    /// If any migration is pending.
    pub async fn check_migrated(&self) -> anyhow::Result<()> {
        let pending = self.pending().await?;
        if pending > 0 {
            bail!(
                "the database lacks migrations ({pending}); apply them with the subcommand `migrate`"
            );
        }
        Ok(())
    }

    /// Whether the database answers a query that has to read.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT COUNT(*) FROM _sqlx_migrations")
            .execute(&self.pool)
            .await
            .map(drop)
    }

    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A transaction that is going to write.
    ///
    /// # Errors
    /// If no connection is free in time.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Driver>> {
        self.pool.begin_with(engine::BEGIN_WRITE).await
    }

    /// Runs one database call and records how long it took, by operation and table. While the database is away most
    /// calls are refused at once instead of waiting for it.
    ///
    /// # Errors
    /// Those of the call, and `Io` if the database says nothing for too long or is left alone.
    pub async fn timed<T>(
        &self,
        operation: &'static str,
        table: &'static str,
        call: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let started = Instant::now(); //~{% if features contains "otel" %}
        let span = spans::query(<Driver as sqlx::Database>::NAME, operation, table);
        let call = spans::within(span, call); //~{% endif %}
        let result = self.guarded(call).await;
        let duration = started.elapsed();
        self.durations.get(&(operation, table)).record(duration);
        let duration_ms = duration.as_secs_f64() * 1000.0;
        let is_ok = result.is_ok();
        tracing::debug!(operation, table, duration_ms, is_ok, "asked the database");
        if let Err(error) = &result {
            let kind = Class::of(error).label();
            metrics::counter!("database_query_errors_total", "kind" => kind).increment(1);
        }
        result
    }

    async fn guarded<T>(&self, call: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let Some(permit) = self.breaker.admit() else {
            return Err(error::left_alone());
        };
        let silence = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        let answer = tokio::time::timeout(self.patience, call).await;
        let result = answer.unwrap_or_else(|_| silence());
        match &result {
            Err(error) if Class::of(error).is_outage() => permit.fail(),
            _ => permit.succeed(),
        }
        result
    }

    /// [`timed`](Self::timed) for a whole transaction, which is run again if it lost against another one. `transaction`
    /// must begin it, commit it, and do nothing else that lasts.
    ///
    /// # Errors
    /// Those of the last run.
    pub async fn write<T, F>(
        &self,
        operation: &'static str,
        table: &'static str,
        transaction: impl Fn() -> F,
    ) -> sqlx::Result<T>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        let started = Instant::now();
        let is_worth_it =
            |error: &_| Class::of(error).lost_a_race() && started.elapsed() < self.retry_for;
        let run = || self.timed(operation, table, transaction());
        retry("database", RETRIES, is_worth_it, run).await
    }

    /// Sets the connection gauges to what the pool holds now.
    pub fn record_connections(&self) {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        let active = self.pool.size().saturating_sub(idle);
        metrics::gauge!("database_connections", "state" => "idle").set(idle);
        metrics::gauge!("database_connections", "state" => "active").set(active);
        let most = self.pool.options().get_max_connections();
        metrics::gauge!("database_connections_max").set(most);
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// One migration and whether the database has it.
#[derive(Clone, Debug)]
pub struct Migration {
    pub version: i64,
    pub description: Cow<'static, str>,
    pub applied: bool,
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
