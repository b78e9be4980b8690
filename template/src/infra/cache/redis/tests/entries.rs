//! Entries: stored, found, expired, replaced, removed.

use std::time::Duration;

use validator::Validate;

use super::super::{Keys, milliseconds, package_name};
use super::*;

fn key_of(name: &str) -> String {
    Keys::new("test", ORIGIN).entry(name)
}

#[tokio::test]
async fn an_entry_is_found_by_every_node_until_it_is_removed() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    assert_eq!(two.get("ns:key").await, None);
    let entry = one.entry("value", &[]);
    one.store("ns:key", &entry).await;
    assert_eq!(two.get("ns:key").await, Some(entry));
    two.redis.remove("ns:key").await.expect("it is removed");
    assert_eq!(one.get("ns:key").await, None);
}

#[tokio::test]
async fn a_key_may_contain_anything() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    for key in ["", "ns:}{", "ns:{a}b", "ns:\r\n*1", "ns:ä ö"] {
        let entry = node.entry(key, &[]);
        node.store(key, &entry).await;
        assert_eq!(node.get(key).await, Some(entry), "{key:?}");
    }
}

#[tokio::test]
async fn another_build_has_entries_of_its_own() {
    let server = RedisServer::start().await;
    let old = Node::join(&server).await;
    let new = Node::start(&server, "another build", LOCK_TTL);
    let new = new.connected().await;
    old.store("ns:key", &old.entry("old", &[])).await;
    assert_eq!(new.get("ns:key").await, None);

    let entry = new.entry("new", &[]);
    new.store("ns:key", &entry).await;
    old.redis.clear().await.expect("it is cleared");
    assert_eq!(old.get("ns:key").await, None);
    assert_eq!(new.get("ns:key").await, Some(entry));
}

#[tokio::test]
async fn clearing_removes_thousands_of_entries() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    for number in 0..3000 {
        node.store(&format!("ns:{number}"), &node.entry("value", &[]))
            .await;
    }
    node.redis.clear().await.expect("it is cleared");
    let keys: Vec<String> = server.command(&["KEYS", "*:entry"]).await;
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn an_entry_lives_as_long_as_it_was_told() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    let entry = node.entry("value", &[]);
    let key = key_of("ns:key");
    let set = async |ttl| {
        let stored = node.redis.set("ns:key", entry.clone(), ttl, None).await;
        stored.expect("it is stored");
        server.command::<i64>(&["PTTL", &key]).await
    };

    assert_eq!(set(None).await, -1, "for ever");
    let left = set(Some(Duration::from_mins(1))).await;
    assert!((50_000..=60_000).contains(&left), "{left}");
    let left = set(Some(Duration::from_millis(900))).await;
    assert!((1..=900).contains(&left), "{left}");
    eventually("it expires", async || node.get("ns:key").await.is_none()).await;
    set(Some(Duration::from_nanos(1))).await;
    eventually("it expires", async || node.get("ns:key").await.is_none()).await;
}

#[test]
fn times_to_live_are_rounded_up_to_milliseconds() {
    assert_eq!(milliseconds(Duration::ZERO), 1);
    assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
    assert_eq!(milliseconds(Duration::from_micros(1500)), 2);
    assert_eq!(milliseconds(Duration::from_secs(2)), 2000);
}

#[tokio::test]
async fn an_entry_that_was_born_later_stays() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    let born = node.generations.current();
    let (young, old) = (entry(born, "young", &[]), entry(born - 1, "old", &[]));
    node.store("ns:key", &young).await;
    node.store("ns:key", &old).await;
    assert_eq!(node.get("ns:key").await, Some(young));
    let same = entry(born, "stored at the same time", &[]);
    node.store("ns:key", &same).await;
    assert_eq!(node.get("ns:key").await, Some(same));
}

#[tokio::test]
async fn anything_else_under_the_key_is_replaced() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    let key = key_of("ns:key");
    for garbage in ["", "short", "\x7fof another format, and long enough"] {
        let _: () = server.command(&["SET", &key, garbage]).await;
        let entry = node.entry("value", &[]);
        node.store("ns:key", &entry).await;
        assert_eq!(node.get("ns:key").await, Some(entry), "{garbage:?}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refused = |url: &str, prefix: &str, timeout| {
        let settings = RedisSettings {
            url: Some(Secret::new(url)),
            prefix: prefix.to_owned(),
            timeout,
        };
        let errors = settings.validate().err();
        errors.is_some_and(|errors| errors.errors().len() == 1)
    };
    let url = "redis://user:password@localhost:6379/0";
    assert!(!refused(url, &package_name(), TIMEOUT));
    assert!(refused("http://localhost", "app", TIMEOUT));
    assert!(refused("localhost:6379", "app", TIMEOUT));
    assert!(refused(url, "", TIMEOUT));
    assert!(refused(url, "{app}", TIMEOUT));
    assert!(refused(url, "app", Duration::ZERO));
}
