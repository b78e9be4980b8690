//! Outages: the server is absent, dies, freezes, forgets, or comes back as it was an hour ago.

use super::*;

/// Less than any wait for the server would take.
const AT_ONCE: Duration = Duration::from_millis(250);

#[tokio::test]
async fn it_starts_without_a_server_and_works_once_there_is_one() {
    let mut server = RedisServer::start().await;
    server.kill();
    let node = Node::start(&server, ORIGIN, LOCK_TTL);
    let started = Instant::now();
    assert!(node.redis.get("ns:key").await.is_err());
    assert!(node.redis.lead("ns:key", &|_| true).await.is_err());
    assert!(node.invalidate(&[tag("a")]).await.is_err());
    assert!(started.elapsed() < AT_ONCE);
    assert!(!node.redis.is_ready());
    assert_eq!(node.resyncs(), 0);

    server.restart().await;
    let node = node.connected().await;
    assert_eq!(node.get("ns:key").await, None);
    assert_eq!(node.resyncs(), 1);
}

#[tokio::test]
async fn what_could_not_be_announced_is_announced_after_a_reconnect() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    server.freeze();
    both_notice(&one, &two).await;
    let before = two.generations.current();
    assert!(one.invalidate(&[tag("a")]).await.is_err());
    server.thaw();
    let is_told = async || two.is_outdated(before, tag("a"));
    eventually("the other node hears of it", is_told).await;
    let (one, two) = (one.connected().await, two.connected().await);
    assert_eq!((one.resyncs(), two.resyncs()), (2, 2));
    assert!(!two.is_outdated(before, tag("b")), "and of nothing else");
    let entry = one.entry("value", &[tag("a")]);
    one.store("ns:key", &entry).await;
    assert_eq!(two.get("ns:key").await, Some(entry));
}

#[tokio::test]
async fn what_could_not_be_announced_yet_is_announced_before_the_end() {
    let server = RedisServer::start().await;
    let two = Node::join(&server).await;
    let before = two.generations.current();
    // Not connected so early.
    let one = Node::start(&server, ORIGIN, LOCK_TTL);
    assert!(one.invalidate(&[tag("a")]).await.is_err());
    one.redis.close().await.expect("everything is told");
    let is_told = async || two.is_outdated(before, tag("a"));
    eventually("the other node hears of it", is_told).await;
}

#[tokio::test]
async fn an_end_without_a_server_says_that_the_others_do_not_know() {
    let mut server = RedisServer::start().await;
    let node = Node::join(&server).await;
    server.kill();
    eventually("it notices", async || !node.redis.is_ready()).await;
    assert!(node.invalidate(&[tag("a")]).await.is_err());
    let error = node.redis.close().await.unwrap_err();
    assert!(error.to_string().contains("do not know"), "{error:#}");
}

#[tokio::test]
async fn too_many_unsent_tags_become_everything() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    server.freeze();
    both_notice(&one, &two).await;
    let before = two.generations.current();
    let tags: Vec<TagId> = (1..=100_001).map(TagId).collect();
    assert!(one.invalidate(&tags).await.is_err());
    server.thaw();
    let is_told = async || two.is_outdated(before, tag("anything"));
    eventually("the other node hears of it", is_told).await;
}

async fn both_notice(one: &Node, two: &Node) {
    eventually("they notice", async || {
        !one.redis.is_ready() && !two.redis.is_ready()
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_is_replaced_and_nothing_is_forgotten() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    let entry = one.entry("value", &[]);
    one.store("ns:key", &entry).await;
    let before = one.generations.current();
    for round in 1..=3 {
        server.disconnect_clients().await;
        eventually("both join again", async || {
            one.resyncs() == 1 + round && two.resyncs() == 1 + round
        })
        .await;
        eventually("both are connected", async || {
            one.redis.is_ready() && two.redis.is_ready()
        })
        .await;
    }
    // The server is the same: it has not missed an invalidation.
    assert!(!two.is_outdated(before, tag("a")));
    assert_eq!(two.get("ns:key").await, Some(entry));
    // Joining again has not put what is loaded now out of reach for the others.
    let entry = two.entry("younger", &[]);
    two.store("ns:key", &entry).await;
    assert_eq!(one.get("ns:key").await, Some(entry));
}

#[tokio::test]
async fn an_old_snapshot_is_not_believed() {
    let mut server = RedisServer::start().await;
    let node = Node::join(&server).await;
    node.store("ns:key", &node.entry("value", &[tag("a")]))
        .await;
    let born = node.generations.current();
    server.save().await;
    // The snapshot does not know of this.
    node.invalidate(&[tag("a")]).await.expect("it is told");
    let last = node.generations.current();
    server.restart().await;

    let fresh = Node::join(&server).await;
    let entry = fresh.get("ns:key").await;
    assert!(entry.is_some(), "the snapshot was loaded");
    assert!(fresh.is_outdated(born, tag("a")));
    assert!(fresh.is_outdated(last, tag("b")), "nothing old is believed");
    eventually("the first node knows too", async || {
        node.is_outdated(last, tag("b"))
    })
    .await;
    let node = node.connected().await;
    let entry = node.entry("new", &[tag("a")]);
    node.store("ns:key", &entry).await;
    assert_eq!(fresh.get("ns:key").await, Some(entry));
}

#[tokio::test]
async fn scripts_are_loaded_again_when_the_server_has_lost_them() {
    let mut server = RedisServer::start().await;
    let node = Node::join(&server).await;
    let use_each_script = async |node: &Node| {
        let lease = node.lease("ns:key").await;
        let released = node.redis.release("ns:key", lease).await;
        released.expect("it is released");
        node.store("ns:key", &node.entry("value", &[])).await;
        node.invalidate(&[tag("a")]).await.expect("it is told");
        node.redis.remove("ns:key").await.expect("it is removed");
    };
    use_each_script(&node).await;
    server.flush_scripts().await;
    use_each_script(&node).await;
    server.restart().await;
    eventually("it joins again", async || node.resyncs() == 2).await;
    let node = node.connected().await;
    use_each_script(&node).await;
}

#[tokio::test]
async fn a_frozen_server_costs_each_call_the_timeout_and_then_nothing() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    server.freeze();
    let started = Instant::now();
    assert!(node.redis.get("ns:key").await.is_err());
    assert!(started.elapsed() < TIMEOUT * 2);
    assert!(started.elapsed() >= TIMEOUT);
    eventually("it is given up", async || !node.redis.is_ready()).await;
    assert!(started.elapsed() < TIMEOUT * 8);
    let started = Instant::now();
    assert!(node.redis.get("ns:key").await.is_err());
    assert!(started.elapsed() < AT_ONCE);
    server.thaw();
    let node = node.connected().await;
    assert_eq!(node.get("ns:key").await, None);
    assert_eq!(node.resyncs(), 2);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_without_a_call() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    server.freeze();
    eventually("it is given up", async || !node.redis.is_ready()).await;
    server.thaw();
    node.connected().await;
}

#[tokio::test]
async fn an_announcement_that_was_given_up_is_made_later() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    let before = two.generations.current();
    server.freeze();
    let tags = [tag("a")];
    let announcement = one.invalidate(&tags);
    let given_up = tokio::time::timeout(Duration::from_millis(10), announcement);
    assert!(given_up.await.is_err());
    assert!(!one.redis.is_ready(), "it has to join again");
    server.thaw();
    let is_told = async || two.is_outdated(before, tag("a"));
    eventually("the other node hears of it", is_told).await;
    assert!(!two.is_outdated(before, tag("b")), "and of nothing else");
    one.connected().await;
}

#[tokio::test]
async fn who_waits_for_a_value_is_told_that_the_server_is_gone() {
    let mut server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    let _lease = one.lease("ns:key").await;
    let is_any = |_: &[u8]| true;
    let mut waiting = Box::pin(two.redis.lead("ns:key", &is_any));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting);
    assert!(early.await.is_err(), "it waits");
    server.kill();
    assert!(waiting.await.is_err());
}

#[tokio::test]
async fn flushing_the_server_costs_loads_and_nothing_else() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    let before = one.generations.current();
    one.invalidate(&[tag("a")]).await.expect("it is told");
    server.flush_all().await;
    assert_eq!(one.get("ns:key").await, None);

    // The table is gone, and with it what was invalidated: nothing old is believed by anyone from here on.
    one.invalidate(&[tag("b")]).await.expect("it is told");
    assert!(one.is_outdated(before, tag("c")));
    eventually("the other node hears of it", async || {
        two.is_outdated(before, tag("c"))
    })
    .await;
    let three = Node::join(&server).await;
    assert!(three.is_outdated(before, tag("a")));
    let entry = one.entry("value", &[tag("a"), tag("b")]);
    one.store("ns:key", &entry).await;
    assert_eq!(three.get("ns:key").await, Some(entry));
    assert!(!three.is_outdated(one.generations.current(), tag("b")));
}

#[tokio::test]
async fn after_closing_every_call_fails_at_once() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    node.redis.close().await.expect("it closes");
    assert!(node.redis.get("ns:key").await.is_err());
    assert!(!node.redis.is_ready());
    eventually("its connection ends", async || {
        let clients: String = server.command(&["CLIENT", "LIST"]).await;
        clients.lines().count() == 1
    })
    .await;
}
