//! What the cache costs, beside what it is made of: `cargo bench --bench cache`.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use app::domain::clock::Clock;
use app::infra::cache::{Cache, CacheSettings, Cached, LoadFailed, Loaded, Policy, Source, Store};
use app::settings;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use tokio::task::JoinSet;

const KEY: &str = "/articles/a-slug-of-the-usual-length";

/// A value of 4 KiB.
fn value() -> String {
    "0123456789abcdef".repeat(256)
}

fn settings() -> CacheSettings {
    let defaults = settings::load_from(None, &std::collections::BTreeMap::new());
    let mut cache = defaults.expect("the defaults are valid").settings.cache;
    cache.l1_capacity = Some(bytesize::ByteSize::mib(64));
    cache
}

/// The result of a future that has nothing to wait for.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits for something"),
    }
}

fn hit(cache: &Cache<String>, policy: &Policy) -> Cached<String> {
    let load = || async { Err::<Loaded<String>, _>(LoadFailed::Panicked) };
    ready(cache.fetch(KEY, policy, load)).expect("it is in memory")
}

/// The mean time of one call while `threads` make it at the same time.
fn on_threads(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    threads: usize,
    call: impl Fn() + Sync,
) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|calls| {
            let start = Barrier::new(threads);
            let run = || {
                start.wait();
                let began = Instant::now();
                for _ in 0..calls {
                    call();
                }
                began.elapsed()
            };
            std::thread::scope(|scope| {
                let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
                let mine = run();
                others
                    .into_iter()
                    .map(|thread| thread.join().expect("no panic"))
                    .fold(mine, Duration::max)
            })
        });
    });
}

/// A hit in memory, the bare maps' look-ups of the same `Arc`, and mini-moka's.
fn l1_hit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = Store::in_memory(settings(), Clock::system());
    let cache = store.namespace::<String>("bench");
    let policy = Policy::new();
    runtime.block_on(cache.set(KEY, &policy, value()));
    let shared = Arc::new(value());
    let papaya = papaya::HashMap::new();
    papaya.pin().insert(KEY.to_owned(), Arc::clone(&shared));
    let mini_moka = mini_moka::sync::Cache::new(10_000);
    mini_moka.insert(KEY.to_owned(), Arc::clone(&shared));
    let key = KEY.to_owned();

    for threads in [1, 2] {
        let mut group = criterion.benchmark_group(format!("l1 hit, {threads} threads"));
        on_threads(&mut group, "bare papaya", threads, || {
            black_box(papaya.pin().get(black_box(KEY)).cloned());
        });
        on_threads(&mut group, "cache.fetch", threads, || {
            black_box(hit(&cache, black_box(&policy)));
        });
        on_threads(&mut group, "cache.get_fresh", threads, || {
            black_box(cache.get_fresh(black_box(KEY)));
        });
        on_threads(&mut group, "mini-moka", threads, || {
            black_box(mini_moka.get(black_box(&key)));
        });
        group.finish();
    }
}

/// A hit on disk, decoded, beside a bare sled look-up of as many bytes. The memory tier keeps nothing here.
fn l2_hit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = CacheSettings {
        l1_ttl: Duration::ZERO,
        dir: folder.path().join("cache"),
        ..settings()
    };
    let store = runtime.block_on(async { Store::open(settings, "bench", Clock::system()) });
    let cache = store.namespace::<String>("bench");
    let policy = Policy::new();
    let load = || async { Ok::<_, LoadFailed>(Loaded::new(value())) };
    let fetch = || runtime.block_on(cache.fetch(KEY, &policy, load));
    while fetch().expect("loads").source() != Source::L2 {}

    let bare = sled::open(folder.path().join("bare")).expect("a store");
    bare.insert(KEY, value().as_bytes()).expect("is written");

    let mut group = criterion.benchmark_group("l2 hit, 4 KiB on disk");
    group.bench_function("bare sled", |bencher| {
        bencher.iter(|| black_box(bare.get(black_box(KEY))));
    });
    group.bench_function("cache.fetch", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let found = cache.fetch(KEY, &policy, load).await.expect("is there");
            assert_eq!(found.source(), Source::L2);
            found
        });
    });
    group.finish();
    runtime.block_on(store.close());
}

/// Ten thousand callers of one cold key, who all get the value of one load.
fn stampede(criterion: &mut Criterion) {
    const CALLERS: usize = 10_000;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = Store::in_memory(settings(), Clock::system());
    let cache = store.namespace::<String>("bench");
    let rounds = AtomicUsize::new(0);
    let mut group = criterion.benchmark_group("stampede");
    group.sample_size(10);
    group.bench_function("10,000 callers of a cold key", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            let key = format!("key-{}", rounds.fetch_add(1, Ordering::Relaxed));
            stampede_once(cache.clone(), key, CALLERS)
        });
    });
    group.finish();
}

async fn stampede_once(cache: Cache<String>, key: String, callers: usize) {
    let loads = Arc::new(AtomicUsize::new(0));
    let mut waiting = JoinSet::new();
    for _ in 0..callers {
        let (cache, key, loads) = (cache.clone(), key.clone(), Arc::clone(&loads));
        waiting.spawn(async move {
            let load = async move || {
                loads.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<_, LoadFailed>(Loaded::new(value()))
            };
            let found = cache.fetch(&key, &Policy::new(), load).await;
            found.expect("loads").len()
        });
    }
    while let Some(length) = waiting.join_next().await {
        assert_eq!(length.expect("no panic"), 4096);
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1, "one load for all");
}

/// Printed, not timed: the memory that a million small entries take, beside what the cache believes.
fn memory(_: &mut Criterion) {
    const ENTRIES: u64 = 1_000_000;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let settings = CacheSettings {
        l1_capacity: Some(bytesize::ByteSize::gib(4)),
        ..settings()
    };
    let store = Store::in_memory(settings, Clock::system());
    let cache = store.namespace::<String>("bench");
    let before = resident_bytes();
    runtime.block_on(async {
        for n in 0..ENTRIES {
            cache
                .set(
                    &format!("key-{n:08}"),
                    &Policy::new(),
                    format!("value-{n:026}"),
                )
                .await;
        }
    });
    let stats = store.stats();
    println!(
        "memory of {} entries with keys of 12 and values of 32 bytes: {} bytes each, {} by the cache's own count",
        stats.l1.entries,
        resident_bytes().saturating_sub(before) / stats.l1.entries,
        stats.l1.bytes / stats.l1.entries,
    );
}

/// What the system says this process takes, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
    kibibytes
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = l1_hit, l2_hit, stampede, memory
}
criterion_main!(benches);
