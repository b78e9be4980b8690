//! The two-tier cache, with real files and a clock of its own.

mod damage;
mod disk;
mod flight;
mod hit_ratio;
mod linearizable;
mod load;
mod memory;
mod model;
mod negative;
mod outdated;
mod policy;
mod replace;
mod restarts;
mod stale;
mod switches;
mod tags;

use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use app::domain::clock::Clock;
use app::infra::cache::{Cache, CacheSettings, Cached, LoadFailed, Loaded, Policy, Source, Store};
use bytesize::ByteSize;
use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{fixed_clock, settings_alone};

/// A cache folder, its settings and its clock.
struct Bench {
    folder: TempDir,
    settings: CacheSettings,
    clock: Clock,
}

impl Bench {
    /// Entries stay a minute in memory and an hour at all, to the microsecond.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = CacheSettings {
            l1_ttl: Duration::from_mins(1),
            l2_ttl: Duration::from_hours(1),
            negative_ttl: Duration::from_secs(10),
            stale_for: Duration::ZERO,
            jitter: 0.0,
            l1_capacity: Some(ByteSize::mib(16)),
            dir: folder.path().join("cache"),
            ..settings_alone(&[]).cache
        };
        Self {
            folder,
            settings,
            clock: fixed_clock(),
        }
    }

    /// Entries stay in memory until they end.
    fn long() -> Self {
        let mut bench = Self::new();
        bench.settings.l1_ttl = Duration::MAX;
        bench
    }

    fn in_memory(&self) -> Store {
        Store::in_memory(self.settings.clone(), self.clock.clone())
    }

    /// With a second tier on disk, as soon as nobody else has it.
    async fn open(&self) -> Store {
        self.open_build("build").await
    }

    async fn open_build(&self, build: &str) -> Store {
        until(|| self.is_released()).await;
        Store::open(self.settings.clone(), build, self.clock.clone())
    }

    /// Opens it although somebody else has it.
    fn open_beside(&self) -> Store {
        Store::open(self.settings.clone(), "build", self.clock.clone())
    }

    /// Starts it again; everything is on disk then.
    async fn reopen(&self, store: Store) -> Store {
        close(store).await;
        self.open().await
    }

    /// Whether nobody holds the files: that ends a moment after the last handle is dropped.
    fn is_released(&self) -> bool {
        let stores = fs::read_dir(&self.settings.dir)
            .into_iter()
            .flatten()
            .flatten();
        let indices = stores.map(|store| store.path().join("index/db"));
        let mut files = indices.chain([self.settings.dir.join("in-use")]);
        files.all(|path| File::open(path).map_or(true, |file| file.try_lock().is_ok()))
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// To the last moment before.
    fn advance_almost(&self, by: Duration) {
        self.clock.advance(by.saturating_sub(MICROSECOND));
    }
}

/// Closes the last handle on a store.
async fn close(store: Store) {
    store.close().await;
}

/// What the cache counts while a test listens.
struct Meter(PrometheusRecorder);

impl Meter {
    fn new() -> Self {
        Self(PrometheusBuilder::new().build_recorder())
    }

    /// Counts what happens on this thread as long as the guard lives.
    #[must_use]
    fn listen(&self) -> LocalRecorderGuard<'_> {
        metrics::set_default_local_recorder(&self.0)
    }

    /// The value of a counter, written as Prometheus writes it.
    fn count(&self, metric: &str) -> u64 {
        let text = self.0.handle().render();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let value = lines.find(|(name, _)| *name == metric);
        value.map_or(0, |(_, value)| value.parse().expect("a number"))
    }
}

/// Why a load failed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    Own(&'static str),
    Cache(LoadFailed),
}

impl From<LoadFailed> for Failure {
    fn from(failed: LoadFailed) -> Self {
        Self::Cache(failed)
    }
}

type Loading = Result<Loaded<String>, Failure>;

/// What `key` is, loading `value` with the tag `tag` if nothing is kept.
async fn fetch(store: &Store, key: &str, value: &str) -> (String, Source) {
    fetch_as(store, key, &Policy::new(), value).await
}

async fn fetch_as(store: &Store, key: &str, policy: &Policy, value: &str) -> (String, Source) {
    let loaded = Loaded::new(value.to_owned()).tag("tag");
    let found = load(&strings(store), key, policy, Ok(loaded)).await;
    let found = found.expect("loads");
    (found.to_string(), found.source())
}

async fn load(
    cache: &Cache<String>,
    key: &str,
    policy: &Policy,
    outcome: Loading,
) -> Result<Cached<String>, Failure> {
    cache.fetch(key, policy, async move || outcome).await
}

/// The value and the tier it is in, if there is one.
async fn get(store: &Store, key: &str) -> Option<(String, Source)> {
    let found = strings(store).get(key).await?;
    Some((found.to_string(), found.source()))
}

fn strings(store: &Store) -> Cache<String> {
    store.namespace("strings")
}

fn found(value: &str, source: Source) -> (String, Source) {
    (value.to_owned(), source)
}

/// A caller that has to load, and whose loader has begun.
struct InFlight {
    caller: JoinHandle<Result<Cached<String>, Failure>>,
    end: oneshot::Sender<Loading>,
}

impl InFlight {
    async fn begin(store: &Store, key: &'static str, policy: &Policy) -> Self {
        let (cache, policy) = (strings(store), policy.clone());
        let (start, begun) = oneshot::channel();
        let (end, ended) = oneshot::channel::<Loading>();
        let caller = tokio::spawn(async move {
            let load = async move || {
                start.send(()).expect("the test waits");
                ended.await.expect("the test ends every load")
            };
            cache.fetch(key, &policy, load).await
        });
        begun.await.expect("it loads");
        Self { caller, end }
    }

    /// Ends the load; what the caller gets.
    async fn land(self, outcome: Loading) -> Result<Cached<String>, Failure> {
        self.end.send(outcome).expect("the loader waits");
        self.caller.await.expect("the caller returns")
    }
}

/// Callers of one key, whose own loaders are counted. They have all asked when this returns.
async fn crowd(
    store: &Store,
    key: &'static str,
    size: usize,
    own: &Loading,
) -> (
    Vec<JoinHandle<Result<Cached<String>, Failure>>>,
    Arc<AtomicUsize>,
) {
    let (asked, loads) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let callers = (0..size).map(|_| {
        let (cache, outcome) = (strings(store), own.clone());
        let (asked, loads) = (asked.clone(), loads.clone());
        tokio::spawn(async move {
            let load = async move || {
                loads.fetch_add(1, Ordering::Relaxed);
                outcome
            };
            let policy = Policy::new();
            let answer = cache.fetch(key, &policy, load);
            // Nothing else runs between this and the first thing that it waits for.
            asked.fetch_add(1, Ordering::Relaxed);
            answer.await
        })
    });
    let callers = callers.collect();
    until(|| asked.load(Ordering::Relaxed) == size).await;
    (callers, loads)
}

/// Waits for what other tasks bring about.
async fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not happen");
        tokio::task::yield_now().await;
    }
}

/// Lets every task that can go on do so. Only for caches in memory on a runtime of one thread, where nothing else is
/// waited for.
async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MICROSECOND: Duration = Duration::from_micros(1);
