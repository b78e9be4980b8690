//! What a hit in the tier that a fleet shares costs, beside the bare client's GET: `cargo bench --bench redis`.

use std::collections::BTreeMap;
use std::time::Duration;

use app::domain::clock::Clock;
use app::infra::cache::{Cache, CacheSettings, LoadFailed, Loaded, Policy, Source, Store};
use app::settings;
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::future::join_all;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use self::server::RedisServer;

#[path = "../tests/it/support/redis.rs"]
#[expect(dead_code, reason = "only the tests kill and freeze it")]
mod server;

/// Hits that are asked for at the same time.
const IN_FLIGHT: usize = 64;

/// A value of 4 KiB, of bytes as the body of a page is.
fn value() -> Bytes {
    "0123456789abcdef".repeat(256).into()
}

fn keys() -> Vec<String> {
    (0..IN_FLIGHT)
        .map(|n| format!("/articles/a-slug-{n:02}"))
        .collect()
}

/// A cache whose memory keeps nothing.
fn shared(url: &str) -> Store {
    let environment = BTreeMap::from([("REDIS_URL".to_owned(), url.to_owned())]);
    let settings = settings::load_from(None, &environment)
        .expect("the settings are valid")
        .settings;
    let cache = CacheSettings {
        l1_ttl: Duration::ZERO,
        ..settings.cache
    };
    let url = settings.redis.url.clone().expect("it was just set");
    Store::shared(cache, &settings.redis, &url, "bench", Clock::system())
}

async fn hit(cache: &Cache<Bytes>, policy: &Policy, key: &str) -> Source {
    let load = || async { Ok::<_, LoadFailed>(Loaded::new(value())) };
    let found = cache.fetch(key, policy, load).await.expect("loads");
    assert_eq!(found.len(), 4096);
    found.source()
}

async fn bare_hit(redis: &mut MultiplexedConnection, key: &str) {
    let found: Vec<u8> = redis.get(key).await.expect("is there");
    assert_eq!(found.len(), 4096);
}

fn l2_hit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(RedisServer::start());
    let keys = keys();
    let policy = Policy::new();
    let (store, bare) = runtime.block_on(async {
        let client = redis::Client::open(server.url()).expect("an address");
        let mut bare = client
            .get_multiplexed_async_connection()
            .await
            .expect("connects");
        for key in &keys {
            let () = bare.set(key, &value()[..]).await.expect("is written");
        }
        (shared(&server.url()), bare)
    });
    let cache = store.namespace::<Bytes>("bench");
    runtime.block_on(async {
        for key in &keys {
            while hit(&cache, &policy, key).await != Source::L2 {}
        }
    });

    let mut group = criterion.benchmark_group("l2 hit, 4 KiB in Redis");
    group.bench_function("bare GET", |bencher| {
        let bare = bare.clone();
        bencher.to_async(&runtime).iter(|| {
            let mut bare = bare.clone();
            let key = &keys[0];
            async move { bare_hit(&mut bare, key).await }
        });
    });
    group.bench_function("cache.fetch", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| async { assert_eq!(hit(&cache, &policy, &keys[0]).await, Source::L2) });
    });
    group.finish();

    let mut group = criterion.benchmark_group("l2 hit, 64 in flight in Redis");
    group.bench_function("bare GET", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            join_all(keys.iter().map(|key| {
                let mut bare = bare.clone();
                async move { bare_hit(&mut bare, key).await }
            }))
        });
    });
    group.bench_function("cache.fetch", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| join_all(keys.iter().map(|key| hit(&cache, &policy, key))));
    });
    group.finish();
    runtime.block_on(store.close());
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = l2_hit
}
criterion_main!(benches);
