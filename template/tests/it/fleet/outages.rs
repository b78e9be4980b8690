//! Redis killed, frozen, restarted, or cut off from one node: no caller notices, and nothing stale is served afterwards.

use super::*;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::oneshot;

#[tokio::test]
async fn a_node_starts_and_works_without_redis() {
    let mut server = RedisServer::start().await;
    server.kill();
    let node = Node::start(&server.url());
    assert!(!node.store.is_well());
    assert_eq!(node.fetch("key", "a").await, ("a".into(), Source::Loader));
    assert_eq!(node.fetch("key", "-").await, ("a".into(), Source::L1));
    server.restart().await;
    node.recover().await;
}

#[tokio::test]
async fn redis_killed_while_a_value_is_loaded_fails_nobody_on_any_node() {
    let mut server = RedisServer::start().await;
    let [a, b, _] = fleet(&server.url()).await;
    let (begun, has_begun) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let cache = a.strings();
    let loading = tokio::spawn(async move {
        let load = async move || {
            begun.send(()).expect("the test waits");
            released.await.expect("the test goes on");
            Ok::<_, LoadFailed>(Loaded::new("a".to_owned()))
        };
        let found = cache.fetch("key", &Policy::new(), load).await;
        found.map(|found| found.to_string())
    });
    has_begun.await.unwrap();
    let cache = b.strings();
    let waiting = tokio::spawn(async move {
        let load = async || Ok::<_, LoadFailed>(Loaded::new("b".to_owned()));
        let found = cache.fetch("key", &Policy::new(), load).await;
        found.map(|found| found.to_string())
    });
    server.kill();
    assert_eq!(
        waiting.await.unwrap(),
        Ok("b".into()),
        "it loads for itself"
    );
    release.send(()).unwrap();
    assert_eq!(loading.await.unwrap(), Ok("a".into()));
}

#[tokio::test]
async fn a_frozen_redis_opens_the_breaker_and_a_thawed_one_closes_it() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let is_breaker = |state: u8| {
        let line = format!("circuit_breaker_state{{name=\"cache_l2\"}} {state}\n");
        recorder.handle().render().contains(&line)
    };
    let server = RedisServer::start().await;
    let [a, b, _] = fleet(&server.url()).await;
    a.fetch("key", "old").await;
    b.fetch("key", "old").await;
    server.freeze();
    // From the first failure on, values come from the loader and stay in memory.
    for n in 0..8 {
        let key = format!("other-{n}");
        assert_eq!(a.fetch(&key, "x").await, ("x".into(), Source::Loader));
        assert_eq!(a.fetch(&key, "-").await, ("x".into(), Source::L1));
    }
    assert!(!a.store.is_well());
    assert!(is_breaker(2), "it is open");
    // What changes meanwhile is told when that is possible.
    a.store.invalidate_tags(["tag"]).await;
    assert_eq!(a.fetch("key", "new").await.0, "new");
    server.thaw();
    a.recover().await;
    b.recover().await;
    assert!(is_breaker(0), "it is closed");
    b.fetch_until("key", "new").await;
}

#[tokio::test]
async fn a_redis_that_returns_with_old_data_is_not_believed() {
    let mut server = RedisServer::start().await;
    let [a, b, _] = fleet(&server.url()).await;
    a.fetch("key", "old").await;
    eventually("it is in Redis", async || {
        b.strings().get("key").await.is_some()
    })
    .await;
    server.save().await;
    a.store.invalidate_tags(["tag"]).await;
    b.fetch_until("key", "new").await;
    server.restart().await;
    a.recover().await;
    b.recover().await;
    let late = Node::join(&server.url()).await;
    for node in [&a, &b, &late] {
        assert_ne!(node.fetch("key", "newer").await.0, "old");
    }
}

#[tokio::test]
async fn a_change_while_one_node_is_cut_off_reaches_it_when_it_is_back() {
    let server = RedisServer::start().await;
    let network = Proxy::to(server.address()).await;
    let cut_off = Node::join(&network.url()).await;
    let other = Node::join(&server.url()).await;
    cut_off.fetch("key", "old").await;
    other.fetch("key", "old").await;
    network.cut();
    eventually("it notices", async || !cut_off.store.is_well()).await;
    other.store.invalidate_tags(["tag"]).await;
    other.fetch("key", "new").await;
    network.heal();
    cut_off.recover().await;
    assert_eq!(cut_off.fetch("key", "new").await.0, "new");
}

#[tokio::test]
async fn a_change_made_by_a_node_that_is_cut_off_reaches_the_others_when_it_is_back() {
    let server = RedisServer::start().await;
    let network = Proxy::to(server.address()).await;
    let cut_off = Node::join(&network.url()).await;
    let other = Node::join(&server.url()).await;
    other.fetch("key", "old").await;
    network.cut();
    eventually("it notices", async || !cut_off.store.is_well()).await;
    cut_off.store.invalidate_tags(["tag"]).await;
    assert_eq!(cut_off.fetch("key", "new").await.0, "new");
    network.heal();
    cut_off.recover().await;
    other.fetch_until("key", "new").await;
}

#[tokio::test]
async fn scripts_that_redis_has_forgotten_are_sent_again() {
    let server = RedisServer::start().await;
    let [a, b, _] = fleet(&server.url()).await;
    a.fetch("key", "old").await;
    server.flush_scripts().await;
    a.store.invalidate_tags(["tag"]).await;
    b.fetch_until("key", "new").await;
    assert!(a.store.is_well() && b.store.is_well());
}
