//! The second tier on disk: what reaches it, what comes back, and how long that is believed.

mod stale;

use std::sync::atomic::Ordering;
use std::time::Duration;

use app::infra::cache::{Cache, Loaded, Policy, Source, Store};
use tokio_util::sync::CancellationToken;

use super::{
    Bench, Failure, InFlight, MICROSECOND, Meter, SECOND, close, crowd, fetch, fetch_as, found,
    get, load, strings, until,
};

const MINUTE: Duration = Duration::from_mins(1);

/// How much the second tier holds.
fn entries_on_disk(store: &Store) -> u64 {
    store.stats().l2_usage.expect("it is known").entries
}

fn bytes(store: &Store) -> Cache<Vec<u8>> {
    store.namespace("bytes")
}

#[tokio::test]
async fn a_value_is_loaded_once_then_read_from_memory_and_later_from_disk() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = bench.open().await;
    assert!(store.has_second_tier() && store.is_well());
    assert_eq!(store.stats().l2, Some("disk"));
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    let store = bench.reopen(store).await;
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L2));
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    let counts = ["cache_sets_total", "cache_hits_total", "cache_misses_total"]
        .map(|name| meter.count(&format!("{name}{{tier=\"l2\"}}")));
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!(meter.count("cache_promotions_total"), 1);
    assert_eq!(meter.count("cache_loads_total{result=\"ok\"}"), 1);
    close(store).await;
}

#[tokio::test]
async fn memory_forgets_after_its_time_and_disk_after_its_own() {
    let bench = Bench::new();
    let store = bench.open().await;
    fetch(&store, "key", "a").await;
    let store = bench.reopen(store).await;
    bench.advance(50 * MINUTE);
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L2));
    bench.advance_almost(MINUTE);
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    bench.advance(MICROSECOND);
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L2));
    bench.advance(9 * MINUTE);
    assert_eq!(fetch(&store, "key", "b").await, found("b", Source::Loader));
    close(store).await;
}

#[tokio::test]
async fn an_entry_from_disk_stays_in_memory_no_longer_than_it_is_valid() {
    let bench = Bench::new();
    let loaded_at = bench.clock.now().timestamp_micros();
    let store = bench.open().await;
    fetch(&store, "key", "a").await;
    let store = bench.reopen(store).await;
    bench.advance(59 * MINUTE + 50 * SECOND);
    let kept = strings(&store).get("key").await.expect("it is kept");
    assert_eq!((kept.as_str(), kept.source()), ("a", Source::L2));
    assert_eq!(kept.stored_at(), loaded_at, "its age counts from then");
    bench.advance_almost(10 * SECOND);
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    bench.advance(MICROSECOND);
    assert_eq!(fetch(&store, "key", "b").await, found("b", Source::Loader));
    close(store).await;
}

#[tokio::test]
async fn what_is_kept_for_ever_outlives_a_restart_and_a_thousand_years() {
    let bench = Bench::new();
    let store = bench.open().await;
    fetch_as(&store, "key", &Policy::new().forever(), "a").await;
    let store = bench.reopen(store).await;
    bench.advance(Duration::from_hours(24 * 365 * 1000));
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L2));
    store.invalidate_tags(["tag"]).await;
    let store = bench.reopen(store).await;
    assert_eq!(get(&store, "key").await, None);
    close(store).await;
}

#[tokio::test]
async fn whatever_invalidates_an_entry_does_so_on_disk_and_after_a_restart_too() {
    let bench = Bench::new();
    let store = bench.open().await;
    for key in ["kept", "tag", "key", "set"] {
        let loaded = Loaded::new(key.to_owned()).tag(format!("{key}'s"));
        load(&strings(&store), key, &Policy::new(), Ok(loaded))
            .await
            .expect("loads");
    }
    bytes(&store).set("key", &Policy::new(), vec![1]).await;
    let store = bench.reopen(store).await;

    store.invalidate_tags(["tag's"]).await;
    strings(&store).invalidate("key").await;
    strings(&store)
        .set("set", &Policy::new(), "anew".to_owned())
        .await;
    bytes(&store).clear().await;
    assert_eq!(get(&store, "tag").await, None);
    let store = bench.reopen(store).await;
    assert_eq!(get(&store, "kept").await, Some(found("kept", Source::L2)));
    assert_eq!(get(&store, "set").await, Some(found("anew", Source::L2)));
    assert_eq!(get(&store, "tag").await, None);
    assert_eq!(get(&store, "key").await, None);
    assert!(bytes(&store).get("key").await.is_none());

    store.flush().await;
    assert_eq!(entries_on_disk(&store), 0);
    let store = bench.reopen(store).await;
    assert_eq!(get(&store, "kept").await, None);
    close(store).await;
}

#[tokio::test]
async fn a_value_that_changes_while_it_is_loaded_does_not_reach_the_disk() {
    let bench = Bench::new();
    let store = bench.open().await;
    let reader = InFlight::begin(&store, "key", &Policy::new().tag("tag")).await;
    store.invalidate_tags(["tag"]).await;
    reader
        .land(Ok(Loaded::new("old".to_owned())))
        .await
        .expect("loads");
    let store = bench.reopen(store).await;
    assert_eq!(entries_on_disk(&store), 0);
    assert_eq!(get(&store, "key").await, None);
    close(store).await;
}

#[tokio::test]
async fn only_values_reach_the_disk() {
    let bench = Bench::new();
    let store = bench.open().await;
    for (key, outcome) in [
        ("value", Ok(Loaded::new("a".to_owned()))),
        ("absent", Ok(Loaded::absent("nothing".to_owned()))),
        ("mine", Ok(Loaded::not_kept("mine".to_owned()))),
        ("failure", Err(Failure::Own("down"))),
    ] {
        let outcome = load(&strings(&store), key, &Policy::new(), outcome).await;
        assert_eq!(outcome.is_ok(), key != "failure");
    }
    let store = bench.reopen(store).await;
    assert_eq!(entries_on_disk(&store), 1);
    assert_eq!(get(&store, "value").await, Some(found("a", Source::L2)));
    close(store).await;
}

#[tokio::test]
async fn who_asks_for_a_key_that_is_being_read_from_disk_waits_for_it() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = bench.open().await;
    fetch(&store, "key", "a").await;
    let store = bench.reopen(store).await;
    let (callers, loads) = crowd(&store, "key", 50, &Err(Failure::Own("unused"))).await;
    for caller in callers {
        let answer = caller.await.expect("returns").expect("it is on disk");
        assert_eq!(answer.as_str(), "a");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    assert_eq!(meter.count("cache_hits_total{tier=\"l2\"}"), 1);
    close(store).await;
}

#[tokio::test]
async fn another_form_of_a_value_reaches_the_disk() {
    let bench = Bench::new();
    let store = bench.open().await;
    fetch(&store, "key", "a").await;
    let old = strings(&store).get("key").await.expect("it is kept");
    let store = bench.reopen(store).await;
    let kept = strings(&store).get("key").await.expect("it is on disk");
    strings(&store).replace(&kept, "A".to_owned());
    let store = bench.reopen(store).await;
    let new = strings(&store).get("key").await.expect("it is on disk");
    assert_eq!((new.as_str(), new.source()), ("A", Source::L2));
    assert_eq!(new.stored_at(), old.stored_at());
    close(store).await;
}

#[tokio::test]
async fn with_reading_off_the_disk_is_not_read() {
    let mut bench = Bench::new();
    let store = bench.open().await;
    fetch(&store, "key", "a").await;
    close(store).await;
    bench.settings.read_enabled = false;
    let store = bench.open().await;
    assert_eq!(get(&store, "key").await, None);
    assert_eq!(fetch(&store, "key", "b").await, found("b", Source::Loader));
    close(store).await;
    bench.settings.read_enabled = true;
    let store = bench.open().await;
    assert_eq!(get(&store, "key").await, Some(found("a", Source::L2)));
    close(store).await;
}

#[tokio::test]
async fn what_is_over_or_outdated_is_swept_from_disk_now_and_then_until_the_end() {
    let mut bench = Bench::new();
    bench.settings.gc_interval = Duration::from_millis(5);
    let store = bench.open().await;
    fetch(&store, "old", "a").await;
    bench.advance(Duration::from_hours(1));
    let other = Ok(Loaded::new("b".to_owned()).tag("other"));
    load(&strings(&store), "outdated", &Policy::new(), other)
        .await
        .expect("loads");
    fetch(&store, "new", "c").await;
    until(|| entries_on_disk(&store) == 3).await;
    store.invalidate_tags(["other"]).await;
    let stop = CancellationToken::new();
    let sweeper = tokio::spawn(store.clone().sweep_until(stop.clone()));
    until(|| entries_on_disk(&store) == 1 && store.stats().l1.entries == 1).await;
    stop.cancel();
    sweeper.await.expect("it ends");
    assert_eq!(get(&store, "new").await, Some(found("c", Source::L1)));
    close(store).await;
}
