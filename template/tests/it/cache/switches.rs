//! The switches for emergencies.

use std::sync::atomic::Ordering;

use app::infra::cache::{LoadFailed, Loaded, Policy, Source};

use super::{Bench, Failure, InFlight, Meter, crowd, fetch, found, get, load, strings};

#[tokio::test]
async fn with_reading_off_every_value_is_made_anew_and_none_is_kept() {
    let (mut bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    bench.settings.read_enabled = false;
    let store = bench.in_memory();
    for value in ["a", "b", "c"] {
        let expected = found(value, Source::Loader);
        assert_eq!(fetch(&store, "key", value).await, expected);
    }
    assert_eq!(get(&store, "key").await, None);
    assert!(strings(&store).get_fresh("key").is_none());
    assert_eq!(store.stats().l1.entries, 0);
    let fails = Err(Failure::Own("no"));
    let failed = load(&strings(&store), "key", &Policy::new(), fails).await;
    assert_eq!(failed.unwrap_err(), Failure::Own("no"));
    assert_eq!(meter.count("cache_loads_total{result=\"ok\"}"), 3);
    assert_eq!(meter.count("cache_loads_total{result=\"error\"}"), 1);
}

#[tokio::test]
async fn with_reading_off_nobody_waits_for_another() {
    let mut bench = Bench::new();
    bench.settings.read_enabled = false;
    let store = bench.in_memory();
    let slow = InFlight::begin(&store, "key", &Policy::new()).await;
    let own = Ok(Loaded::new("own".to_owned()));
    let (callers, loads) = crowd(&store, "key", 10, &own).await;
    for caller in callers {
        assert_eq!(
            caller.await.expect("returns").expect("loads").as_str(),
            "own"
        );
    }
    assert_eq!(loads.load(Ordering::Relaxed), 10);
    let slow = slow.land(Ok(Loaded::new("slow".to_owned()))).await;
    assert_eq!(slow.expect("loads").as_str(), "slow");
}

#[tokio::test]
async fn with_reading_off_a_loader_that_panics_is_an_error() {
    let mut bench = Bench::new();
    bench.settings.read_enabled = false;
    let store = bench.in_memory();
    let InFlight { caller, end } = InFlight::begin(&store, "key", &Policy::new()).await;
    drop(end);
    let failed = caller.await.expect("returns").unwrap_err();
    assert_eq!(failed, Failure::Cache(LoadFailed::Panicked));
}

#[tokio::test]
async fn with_deleting_off_entries_stay_although_what_they_show_has_changed() {
    let (mut bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    bench.settings.delete_enabled = false;
    let store = bench.in_memory();
    fetch(&store, "key", "a").await;
    store.invalidate_tags(["tag"]).await;
    store.invalidate_key("strings:key").await;
    strings(&store).invalidate("key").await;
    strings(&store).clear().await;
    store.flush().await;
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    assert_eq!(store.stats().l1.entries, 1);
    let counts = ["tag", "key", "namespace", "all"]
        .map(|scope| meter.count(&format!("cache_invalidations_total{{scope=\"{scope}\"}}")));
    assert_eq!(counts, [0; 4]);
}

#[tokio::test]
async fn with_deleting_off_a_value_that_is_set_still_replaces_the_old_one() {
    let mut bench = Bench::new();
    bench.settings.delete_enabled = false;
    let store = bench.in_memory();
    fetch(&store, "key", "a").await;
    strings(&store)
        .set("key", &Policy::new(), "b".to_owned())
        .await;
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
}
