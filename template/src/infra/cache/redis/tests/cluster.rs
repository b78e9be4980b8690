//! A cluster: it refuses a script that touches keys of two slots, or of another node.

use super::super::Keys;
use super::*;

/// The first number whose key is stored on this server.
async fn first_here(server: &RedisServer, key: impl Fn(u32) -> String) -> u32 {
    for number in 0..1000 {
        let exists = server.try_command::<bool>(&["EXISTS", &key(number)]).await;
        match exists {
            Ok(_) => return number,
            Err(error) => assert_eq!(error.code(), Some("MOVED")),
        }
    }
    panic!("this server has no slots");
}

#[tokio::test]
async fn every_script_keeps_to_one_slot() {
    for server in &RedisServer::start_cluster().await {
        let table = |number| format!("{{app{number}:invalidations}}");
        let prefix = format!("app{}", first_here(server, table).await);
        let keys = Keys::new(&prefix, ORIGIN);
        let key = |number| format!("ns:{number}");
        let entry_of = |number| keys.entry(&key(number));
        let key = key(first_here(server, entry_of).await);

        let join = async || {
            let node = Node::start_as(&prefix, server, ORIGIN, LOCK_TTL);
            node.connected().await
        };
        let (one, two) = (join().await, join().await);
        let before = two.generations.current();
        one.invalidate(&[tag("a")]).await.expect("it is told");
        let is_told = async || two.is_outdated(before, tag("a"));
        eventually("the other node hears of it", is_told).await;

        let lease = one.lease(&key).await;
        let released = one.redis.release(&key, lease).await;
        released.expect("it is released");
        let lease = one.lease(&key).await;
        let entry = one.entry("value", &[]);
        let stored = one.redis.set(&key, entry.clone(), None, Some(lease)).await;
        stored.expect("it is stored");
        assert_eq!(two.get(&key).await, Some(entry));
        two.redis.remove(&key).await.expect("it is removed");

        let lease = two.lease(&key).await;
        let time_left = async || server.command::<i64>(&["PTTL", &keys.lock(&key)]).await;
        eventually("time runs", async || time_left().await < 1700).await;
        eventually("it is renewed", async || time_left().await > 1900).await;
        drop(lease);
    }
}
