//! News: what one node invalidates is outdated on all, and nothing else is.

use super::*;
use crate::infra::cache::redis::bus::MOST_TAGS;

#[tokio::test]
async fn an_invalidation_reaches_the_others_and_spares_what_came_after_it() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    let before = two.generations.current();
    one.generations.invalidate(&[tag("a")]);
    let meanwhile = one.generations.current();
    one.redis.announce(&[tag("a")]).await.expect("it is told");
    let after = one.generations.current();

    let is_told = async || two.is_outdated(before, tag("a"));
    eventually("the other node hears of it", is_told).await;
    assert!(!two.is_outdated(before, tag("b")));
    assert!(!two.is_outdated(after, tag("a")));
    assert_eq!(two.generations.current(), after);
    // The node itself does not drop what it loaded between its own note and the answer of Redis.
    assert!(one.is_outdated(before, tag("a")));
    assert!(!one.is_outdated(meanwhile, tag("a")));
    assert!(!one.is_outdated(after, tag("a")));
}

#[tokio::test]
async fn a_node_that_joins_knows_what_was_invalidated_before() {
    let server = RedisServer::start().await;
    let one = Node::join(&server).await;
    let old = one.generations.current();
    one.invalidate(&[tag("a")]).await.expect("it is told");
    one.invalidate(&[tag("b")]).await.expect("it is told");
    let new = one.generations.current();

    let two = Node::join(&server).await;
    assert!(two.is_outdated(old, tag("a")) && two.is_outdated(old, tag("b")));
    assert!(!two.is_outdated(old, tag("c")));
    assert!(!two.is_outdated(new, tag("a")) && !two.is_outdated(new, tag("b")));
    assert!(two.generations.current() >= new);
}

#[tokio::test]
async fn nodes_of_two_builds_hear_each_other() {
    let server = RedisServer::start().await;
    let old = Node::join(&server).await;
    let new = Node::start(&server, "another build", LOCK_TTL);
    let new = new.connected().await;
    let before = old.generations.current();
    new.invalidate(&[tag("a")]).await.expect("it is told");
    let is_told = async || old.is_outdated(before, tag("a"));
    eventually("the old build hears of it", is_told).await;
}

#[tokio::test]
async fn everything_is_a_tag_too() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    let before = two.generations.current();
    let tags = [tag("a"), TagId::EVERYTHING];
    one.invalidate(&tags).await.expect("it is told");
    let is_told = async || two.is_outdated(before, tag("anything"));
    eventually("the other node hears of it", is_told).await;
    let three = Node::join(&server).await;
    assert!(three.is_outdated(before, tag("anything")));
    assert!(!three.is_outdated(one.generations.current(), tag("a")));
}

/// The window between a node's own note of an invalidation and the number that Redis gives it.
#[tokio::test]
async fn an_entry_of_another_node_is_outdated_by_an_invalidation_that_was_numbered_after_it() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    one.generations.invalidate(&[tag("a")]);
    two.invalidate(&[tag("b")]).await.expect("it is told");
    // Knows nothing of "a" being invalidated, and has a greater generation than the note that it was.
    let born = two.generations.current();
    one.redis.announce(&[tag("a")]).await.expect("it is told");
    assert!(one.is_outdated(born, tag("a")));
    let is_told = async || two.is_outdated(born, tag("a"));
    eventually("the other node hears of it", is_told).await;
}

#[tokio::test]
async fn an_entry_younger_than_the_last_number_is_not_shared() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    one.generations.invalidate(&[tag("a")]);
    one.store("ns:key", &one.entry("value", &[])).await;
    assert_eq!(two.get("ns:key").await, None);
    let lease = one.lease("ns:key").await;
    let stored = one
        .redis
        .set("ns:key", one.entry("value", &[]), None, Some(lease));
    stored.await.expect("that is no error");
    assert_eq!(two.get("ns:key").await, None);
    drop(two.lease("ns:key").await);

    one.redis.announce(&[tag("a")]).await.expect("it is told");
    let entry = one.entry("value", &[]);
    one.store("ns:key", &entry).await;
    assert_eq!(two.get("ns:key").await, Some(entry));
}

#[tokio::test]
async fn a_hundred_thousand_tags_are_announced_at_once() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::patient(&server).await, Node::patient(&server).await);
    let before = two.generations.current();
    let tags: Vec<TagId> = (0..100_000).map(|n| tag(&n.to_string())).collect();
    one.invalidate(&tags).await.expect("they are told");
    let is_told = async || tags.iter().all(|&tag| two.is_outdated(before, tag));
    eventually("the other node hears of them", is_told).await;
    let three = Node::patient(&server).await;
    assert!(tags.iter().all(|&tag| three.is_outdated(before, tag)));
    assert!(!three.is_outdated(before, tag("another")));
}

#[tokio::test]
async fn a_full_table_forgets_and_believes_nothing_old_instead() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::patient(&server).await, Node::patient(&server).await);
    let before = one.generations.current();
    let tags: Vec<TagId> = (0..=MOST_TAGS as u64).map(TagId).skip(1).collect();
    one.invalidate(&tags).await.expect("they are told");
    one.invalidate(&[tag("last")]).await.expect("it is told");
    let fields: usize = server.command(&["HLEN", "{test:invalidations}"]).await;
    assert!(fields < MOST_TAGS / 2, "{fields}");
    let three = Node::patient(&server).await;
    assert!(three.is_outdated(before, tag("another")));
    assert!(!three.is_outdated(one.generations.current(), tag("last")));
    let is_told = async || two.is_outdated(before, tag("last"));
    eventually("the other node hears of it", is_told).await;
}

#[tokio::test]
async fn announcing_nothing_is_nothing() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    let before = node.generations.current();
    node.redis.announce(&[]).await.expect("nothing is told");
    assert_eq!(node.generations.current(), before);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_made_up_for_by_the_table() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    let listeners: u32 = server
        .command(&["PUBLISH", "test:invalidations", "?"])
        .await;
    assert_eq!(listeners, 1);
    eventually("it joins again", async || node.resyncs() == 2).await;
    node.connected().await;
}
