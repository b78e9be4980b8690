//! The warm-up: what visitors want first is made at the start, beside serving and a few things at a time.

use std::pin::Pin;
use std::time::{Duration, Instant};

use metrics::{Counter, counter, gauge};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{CacheSettings, Cached, Source, Store};
use crate::telemetry::following;

/// How long a second tier that connects at the same time is waited for: what others have made need not be made again.
const PATIENCE: Duration = Duration::from_secs(2);

type Work<T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + Send>>;

/// What is to be in the cache before a visitor asks for it.
pub enum Warm {
    Pages {
        name: &'static str,
        list: Work<Vec<String>>,
    },
    Value {
        name: &'static str,
        fetch: Work<Source>,
    },
}

impl Warm {
    /// The pages at the paths that `list` brings. They are asked for as visitors do.
    pub fn pages(
        name: &'static str,
        list: impl Future<Output = anyhow::Result<Vec<String>>> + Send + 'static,
    ) -> Self {
        let list = Box::pin(list);
        Self::Pages { name, list }
    }

    /// One value, which `fetch` gets through its cache.
    pub fn value<V, E: Into<anyhow::Error>>(
        name: &'static str,
        fetch: impl Future<Output = Result<Cached<V>, E>> + Send + 'static,
    ) -> Self {
        let fetch = async {
            let fetched = fetch.await.map_err(Into::into)?;
            Ok(fetched.source())
        };
        let fetch = Box::pin(fetch);
        Self::Value { name, fetch }
    }
}

impl Store {
    /// Makes what is not in the cache yet, until `stop`. `visit` asks for the page at a path. What fails is named in the
    /// log and stops nothing else.
    pub async fn warm_up<F>(
        &self,
        warm: Vec<Warm>,
        visit: impl Fn(String) -> F,
        stop: CancellationToken,
    ) where
        F: Future<Output = anyhow::Result<Source>> + Send + 'static,
    {
        let started = Instant::now();
        let mut round = Round::new(&self.0.settings);
        let work = async {
            self.connect_second().await;
            round.run(warm, visit).await;
        };
        if stop.run_until_cancelled(work).await.is_none() {
            tracing::info!("stopped before the cache was warm");
            return;
        }
        let duration = started.elapsed().as_secs_f64();
        gauge!("cache_warmup_duration_seconds").set(duration);
        tracing::info!(
            made = round.made,
            skipped = round.skipped,
            failed = round.failed,
            duration_ms = duration * 1000.0,
            "the cache is warm"
        );
    }

    async fn connect_second(&self) {
        let Some(second) = &self.0.second else { return };
        let connected = async {
            while !second.is_ready() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, connected).await.is_err() {
            tracing::warn!("the cache is warmed without its second tier");
        }
    }
}

struct Round {
    /// Ends what it still does when it is dropped.
    running: JoinSet<(String, anyhow::Result<Source>)>,
    concurrency: usize,
    /// For each page, value and list.
    limit: Duration,
    made: u64,
    skipped: u64,
    failed: u64,
    skips: Counter,
    errors: Counter,
}

impl Round {
    fn new(settings: &CacheSettings) -> Self {
        let round = Self {
            running: JoinSet::new(),
            concurrency: settings.warmup_concurrency,
            limit: settings.lock_ttl,
            made: 0,
            skipped: 0,
            failed: 0,
            skips: counter!("cache_warmup_skipped_total"),
            errors: counter!("cache_warmup_errors_total"),
        };
        // So that there is something to see when nothing was skipped and nothing failed.
        round.skips.increment(0);
        round.errors.increment(0);
        round
    }

    async fn run<F>(&mut self, warm: Vec<Warm>, visit: impl Fn(String) -> F)
    where
        F: Future<Output = anyhow::Result<Source>> + Send + 'static,
    {
        for warm in warm {
            match warm {
                Warm::Value { name, fetch } => self.begin(name.to_owned(), fetch).await,
                Warm::Pages { name, list } => match guarded(list, self.limit).await {
                    Ok(paths) => {
                        for path in paths {
                            let visit = visit(path.clone());
                            self.begin(path, visit).await;
                        }
                    }
                    Err(error) => self.count(name, Err(error)),
                },
            }
        }
        while !self.running.is_empty() {
            self.finish_one().await;
        }
    }

    /// Begins when there is a place for it.
    async fn begin(
        &mut self,
        name: String,
        work: impl Future<Output = anyhow::Result<Source>> + Send + 'static,
    ) {
        while self.running.len() >= self.concurrency {
            self.finish_one().await;
        }
        let work = guarded(work, self.limit);
        self.running.spawn(async move { (name, work.await) });
    }

    async fn finish_one(&mut self) {
        if let Some(Ok((name, result))) = self.running.join_next().await {
            self.count(&name, result);
        }
    }

    fn count(&mut self, name: &str, result: anyhow::Result<Source>) {
        match result {
            Ok(Source::Loader) => self.made += 1,
            Ok(Source::L1 | Source::L2 | Source::Stale) => {
                self.skipped += 1;
                self.skips.increment(1);
            }
            Err(error) => {
                self.failed += 1;
                self.errors.increment(1);
                let error = format!("{error:#}");
                tracing::warn!(name, error, "not in the cache: it could not be made");
            }
        }
    }
}

/// A panic is an error, and so is taking too long.
async fn guarded<T: Send + 'static>(
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    limit: Duration,
) -> anyhow::Result<T> {
    let work = AbortOnDropHandle::new(tokio::spawn(following(work)));
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done?,
        Err(_) => anyhow::bail!("it took longer than {limit:?}"),
    }
}
