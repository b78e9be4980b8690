//! The bound on memory: it counts bytes, holds under every load, and what is asked for most stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use app::infra::cache::{Cache, LoadFailed, Loaded, Policy, Store, Weigh};
use bytesize::ByteSize;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use super::{Bench, Meter, get, strings};

const CAPACITY: usize = 1 << 20;

/// A value that weighs what it says, and the sum of all that are alive.
#[derive(Debug, Serialize, Deserialize)]
struct Parcel {
    weight: usize,
    #[serde(skip)]
    alive: Arc<AtomicUsize>,
}

impl Parcel {
    fn new(weight: usize, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(weight, Ordering::SeqCst);
        Self {
            weight,
            alive: Arc::clone(alive),
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.alive.fetch_sub(self.weight, Ordering::SeqCst);
    }
}

impl Weigh for Parcel {
    fn weight(&self) -> usize {
        self.weight
    }
}

/// A store of a mebibyte, and the parcels in it.
struct Warehouse {
    store: Store,
    parcels: Cache<Parcel>,
    alive: Arc<AtomicUsize>,
}

impl Warehouse {
    fn new() -> Self {
        let mut bench = Bench::long();
        bench.settings.l1_capacity = Some(ByteSize::b(CAPACITY as u64));
        let store = bench.in_memory();
        Self {
            parcels: store.namespace("parcels"),
            store,
            alive: Arc::default(),
        }
    }

    async fn put(&self, key: &str, weight: usize) {
        let parcel = Parcel::new(weight, &self.alive);
        let load = async || Ok::<_, LoadFailed>(Loaded::new(parcel));
        let kept = self.parcels.fetch(key, &Policy::new(), load).await;
        drop(kept.expect("loads"));
    }

    async fn has(&self, key: &str) -> bool {
        self.parcels.get(key).await.is_some()
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.store.stats().l1.bytes).expect("it fits")
    }

    fn assert_bounded(&self) {
        let bytes = self.bytes();
        let alive = self.alive();
        assert!(alive <= bytes, "{alive} are alive, {bytes} are counted");
        assert!(bytes <= CAPACITY, "{bytes}");
    }

    /// It is not bounded by keeping next to nothing.
    fn assert_well_filled(&self) {
        let bytes = self.bytes();
        assert!(bytes > CAPACITY / 4 * 3, "{bytes}");
    }
}

#[tokio::test]
async fn many_small_values_stay_in_the_bound() {
    let warehouse = Warehouse::new();
    for n in 0..4000 {
        warehouse.put(&n.to_string(), 10).await;
        warehouse.assert_bounded();
    }
    warehouse.assert_well_filled();
}

#[tokio::test]
async fn few_huge_values_stay_in_the_bound() {
    let warehouse = Warehouse::new();
    for n in 0..100 {
        warehouse.put(&n.to_string(), CAPACITY / 3).await;
        warehouse.assert_bounded();
        assert!(warehouse.alive() > 0);
    }
}

#[tokio::test]
async fn values_of_all_sizes_stay_in_the_bound() {
    let warehouse = Warehouse::new();
    let mut random = fastrand::Rng::with_seed(7);
    for n in 0..4000 {
        let weight = 1 << random.u32(0..19);
        warehouse.put(&n.to_string(), weight).await;
        warehouse.assert_bounded();
    }
}

#[tokio::test]
async fn a_value_larger_than_the_bound_is_not_kept_and_drives_nothing_out() {
    let warehouse = Warehouse::new();
    for n in 0..100 {
        warehouse.put(&n.to_string(), 1000).await;
    }
    for weight in [CAPACITY, 2 * CAPACITY, usize::MAX / 4] {
        warehouse.put("huge", weight).await;
        assert!(!warehouse.has("huge").await);
        warehouse.assert_bounded();
    }
    for n in 0..100 {
        assert!(warehouse.has(&n.to_string()).await, "{n}");
    }
}

#[tokio::test]
async fn a_replaced_value_is_let_go_at_once() {
    let warehouse = Warehouse::new();
    for weight in (1..2000).chain((1..2000).rev()) {
        let parcel = Parcel::new(weight, &warehouse.alive);
        drop(warehouse.parcels.set("key", &Policy::new(), parcel).await);
        assert_eq!(warehouse.store.stats().l1.entries, 1);
        assert_eq!(warehouse.alive(), weight);
    }
}

#[tokio::test]
async fn replaced_values_of_all_sizes_stay_in_the_bound() {
    let warehouse = Warehouse::new();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..4000 {
        let parcel = Parcel::new(1 << random.u32(0..17), &warehouse.alive);
        let key = random.u8(..).to_string();
        drop(warehouse.parcels.set(&key, &Policy::new(), parcel).await);
        warehouse.assert_bounded();
    }
    for n in 0..2000 {
        warehouse.put(&format!("later-{n}"), 1000).await;
    }
    warehouse.assert_well_filled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_threads_that_insert_stay_in_the_bound() {
    const HUGEST: usize = CAPACITY / 32;
    let warehouse = Arc::new(Warehouse::new());
    let insert = |seed| {
        let warehouse = Arc::clone(&warehouse);
        async move {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..2000 {
                let key = random.u16(..2000).to_string();
                let weight = random.usize(1..HUGEST);
                if random.bool() {
                    warehouse.put(&key, weight).await;
                } else {
                    let parcel = Parcel::new(weight, &warehouse.alive);
                    warehouse.parcels.set(&key, &Policy::new(), parcel).await;
                }
                // Each thread may hold one that it offers and one that it found instead.
                let alive = warehouse.alive();
                assert!(alive < CAPACITY + 8 * HUGEST, "{alive}");
            }
        }
    };
    let threads: Vec<_> = (0..4).map(|seed| tokio::spawn(insert(seed))).collect();
    for thread in threads {
        thread.await.expect("it stays in the bound");
    }
    warehouse.store.close().await;
    warehouse.assert_bounded();
    for n in 0..2000 {
        warehouse.put(&format!("later-{n}"), 1000).await;
    }
    warehouse.assert_well_filled();
}

#[tokio::test]
async fn tags_and_keys_take_room_as_well() {
    let warehouse = Warehouse::new();
    let load = async || {
        let parcel = Parcel::new(1, &Arc::default());
        let tags = (0..10_000).map(|n| n.to_string());
        Ok::<_, LoadFailed>(tags.fold(Loaded::new(parcel), Loaded::tag))
    };
    let long = "k".repeat(50_000);
    let kept = warehouse.parcels.fetch(&long, &Policy::new(), load).await;
    kept.expect("loads");
    let bytes = warehouse.bytes();
    assert!((130_000..140_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn the_weight_of_text_is_what_it_takes() {
    let bench = Bench::new();
    let store = bench.in_memory();
    let text = "x".repeat(100_000);
    strings(&store)
        .set("key", &Policy::new(), text.clone())
        .await;
    let bytes = store.stats().l1.bytes;
    assert!((100_000..101_000).contains(&bytes), "{bytes}");
    let some: Cache<Option<String>> = store.namespace("some");
    some.set("key", &Policy::new(), Some(text)).await;
    let both = store.stats().l1.bytes;
    assert!((200_000..202_000).contains(&both), "{both}");
}

#[tokio::test]
async fn a_hit_allocates_nothing() {
    let store = Bench::long().in_memory();
    let (cache, policy) = (strings(&store), Policy::new());
    cache.set("key", &policy, "value".to_owned()).await;
    let fetch = || {
        let load = async || Err::<Loaded<String>, _>(LoadFailed::Panicked);
        let found = cache.fetch("key", &policy, load).now_or_never();
        found.expect("at once").expect("a value")
    };
    // What is made once for a thread.
    for _ in 0..100 {
        assert_eq!(*fetch(), "value");
    }
    let made = allocation_counter::measure(|| {
        for _ in 0..1000 {
            fetch();
            cache.get_fresh("key").expect("a value");
        }
    });
    assert_eq!(made.count_total, 0);
}

#[tokio::test]
async fn what_is_dropped_for_room_is_freed_and_counted() {
    let meter = Meter::new();
    let _here = meter.listen();
    let warehouse = Warehouse::new();
    for n in 0..1000 {
        warehouse.put(&n.to_string(), 9000).await;
    }
    let left = warehouse.store.stats().l1.entries;
    assert_eq!(warehouse.alive() as u64, left * 9000);
    let evicted = meter.count("cache_evictions_total{tier=\"l1\"}");
    assert_eq!(evicted, 1000 - left);
}

#[tokio::test]
async fn what_somebody_still_holds_is_freed_when_they_let_go() {
    let warehouse = Warehouse::new();
    let parcel = Parcel::new(1000, &warehouse.alive);
    let held = warehouse.parcels.set("key", &Policy::new(), parcel).await;
    warehouse.store.flush().await;
    assert_eq!((warehouse.alive(), warehouse.bytes()), (1000, 0));
    assert_eq!(held.weight, 1000);
    drop(held);
    assert_eq!(warehouse.alive(), 0);
}

#[tokio::test]
async fn what_is_asked_for_most_stays() {
    let warehouse = Warehouse::new();
    // Many times as much as there is room for, each asked for once.
    for cold in 0..4000 {
        warehouse.put(&format!("cold-{cold}"), 5000).await;
        warehouse.put(&format!("hot-{}", cold % 50), 5000).await;
    }
    let mut kept = 0;
    for hot in 0..50 {
        kept += usize::from(warehouse.has(&format!("hot-{hot}")).await);
    }
    // How often each is asked for is an estimate, in which a key now and then stands for another one too.
    assert!(kept >= 40, "{kept} of 50");
}

#[tokio::test]
async fn without_a_size_in_the_settings_a_part_of_the_free_memory_is_taken() {
    let mut bench = Bench::new();
    bench.settings.l1_capacity = None;
    let store = bench.in_memory();
    let capacity = store.stats().l1_capacity;
    assert!(capacity >= 1 << 20, "{capacity}");
    if let Ok(memory) = std::fs::read_to_string("/proc/meminfo") {
        let total = memory.split_whitespace().nth(1).expect("MemTotal");
        let total = total.parse::<u64>().expect("KiB") * 1024;
        assert!(capacity <= total / 4, "{capacity} of {total}");
    }
    super::fetch(&store, "key", "a").await;
    assert!(get(&store, "key").await.is_some());
}
