//! Whoever asks after a change gets what was there after it, whatever else happens at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use app::domain::clock::Clock;
use app::infra::cache::{Cache, LoadFailed, Loaded, Policy, Store, Weigh};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use super::{Bench, SECOND};

/// The number of changes that a row had seen when it was read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Version(u64);

impl Weigh for Version {}

/// A row of a database.
#[derive(Default)]
struct Row {
    version: AtomicU64,
    /// The last version whose writer has told the cache about it and returned.
    announced: AtomicU64,
}

const KEYS: [&str; 3] = ["a", "b", "c"];

struct World {
    store: Store,
    cache: Cache<Version>,
    clock: Clock,
    rows: [Row; KEYS.len()],
}

/// Lets others go first, now and then.
async fn stumble(random: &mut fastrand::Rng) {
    for _ in 0..random.u32(..4) {
        yield_now().await;
    }
}

impl World {
    fn new(bench: &Bench, store: Store) -> Arc<Self> {
        Arc::new(Self {
            cache: store.namespace("versions"),
            store,
            clock: bench.clock.clone(),
            rows: Default::default(),
        })
    }

    /// Changes a row and tells the cache; one writer at a time for each row.
    async fn write(&self, nth: usize, random: &mut fastrand::Rng) {
        let row = &self.rows[nth];
        let version = row.version.fetch_add(1, Ordering::SeqCst) + 1;
        stumble(random).await;
        match random.u8(..6) {
            0 => self.cache.invalidate(KEYS[nth]).await,
            1 => self.cache.clear().await,
            2 => self.store.flush().await,
            3 => {
                let policy = Self::policy(nth);
                self.cache.set(KEYS[nth], &policy, Version(version)).await;
            }
            _ => self.store.invalidate_tags([KEYS[nth]]).await,
        }
        row.announced.fetch_max(version, Ordering::SeqCst);
    }

    async fn read(self: &Arc<Self>, nth: usize, random: &mut fastrand::Rng) {
        let expected = self.rows[nth].announced.load(Ordering::SeqCst);
        let (world, mut loaders) = (Arc::clone(self), random.fork());
        let load = async move || {
            stumble(&mut loaders).await;
            let version = world.rows[nth].version.load(Ordering::SeqCst);
            stumble(&mut loaders).await;
            Ok::<_, LoadFailed>(Loaded::new(Version(version)).tag(KEYS[nth]))
        };
        let found = if random.u8(..8) == 0 {
            self.cache.get(KEYS[nth]).await
        } else {
            let policy = Self::policy(nth);
            let found = self.cache.fetch(KEYS[nth], &policy, load).await;
            Some(found.expect("loads"))
        };
        let Some(found) = found else { return };
        assert!(found.0 >= expected, "{} after {expected}", found.0);
        if random.u8(..8) == 0 {
            self.cache.replace(&found, *found);
        }
    }

    fn policy(nth: usize) -> Policy {
        let stale = Policy::new().ttl(SECOND).stale_for(SECOND);
        stale.tag(KEYS[nth])
    }

    /// What one task does; some write a row.
    async fn live(self: Arc<Self>, own: Option<usize>, seed: u64, steps: usize) {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..steps {
            match (random.u8(..20), own) {
                (0..5, Some(own)) => self.write(own, &mut random).await,
                (5, _) => self.clock.advance(SECOND / 4),
                (6, _) => self.store.sweep().await,
                _ => self.read(random.usize(..KEYS.len()), &mut random).await,
            }
            stumble(&mut random).await;
        }
    }
}

/// A writer for each row and as many readers.
async fn run(world: &Arc<World>, seed: u64, steps: usize) {
    let tasks = (0..2 * KEYS.len()).map(|nth| {
        let own = (nth < KEYS.len()).then_some(nth);
        let seed = seed * 100 + nth as u64;
        tokio::spawn(Arc::clone(world).live(own, seed, steps))
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("nothing outdated is read");
    }
}

#[tokio::test]
async fn in_three_hundred_orders_of_events_nothing_from_before_a_change_is_read_after_it() {
    for seed in 0..300 {
        let bench = Bench::long();
        run(&World::new(&bench, bench.in_memory()), seed, 40).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_nothing_from_before_a_change_is_read_after_it() {
    let bench = Bench::long();
    run(&World::new(&bench, bench.in_memory()), 0, 5000).await;
}
