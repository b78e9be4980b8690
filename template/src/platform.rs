//! The handles everything else is built from, made once at the start and spent in `app.rs`.{% capture body %}

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::clock::Clock;
use crate::domain::events::Events; //~{% if frontend == "pages" %}
use crate::http::assets::Assets; //~{% endif %}
use crate::http::csrf::Csrf;
use crate::http::page_cache::PageCache;
use crate::http::security;
use crate::infra::cache::Store;
use crate::infra::db::Database;
use crate::infra::outbound::Outbound;
use crate::infra::rate_limit::RateLimits;
use crate::settings::Settings;
use crate::telemetry::{Exporter, build_info};

pub struct Platform {
    pub settings: Settings,
    pub metrics: Exporter,
    pub database: Database,
    /// To call other services.
    pub outbound: Outbound,
    pub cache: Store,
    pub pages: PageCache, //~{% if frontend == "pages" %}
    /// What pages load.
    pub assets: Assets, //~{% endif %}
    /// Makes the tokens of forms.
    pub csrf: Csrf,
    /// Makes limiters of what clients may do.
    pub rate_limits: RateLimits,
    pub events: Events,
    pub clock: Clock,
    /// Ends serving.
    pub shutdown: CancellationToken,
    /// Ends background tasks, after the last request.
    pub stop_tasks: CancellationToken,
    /// Background tasks, and writes whose client may be gone: a stop waits for them.
    pub tasks: TaskTracker,
}

impl Platform {
    /// Starts the metrics, waits for the database, migrates it, and opens the cache.
    ///
    /// # Errors
    /// If the database does not answer in time, refuses, or cannot be migrated.
    pub async fn connect(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let metrics = Exporter::install()?;
        let database = connect(&settings).await?;
        let cache = open_cache(&settings, &clock);
        let limits = RateLimits::local(clock.clone()); //~{% if features contains "redis" %}
        let limits = match &settings.redis.url {
            Some(url) => RateLimits::shared(&settings.redis, url, clock.clone())?,
            None => limits,
        }; //~{% endif %}
        let platform = Self::assemble(settings, metrics, database, cache, clock);
        Ok(Self {
            rate_limits: limits,
            ..platform
        })
    }

    /// A platform that touches nothing: to look at the routes and the document they make.
    ///
    /// # Errors
    /// If the settings do not name a database of the right kind.
    pub fn offline(settings: Settings) -> anyhow::Result<Self> {
        let metrics = Exporter::install()?;
        let clock = Clock::system();
        let database = Database::open(&settings.database)?;
        let cache = Store::in_memory(settings.cache.clone(), clock.clone());
        Ok(Self::assemble(settings, metrics, database, cache, clock))
    }

    /// `metrics` record already: the stores have taken their handles from them.
    fn assemble(
        settings: Settings,
        metrics: Exporter,
        database: Database,
        cache: Store,
        clock: Clock,
    ) -> Self {
        security::configure(&settings.security);
        let csrf = Csrf::new(settings.security.csrf_secret.as_ref(), clock.clone());
        let outbound = Outbound::new(&settings.outbound, clock.clone());
        let pages = PageCache::new(&cache, clock.clone()); //~{% if frontend == "pages" %}
        let is_watched = settings.environment.is_development();
        let assets = Assets::open(&settings.assets, is_watched); //~{% endif %}
        Self {
            settings,
            metrics,
            database,
            outbound,
            pages, //~{% if frontend == "pages" %}
            // Opened before any page is made, which may refer to them.
            assets, //~{% endif %}
            cache,
            csrf,
            rate_limits: RateLimits::local(clock.clone()),
            events: Events::default(),
            clock,
            shutdown: CancellationToken::new(),
            stop_tasks: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Closes the stores: everything written is kept.
    pub async fn close(&self) {
        // In this order: a cache that is closed is believed at the next start, so nothing may change after it.
        // A load may hold a connection.
        self.cache.abandon_loads();
        self.database.close().await;
        self.cache.close().await;
    }
}

async fn connect(settings: &Settings) -> anyhow::Result<Database> {
    let database = Database::open(&settings.database)?;
    database.wait_until_ready(&settings.database).await?;
    if settings.database.migrate_on_start {
        let applied = database.migrate().await?;
        tracing::info!(applied, "the database is migrated");
    } else {
        database.check_migrated().await?;
    }
    Ok(database)
}

fn open_cache(settings: &Settings, clock: &Clock) -> Store {
    let (origin, clock, cache) = (origin(settings), clock.clone(), settings.cache.clone()); //~{% if features contains "redis" %}
    if let Some(url) = &settings.redis.url {
        return Store::shared(cache, &settings.redis, url, &origin, clock);
    } //~{% endif %}
    Store::open(cache, &origin, clock)
}

/// What cached pages were made by and made of: this build, this database, and the addresses on them.
fn origin(settings: &Settings) -> String {
    let mut made_of = DefaultHasher::new();
    settings.database.url.expose().hash(&mut made_of);
    settings.server.public_url.hash(&mut made_of); //~{% if frontend == "pages" %}
    settings.assets.public_url.hash(&mut made_of);
    settings.environment.is_development().hash(&mut made_of); //~{% endif %}
    format!("{}-{:016x}", build_info().fingerprint, made_of.finish())
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
