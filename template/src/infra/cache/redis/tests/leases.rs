//! Leases: one node loads, the others get its value, and nobody waits for the dead.

use super::super::Keys;
use super::*;

fn lock_of(name: &str) -> String {
    Keys::new("test", ORIGIN).lock(name)
}

async fn time_left(server: &RedisServer) -> i64 {
    server.command(&["PTTL", &lock_of("ns:key")]).await
}

fn value(lead: anyhow::Result<Lead>) -> Option<Bytes> {
    match lead {
        Ok(lead) => lead.entry,
        Err(error) => panic!("{error:#}"),
    }
}

#[tokio::test]
async fn those_who_wait_get_the_value_of_the_one_that_loads() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    let lease = one.lease("ns:key").await;
    let mut waiting = Box::pin(two.redis.lead("ns:key", &|_| true));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting);
    assert!(early.await.is_err(), "it waits");

    let entry = one.entry("value", &[]);
    let stored = one.redis.set("ns:key", entry.clone(), None, Some(lease));
    stored.await.expect("it is stored");
    assert_eq!(value(waiting.await), Some(entry));
    assert_eq!(time_left(&server).await, -2, "the lease has ended");
}

#[tokio::test]
async fn a_value_that_is_there_needs_no_lease() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    let entry = node.entry("value", &[]);
    node.store("ns:key", &entry).await;
    let lead = node.redis.lead("ns:key", &|_| true).await;
    assert_eq!(value(lead), Some(entry.clone()));
    assert_eq!(time_left(&server).await, -2, "nothing is leased");
    let lead = node.redis.lead("ns:key", &|_| false).await;
    assert_eq!(value(lead), None, "a bad one is loaded again");
}

#[tokio::test]
async fn who_waits_ignores_a_value_that_is_not_good() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    one.store("ns:key", &one.entry("bad", &[])).await;
    let Ok(Lead {
        lease: Some(lease), ..
    }) = one.redis.lead("ns:key", &|_| false).await
    else {
        panic!("it was not leased");
    };
    let good = one.entry("good", &[]);
    let is_good = |entry: &[u8]| entry == good;
    let mut waiting = Box::pin(two.redis.lead("ns:key", &is_good));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting);
    assert!(early.await.is_err(), "it waits");
    let stored = one.redis.set("ns:key", good.clone(), None, Some(lease));
    stored.await.expect("it is stored");
    assert_eq!(value(waiting.await), Some(good.clone()));
}

#[tokio::test]
async fn a_lease_that_is_given_up_goes_to_the_next() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::join(&server).await, Node::join(&server).await);
    let lease = one.lease("ns:key").await;
    let is_any = |_: &[u8]| true;
    let waiting = two.redis.lead("ns:key", &is_any);
    let release = one.redis.release("ns:key", lease);
    let (lead, released) = tokio::join!(waiting, release);
    released.expect("it is released");
    assert!(matches!(lead, Ok(Lead { lease: Some(_), .. })));
}

#[tokio::test]
async fn a_lease_is_renewed_while_it_is_held_and_ends_soon_after() {
    let server = RedisServer::start().await;
    let node = Node::join(&server).await;
    let lease = node.lease("ns:key").await;
    for _ in 0..2 {
        eventually("time runs", async || time_left(&server).await < 1700).await;
        eventually("it is renewed", async || time_left(&server).await > 1900).await;
    }
    let dropped = Instant::now();
    drop(lease);
    eventually("it ends", async || time_left(&server).await == -2).await;
    assert!(dropped.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_lease_is_held_for_the_lock_ttl_at_most_and_nobody_waits_longer() {
    let server = RedisServer::start().await;
    let lock_ttl = Duration::from_millis(1200);
    let slow = Node::start(&server, ORIGIN, lock_ttl).connected().await;
    let other = Node::start(&server, ORIGIN, lock_ttl).connected().await;
    let started = Instant::now();
    let lease = slow.lease("ns:key").await;
    let lead = other.redis.lead("ns:key", &|_| true).await;
    assert!(matches!(lead, Ok(Lead { entry: None, .. })));
    assert!(started.elapsed() < lock_ttl * 2);
    eventually("it ends", async || time_left(&server).await == -2).await;
    drop(lease);
}

#[tokio::test]
async fn the_keys_of_a_node_that_died_are_free_within_two_seconds() {
    let server = RedisServer::start().await;
    let (dying, other) = (Node::join(&server).await, Node::join(&server).await);
    let lease = dying.lease("ns:key").await;
    // What is left of a process after SIGKILL: no release, no renewal.
    drop((lease, dying));
    let died = Instant::now();
    other.lease("ns:key").await;
    assert!(died.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_holder_whose_lease_has_gone_to_another_stores_nothing() {
    let server = RedisServer::start().await;
    let (late, other) = (Node::join(&server).await, Node::join(&server).await);
    let lost = late.lease("ns:key").await;
    let _: u64 = server.command(&["DEL", &lock_of("ns:key")]).await;
    let held = other.lease("ns:key").await;

    let entry = late.entry("late", &[]);
    let stored = late.redis.set("ns:key", entry, None, Some(lost)).await;
    stored.expect("that is no error");
    assert_eq!(late.get("ns:key").await, None);

    let entry = other.entry("in time", &[]);
    let stored = other.redis.set("ns:key", entry.clone(), None, Some(held));
    stored.await.expect("it is stored");
    assert_eq!(late.get("ns:key").await, Some(entry));
}

#[tokio::test]
async fn only_its_owner_ends_a_lease() {
    let server = RedisServer::start().await;
    let (late, other) = (Node::join(&server).await, Node::join(&server).await);
    let lost = late.lease("ns:key").await;
    let _: u64 = server.command(&["DEL", &lock_of("ns:key")]).await;
    let held = other.lease("ns:key").await;
    let released = late.redis.release("ns:key", lost).await;
    released.expect("that is no error");
    let holder: String = server.command(&["GET", &lock_of("ns:key")]).await;
    assert_eq!(holder, held.token);
}

#[tokio::test]
async fn of_many_nodes_one_loads() {
    let server = RedisServer::start().await;
    let mut nodes = Vec::new();
    for _ in 0..5 {
        nodes.push(Node::join(&server).await);
    }
    let loads = Arc::new(AtomicU32::new(0));
    let tasks = nodes.into_iter().map(|node| {
        let loads = Arc::clone(&loads);
        tokio::spawn(async move {
            let Lead { entry: None, lease } = node.redis.lead("ns:key", &|_| true).await? else {
                return Ok(());
            };
            loads.fetch_add(1, Ordering::SeqCst);
            let entry = node.entry("value", &[]);
            node.redis.set("ns:key", entry, None, lease).await
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic").expect("no error");
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}
