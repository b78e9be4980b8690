//! Several nodes with one Redis behind their caches: one load in the fleet, one truth, and no harm from an outage.

mod limits;
mod outages;
mod proxy;
mod warmup;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use app::domain::clock::Clock;
use app::infra::cache::{Cache, LoadFailed, Loaded, Policy, Source, Store};
use app::settings::{Secret, Settings};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::{fixed_clock, settings_alone};

/// How long something that takes milliseconds is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a service asks of its cache, without the service.
struct Node {
    store: Store,
    clock: Clock,
}

impl Node {
    /// One that has reached the Redis at `url`.
    async fn join(url: &str) -> Self {
        let node = Self::start(url);
        node.recover().await;
        node
    }

    /// One that may never reach it.
    fn start(url: &str) -> Self {
        let Settings { cache, redis, .. } =
            settings_alone(&[("REDIS_URL", url), ("APP__CACHE__L1_CAPACITY", "16MiB")]);
        let clock = fixed_clock();
        let store = Store::shared(cache, &redis, &Secret::new(url), "build", clock.clone());
        Self { store, clock }
    }

    fn strings(&self) -> Cache<String> {
        self.store.namespace("strings")
    }

    /// Waits until Redis is used again, letting the breaker's time pass.
    async fn recover(&self) {
        eventually("the node reaches Redis", async || {
            self.clock.advance(Duration::from_secs(31));
            self.strings().get("nothing").await;
            self.store.is_well()
        })
        .await;
    }

    /// What `key` is here; `value` if it has to be loaded.
    async fn fetch(&self, key: &str, value: &str) -> (String, Source) {
        let value = value.to_owned();
        let load = async move || Ok::<_, LoadFailed>(Loaded::new(value).tag("tag"));
        let found = self.strings().fetch(key, &Policy::new(), load).await;
        let found = found.expect("the cache fails nobody");
        (found.to_string(), found.source())
    }

    async fn fetch_until(&self, key: &str, wanted: &str) {
        eventually("the others hear of it", async || {
            self.fetch(key, wanted).await.0 == wanted
        })
        .await;
    }
}

async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Three nodes of one fleet.
async fn fleet(url: &str) -> [Node; 3] {
    [
        Node::join(url).await,
        Node::join(url).await,
        Node::join(url).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_on_three_cold_nodes_cause_one_load() {
    let server = RedisServer::start().await;
    let nodes = fleet(&server.url()).await;
    let loads = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for n in 0..1000 {
        let (cache, loads) = (nodes[n % 3].strings(), Arc::clone(&loads));
        callers.spawn(async move {
            let load = async move || {
                loads.fetch_add(1, Ordering::SeqCst);
                // Long enough for the other nodes to ask.
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, LoadFailed>(Loaded::new("value".to_owned()))
            };
            let found = cache.fetch("key", &Policy::new(), load).await;
            found.map(|found| found.to_string())
        });
    }
    while let Some(found) = callers.join_next().await {
        assert_eq!(found.unwrap(), Ok("value".to_owned()));
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_one_node_has_loaded_the_others_read() {
    let server = RedisServer::start().await;
    let [a, b, c] = fleet(&server.url()).await;
    assert_eq!(a.fetch("key", "a").await, ("a".into(), Source::Loader));
    eventually("it is in Redis", async || {
        b.strings().get("key").await.is_some()
    })
    .await;
    assert_eq!(c.fetch("key", "-").await, ("a".into(), Source::L2));
    assert_eq!(c.fetch("key", "-").await, ("a".into(), Source::L1));
}

#[tokio::test]
async fn an_invalidation_reaches_every_node_and_nothing_else() {
    let server = RedisServer::start().await;
    let [a, b, c] = fleet(&server.url()).await;
    for node in [&a, &b, &c] {
        node.fetch("key", "old").await;
        node.strings()
            .set("other", &Policy::new(), "stays".into())
            .await;
    }
    // The last to set it has taken it from the others: let them hear of it.
    eventually("all have it", async || {
        let mut all = true;
        for node in [&a, &b, &c] {
            all &= node.fetch("other", "loaded").await.0 == "stays";
        }
        all
    })
    .await;
    a.store.invalidate_tags(["tag"]).await;
    for node in [&a, &b, &c] {
        node.fetch_until("key", "new").await;
        assert_eq!(node.fetch("other", "-").await.0, "stays");
    }
}

#[tokio::test]
async fn the_node_that_invalidates_keeps_what_it_loads_next() {
    let server = RedisServer::start().await;
    let [a, b, _] = fleet(&server.url()).await;
    a.fetch("key", "old").await;
    a.store.invalidate_tags(["tag"]).await;
    assert_eq!(a.fetch("key", "new").await.1, Source::Loader);
    // Until another node has heard of it, its own message must have come back as well.
    b.fetch_until("key", "new").await;
    assert_eq!(a.fetch("key", "-").await, ("new".into(), Source::L1));
}

#[tokio::test]
async fn a_hundred_thousand_keys_under_one_tag_are_gone_at_once_on_every_node() {
    let server = RedisServer::start().await;
    let [a, b, _] = fleet(&server.url()).await;
    let a = Arc::new(a);
    let mut writers = JoinSet::new();
    for first in (0..100_000).step_by(1000) {
        let a = Arc::clone(&a);
        writers.spawn(async move {
            for n in first..first + 1000 {
                a.fetch(&format!("key-{n}"), "old").await;
            }
        });
    }
    writers.join_all().await;
    a.store.invalidate_tags(["tag"]).await;
    b.fetch_until("key-7", "new").await;
    for n in (0..100_000).step_by(997) {
        let key = format!("key-{n}");
        assert_eq!(a.fetch(&key, "new").await.0, "new", "{key}");
        assert_eq!(b.fetch(&key, "new").await.0, "new", "{key}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_in_redis_is_loaded_anew() {
    let server = RedisServer::start().await;
    let [a, b, c] = fleet(&server.url()).await;
    a.fetch("key", "good").await;
    b.fetch_until("key", "good").await;
    let names: Vec<String> = server.command(&["KEYS", "*:entry"]).await;
    assert_eq!(names.len(), 1);
    for garbage in [
        "",
        "\u{2}",
        "garbage",
        "\u{2}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}garbage and more of it",
    ] {
        server.command::<()>(&["SET", &names[0], garbage]).await;
        assert_eq!(
            c.strings().get("key").await.as_deref().map(String::as_str),
            None
        );
    }
    assert_eq!(
        c.fetch("key", "anew").await,
        ("anew".into(), Source::Loader)
    );
}

#[tokio::test]
async fn a_flush_empties_every_node() {
    let server = RedisServer::start().await;
    let [a, b, c] = fleet(&server.url()).await;
    for node in [&a, &b, &c] {
        node.fetch("key", "old").await;
    }
    a.store.flush().await;
    for node in [&a, &b, &c] {
        node.fetch_until("key", "new").await;
    }
}

#[tokio::test]
async fn a_lifetime_below_a_second_ends_in_redis_too() {
    let server = RedisServer::start().await;
    let [a, _, _] = fleet(&server.url()).await;
    let policy = Policy::new()
        .ttl(Duration::from_millis(300))
        .stale_for(Duration::ZERO)
        .jitter(0.0);
    a.strings().set("key", &policy, "brief".into()).await;
    let keys = async || -> Vec<String> { server.command(&["KEYS", "*:entry"]).await };
    eventually("it is in Redis", async || !keys().await.is_empty()).await;
    eventually("it is gone from there", async || keys().await.is_empty()).await;
}
