//! What is stale on disk.

use std::sync::atomic::Ordering;

use app::infra::cache::{Loaded, Policy, Source, Store};

use super::super::{
    Bench, Failure, Meter, SECOND, close, crowd, fetch_as, found, get, load, strings, until,
};
use super::MINUTE;

/// Fresh for ten seconds, then stale for half an hour.
fn policy() -> Policy {
    Policy::new().ttl(10 * SECOND).stale_for(30 * MINUTE)
}

/// A store with a stale `key` on disk; it is `a`.
async fn stale(bench: &Bench) -> Store {
    let store = bench.open().await;
    fetch_as(&store, "key", &policy(), "a").await;
    let store = bench.reopen(store).await;
    bench.advance(10 * SECOND);
    store
}

#[tokio::test]
async fn a_stale_value_on_disk_is_answered_at_once_and_refreshed_in_both_tiers() {
    let bench = Bench::new();
    let store = stale(&bench).await;
    let (callers, loads) = crowd(&store, "key", 20, &Ok(Loaded::new("b".to_owned()))).await;
    for caller in callers {
        let answer = caller.await.expect("returns").expect("it is stale");
        assert_eq!(answer.as_str(), "a");
    }
    let cache = strings(&store);
    until(|| cache.get_fresh("key").is_some()).await;
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
    drop(cache);
    let store = bench.reopen(store).await;
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L2)));
    close(store).await;
}

#[tokio::test]
async fn a_stale_value_in_memory_is_refreshed_on_disk_as_well() {
    let bench = Bench::new();
    let store = bench.open().await;
    fetch_as(&store, "key", &policy(), "a").await;
    bench.advance(10 * SECOND);
    let answer = fetch_as(&store, "key", &policy(), "b").await;
    assert_eq!(answer, found("a", Source::Stale));
    let store = bench.reopen(store).await;
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L2)));
    close(store).await;
}

#[tokio::test]
async fn a_failing_refresh_keeps_the_stale_value_on_disk_until_its_end() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = stale(&bench).await;
    for nth in 1..=3 {
        let down = Err(Failure::Own("down"));
        let answer = load(&strings(&store), "key", &policy(), down).await;
        assert_eq!(answer.expect("it is stale").as_str(), "a");
        let failed = "cache_loads_total{result=\"refresh_error\"}";
        until(|| meter.count(failed) == nth).await;
        // Memory has forgotten it by then.
        bench.advance(2 * MINUTE);
    }
    bench.advance(24 * MINUTE);
    let down = load(
        &strings(&store),
        "key",
        &policy(),
        Err(Failure::Own("down")),
    )
    .await;
    assert_eq!(down.unwrap_err(), Failure::Own("down"), "its end has come");
    close(store).await;
}

#[tokio::test]
async fn an_invalidation_beats_what_is_stale_on_disk() {
    let bench = Bench::new();
    let store = stale(&bench).await;
    store.invalidate_tags(["tag"]).await;
    assert_eq!(get(&store, "key").await, None);
    let answer = fetch_as(&store, "key", &policy(), "b").await;
    assert_eq!(answer, found("b", Source::Loader));
    close(store).await;
}

#[tokio::test]
async fn what_has_ceased_to_exist_does_not_come_back_from_disk() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = stale(&bench).await;
    let absent = Ok(Loaded::absent("nothing".to_owned()));
    let answer = load(&strings(&store), "key", &policy(), absent).await;
    assert_eq!(answer.expect("it is stale").as_str(), "a");
    until(|| meter.count("cache_sets_total{tier=\"l2\"}") == 2).await;
    assert_eq!(get(&store, "key").await, Some(found("nothing", Source::L1)));
    bench.advance(10 * SECOND);
    assert_eq!(get(&store, "key").await, None, "it is asked for again");
    let store = bench.reopen(store).await;
    assert_eq!(get(&store, "key").await, None);
    close(store).await;
}
