//! How long a value is kept: what a call says, and what the settings say for the rest.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use app::domain::clock::Clock;
use app::infra::cache::{LoadFailed, Loaded, Policy, Source, Store, Weigh};
use serde::{Deserialize, Serialize};

use super::{Bench, MICROSECOND, SECOND, fetch, fetch_as, found, get, load, settle, strings};

#[tokio::test]
async fn a_value_lives_as_long_as_its_call_says_to_the_microsecond() {
    for ttl in [
        MICROSECOND,
        Duration::from_micros(3),
        Duration::from_millis(1),
        SECOND,
        Duration::from_hours(24 * 365),
    ] {
        let bench = Bench::long();
        let store = bench.in_memory();
        fetch_as(&store, "key", &Policy::new().ttl(ttl), "a").await;
        bench.advance_almost(ttl);
        assert_eq!(get(&store, "key").await, Some(found("a", Source::L1)));
        bench.advance(MICROSECOND);
        assert_eq!(get(&store, "key").await, None, "{ttl:?}");
    }
}

#[tokio::test]
async fn a_lifetime_shorter_than_the_clock_can_tell_is_not_rounded_away() {
    let bench = Bench::long();
    let store = bench.in_memory();
    let shortest = Policy::new().ttl(Duration::from_nanos(1));
    fetch_as(&store, "key", &shortest, "a").await;
    assert_eq!(get(&store, "key").await, Some(found("a", Source::L1)));
    bench.advance(MICROSECOND);
    assert_eq!(get(&store, "key").await, None);
}

#[tokio::test]
async fn on_the_systems_clock_a_value_is_there_until_its_end_and_not_after_it() {
    let bench = Bench::long();
    let clock = Clock::system();
    let store = Store::in_memory(bench.settings, clock.clone());
    // Shorter and longer than the error of the clock that hits are answered by.
    for (key, millis) in [("1", 1), ("20", 20), ("120", 120)] {
        let ttl = Duration::from_millis(millis);
        fetch_as(&store, key, &Policy::new().ttl(ttl), "a").await;
        let cached = strings(&store).get_fresh(key);
        let Some(loaded_at) = cached.map(|cached| cached.stored_at()) else {
            assert_eq!(millis, 1, "only a millisecond is over so fast");
            continue;
        };
        let ends_at = loaded_at + i64::try_from(ttl.as_micros()).expect("a short time");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let before = clock.now().timestamp_micros();
            let is_there = get(&store, key).await.is_some();
            let after = clock.now().timestamp_micros();
            assert!(
                before < ends_at || !is_there,
                "{millis} ms: it outlives its end"
            );
            if !is_there {
                assert!(after >= ends_at, "{millis} ms: it is gone too early");
                break;
            }
            assert!(Instant::now() < deadline);
        }
    }
}

#[tokio::test]
async fn what_a_call_leaves_open_is_as_in_the_settings() {
    let mut bench = Bench::long();
    bench.settings.stale_for = 10 * SECOND;
    let store = bench.in_memory();
    fetch(&store, "key", "a").await;
    bench.advance_almost(Duration::from_hours(1));
    assert_eq!(get(&store, "key").await, Some(found("a", Source::L1)));
    bench.advance(MICROSECOND);
    assert_eq!(get(&store, "key").await, Some(found("a", Source::Stale)));
    bench.advance_almost(10 * SECOND);
    assert_eq!(get(&store, "key").await, Some(found("a", Source::Stale)));
    bench.advance(MICROSECOND);
    assert_eq!(get(&store, "key").await, None);
}

#[tokio::test]
async fn every_call_has_a_policy_of_its_own() {
    let bench = Bench::long();
    let store = bench.in_memory();
    fetch_as(&store, "short", &Policy::new().ttl(SECOND), "a").await;
    fetch_as(&store, "long", &Policy::new().ttl(3 * SECOND), "b").await;
    let stale = Policy::new().ttl(SECOND).stale_for(9 * SECOND);
    fetch_as(&store, "stale", &stale, "c").await;
    bench.advance(2 * SECOND);
    assert_eq!(get(&store, "short").await, None);
    assert_eq!(get(&store, "long").await, Some(found("b", Source::L1)));
    assert_eq!(get(&store, "stale").await, Some(found("c", Source::Stale)));
    bench.advance(SECOND);
    assert_eq!(get(&store, "long").await, None);
    assert_eq!(get(&store, "stale").await, Some(found("c", Source::Stale)));
}

#[tokio::test]
async fn a_value_kept_for_ever_ends_when_it_is_invalidated() {
    let bench = Bench::long();
    let store = bench.in_memory();
    fetch_as(&store, "key", &Policy::new().forever(), "a").await;
    bench.advance(Duration::from_hours(24 * 365 * 1000));
    assert_eq!(get(&store, "key").await, Some(found("a", Source::L1)));
    store.invalidate_tags(["tag"]).await;
    assert_eq!(get(&store, "key").await, None);
}

#[tokio::test]
async fn memory_lets_go_of_a_value_after_its_own_time() {
    let bench = Bench::new();
    let store = bench.open().await;
    fetch_as(&store, "key", &Policy::new().forever(), "a").await;
    bench.advance_almost(60 * SECOND);
    assert_eq!(get(&store, "key").await, Some(found("a", Source::L1)));
    bench.advance(MICROSECOND);
    assert_eq!(strings(&store).get_fresh("key").map(drop), None);
}

#[tokio::test]
async fn without_a_second_tier_a_value_stays_in_memory_until_its_end() {
    let bench = Bench::new();
    let store = bench.in_memory();
    let policy = Policy::new().ttl(600 * SECOND).stale_for(SECOND);
    fetch_as(&store, "key", &policy, "a").await;
    bench.advance_almost(600 * SECOND);
    assert_eq!(get(&store, "key").await, Some(found("a", Source::L1)));
    bench.advance(MICROSECOND);
    assert_eq!(get(&store, "key").await, Some(found("a", Source::Stale)));
    bench.advance(SECOND);
    assert_eq!(get(&store, "key").await, None);
}

/// Its shape is known only while it is written.
#[derive(Debug, Deserialize, Serialize)]
struct Shapeless {
    #[serde(flatten)]
    fields: HashMap<String, String>,
}

impl Weigh for Shapeless {}

#[tokio::test]
async fn a_value_that_cannot_be_encoded_is_answered_and_not_kept() {
    let bench = Bench::new();
    let store = bench.open().await;
    let cache = store.namespace::<Shapeless>("shapeless");
    for _ in 0..2 {
        let load = async || -> Result<_, LoadFailed> {
            let fields = HashMap::from([("a".to_owned(), "b".to_owned())]);
            Ok(Loaded::new(Shapeless { fields }))
        };
        let found = cache.fetch("key", &Policy::new(), load).await;
        let found = found.expect("it is loaded");
        assert_eq!(found.source(), Source::Loader);
        assert_eq!(found.fields["a"], "b");
    }
    assert_eq!(store.stats().l1.entries, 0);
}

#[tokio::test]
async fn the_tags_of_the_call_and_of_the_loader_both_count() {
    let store = Bench::new().in_memory();
    let policy = Policy::new().tag("call").tag("another");
    for tag in ["call", "another", "loader"] {
        let loaded = Loaded::new("a".to_owned()).tag("loader");
        load(&strings(&store), "key", &policy, Ok(loaded))
            .await
            .expect("loads");
        assert!(get(&store, "key").await.is_some());
        store.invalidate_tags([tag]).await;
        assert_eq!(get(&store, "key").await, None, "{tag}");
    }
    let set = strings(&store).set("key", &policy, "b".to_owned()).await;
    assert_eq!(set.as_str(), "b");
    store.invalidate_tags(["call"]).await;
    assert_eq!(get(&store, "key").await, None);
}

/// How many of the keys are still there.
async fn alive(store: &Store, keys: usize) -> usize {
    let mut alive = 0;
    for n in 0..keys {
        alive += usize::from(get(store, &n.to_string()).await.is_some());
    }
    alive
}

#[tokio::test]
async fn jitter_stays_in_its_bounds_and_favours_neither_side() {
    const KEYS: usize = 1000;
    let mut bench = Bench::long();
    bench.settings.jitter = 0.5;
    let store = bench.in_memory();
    let policy = Policy::new().ttl(100 * SECOND).jitter(0.1);
    for n in 0..KEYS {
        fetch_as(&store, &n.to_string(), &policy, "a").await;
    }
    bench.advance_almost(90 * SECOND);
    assert_eq!(alive(&store, KEYS).await, KEYS);
    bench.advance(5 * SECOND);
    let after_95 = alive(&store, KEYS).await;
    bench.advance(5 * SECOND);
    let after_100 = alive(&store, KEYS).await;
    bench.advance(5 * SECOND);
    let after_105 = alive(&store, KEYS).await;
    bench.advance(5 * SECOND + 2 * MICROSECOND);
    assert_eq!(alive(&store, KEYS).await, 0);
    // Seven standard deviations of 1000 even throws.
    for (alive, expected) in [(after_95, 750), (after_100, 500), (after_105, 250)] {
        assert!(alive.abs_diff(expected) < 110, "{alive} of {expected}");
    }
}

#[tokio::test]
async fn without_jitter_what_was_stored_together_ends_together() {
    let bench = Bench::long();
    let store = bench.in_memory();
    for n in 0..100 {
        fetch(&store, &n.to_string(), "a").await;
    }
    bench.advance_almost(Duration::from_hours(1));
    assert_eq!(alive(&store, 100).await, 100);
    bench.advance(MICROSECOND);
    assert_eq!(alive(&store, 100).await, 0);
}

#[tokio::test]
async fn a_value_without_a_lifetime_is_stale_at_once() {
    let bench = Bench::long();
    let store = bench.in_memory();
    let policy = Policy::new().ttl(Duration::ZERO).stale_for(SECOND);
    fetch_as(&store, "key", &policy, "a").await;
    assert_eq!(
        fetch_as(&store, "key", &policy, "b").await,
        found("a", Source::Stale)
    );
    settle().await;
    assert_eq!(get(&store, "key").await, Some(found("b", Source::Stale)));
}
