//! What is found, loaded and set, and in which tier.

use app::infra::cache::{Cache, LoadFailed, Loaded, Policy, Source, Store};

use super::{Bench, Failure, Meter, fetch, found, get, load, strings};

fn numbers(store: &Store) -> Cache<Vec<u8>> {
    store.namespace("numbers")
}

#[tokio::test]
async fn a_value_is_loaded_once_and_then_read_from_memory() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = bench.in_memory();
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    assert_eq!(get(&store, "key").await, Some(found("a", Source::L1)));
    for _ in 0..2 {
        store.record();
        assert_eq!(meter.count("cache_hits_total{tier=\"l1\"}"), 2);
    }
    assert_eq!(meter.count("cache_misses_total{tier=\"l1\"}"), 1);
    assert_eq!(meter.count("cache_sets_total{tier=\"l1\"}"), 1);
    assert_eq!(meter.count("cache_loads_total{result=\"ok\"}"), 1);
    assert_eq!(meter.count("cache_load_duration_seconds_count"), 1);
}

#[tokio::test]
async fn what_nobody_loaded_is_not_found() {
    let store = Bench::new().in_memory();
    assert_eq!(get(&store, "key").await, None);
    assert!(strings(&store).get_fresh("key").is_none());
}

#[tokio::test]
async fn looking_for_a_fresh_value_counts_hits_and_leaves_misses_to_the_fetch_that_follows() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = bench.in_memory();
    assert!(strings(&store).get_fresh("key").is_none());
    fetch(&store, "key", "a").await;
    let found = strings(&store).get_fresh("key").expect("it is fresh");
    assert_eq!((found.as_str(), found.source()), ("a", Source::L1));
    store.record();
    assert_eq!(meter.count("cache_misses_total{tier=\"l1\"}"), 1);
    assert_eq!(meter.count("cache_hits_total{tier=\"l1\"}"), 1);
}

#[tokio::test]
async fn a_value_says_when_it_was_loaded() {
    let bench = Bench::new();
    let store = bench.in_memory();
    let loaded_at = bench.clock.now().timestamp_micros();
    fetch(&store, "key", "a").await;
    bench.advance(super::SECOND);
    let found = strings(&store).get("key").await.expect("it is kept");
    assert_eq!(found.stored_at(), loaded_at);
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let store = Bench::new().in_memory();
    fetch(&store, "key", "a").await;
    let seven = async || Ok::<_, LoadFailed>(Loaded::new(vec![7]));
    let loaded = numbers(&store).fetch("key", &Policy::new(), seven).await;
    let loaded = loaded.expect("loads");
    assert_eq!((&loaded[..], loaded.source()), (&[7][..], Source::Loader));
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    numbers(&store).invalidate("key").await;
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
}

#[tokio::test]
async fn handles_of_one_namespace_see_the_same_values() {
    let store = Bench::new().in_memory();
    fetch(&store.clone(), "key", "a").await;
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    let twin = strings(&store).clone();
    assert_eq!(twin.get("key").await.expect("it is kept").as_str(), "a");
}

#[test]
#[should_panic(expected = "the cache namespace strings holds values of another type")]
fn a_namespace_holds_values_of_one_type() {
    let store = Bench::new().in_memory();
    let _strings = strings(&store);
    let _bytes: Cache<Vec<u8>> = store.namespace("strings");
}

#[tokio::test]
async fn a_value_that_is_set_replaces_what_was_there() {
    let store = Bench::new().in_memory();
    fetch(&store, "key", "a").await;
    let set = strings(&store)
        .set("key", &Policy::new(), "b".to_owned())
        .await;
    assert_eq!(set.as_str(), "b");
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
    strings(&store)
        .set("key", &Policy::new(), "c".to_owned())
        .await;
    assert_eq!(fetch(&store, "key", "d").await, found("c", Source::L1));
}

#[tokio::test]
async fn an_invalidated_key_is_loaded_anew_and_no_other() {
    let store = Bench::new().in_memory();
    fetch(&store, "key", "a").await;
    fetch(&store, "other", "b").await;
    strings(&store).invalidate("key").await;
    assert_eq!(get(&store, "key").await, None);
    assert_eq!(fetch(&store, "key", "c").await, found("c", Source::Loader));
    assert_eq!(fetch(&store, "other", "-").await, found("b", Source::L1));
    store.invalidate_key("strings:other").await;
    assert_eq!(
        fetch(&store, "other", "d").await,
        found("d", Source::Loader)
    );
}

#[tokio::test]
async fn a_cleared_namespace_is_empty_and_the_others_are_not() {
    let store = Bench::new().in_memory();
    fetch(&store, "key", "a").await;
    let one = numbers(&store).set("key", &Policy::new(), vec![1]).await;
    strings(&store).clear().await;
    assert_eq!(get(&store, "key").await, None);
    let kept = numbers(&store).get("key").await.expect("it is kept");
    assert_eq!(*kept, *one);
}

#[tokio::test]
async fn a_flush_drops_everything_at_once() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = bench.in_memory();
    for n in 0..100 {
        fetch(&store, &format!("key-{n}"), "a").await;
    }
    numbers(&store).set("key", &Policy::new(), vec![1]).await;
    assert_eq!(store.stats().l1.entries, 101);
    store.flush().await;
    let usage = store.stats().l1;
    assert_eq!((usage.entries, usage.bytes), (0, 0));
    assert_eq!(get(&store, "key-7").await, None);
    assert!(numbers(&store).get("key").await.is_none());
    assert_eq!(meter.count("cache_invalidations_total{scope=\"all\"}"), 1);
    assert_eq!(
        fetch(&store, "key-7", "b").await,
        found("b", Source::Loader)
    );
}

#[tokio::test]
async fn an_error_is_counted_and_not_kept() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = bench.in_memory();
    let fails = Err(Failure::Own("no"));
    let failed = load(&strings(&store), "key", &Policy::new(), fails).await;
    assert_eq!(failed.unwrap_err(), Failure::Own("no"));
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
    assert_eq!(meter.count("cache_loads_total{result=\"error\"}"), 1);
    assert_eq!(meter.count("cache_loads_total{result=\"ok\"}"), 1);
}

#[tokio::test]
async fn a_value_for_one_caller_is_not_kept() {
    let store = Bench::new().in_memory();
    let mine = Ok(Loaded::not_kept("mine".to_owned()));
    let loaded = load(&strings(&store), "key", &Policy::new(), mine).await;
    let loaded = loaded.expect("loads");
    assert_eq!((loaded.as_str(), loaded.source()), ("mine", Source::Loader));
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
}
