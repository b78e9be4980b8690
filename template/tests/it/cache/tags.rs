//! Tags: an invalidated one takes its entries with it, all of them and no others.

use app::infra::cache::{Loaded, Policy, Source, Store};
use bytesize::ByteSize;

use super::{Bench, Meter, fetch, found, get, load, strings};

/// Loads `key` with `tags`.
async fn keep(store: &Store, key: &str, tags: &[&str]) {
    let loaded = Loaded::new(key.to_owned());
    let loaded = tags.iter().fold(loaded, Loaded::tag);
    let kept = load(&strings(store), key, &Policy::new(), Ok(loaded)).await;
    assert_eq!(kept.expect("loads").source(), Source::Loader);
}

async fn is_kept(store: &Store, key: &str) -> bool {
    get(store, key).await.is_some()
}

#[tokio::test]
async fn an_invalidated_tag_takes_its_entries_and_no_others() {
    let store = Bench::new().in_memory();
    keep(&store, "none", &[]).await;
    keep(&store, "one", &["red"]).await;
    keep(&store, "both", &["red", "blue"]).await;
    keep(&store, "other", &["blue"]).await;
    store.invalidate_tags(["red"]).await;
    assert!(is_kept(&store, "none").await);
    assert!(!is_kept(&store, "one").await);
    assert!(!is_kept(&store, "both").await);
    assert!(is_kept(&store, "other").await);
    store.invalidate_tags(["blue", "green"]).await;
    assert!(is_kept(&store, "none").await);
    assert!(!is_kept(&store, "other").await);
}

#[tokio::test]
async fn what_is_kept_after_an_invalidation_is_valid() {
    let store = Bench::new().in_memory();
    for _ in 0..3 {
        keep(&store, "key", &["red"]).await;
        assert!(is_kept(&store, "key").await);
        store.invalidate_tags(["red"]).await;
        assert!(!is_kept(&store, "key").await);
    }
}

#[tokio::test]
async fn a_tag_reaches_every_namespace() {
    let store = Bench::new().in_memory();
    keep(&store, "key", &["red"]).await;
    let bytes = store.namespace::<Vec<u8>>("bytes");
    bytes.set("key", &Policy::new().tag("red"), vec![1]).await;
    bytes.set("other", &Policy::new(), vec![2]).await;
    store.invalidate_tags(["red"]).await;
    assert!(!is_kept(&store, "key").await);
    assert!(bytes.get("key").await.is_none());
    assert!(bytes.get("other").await.is_some());
}

#[tokio::test]
async fn a_tag_a_key_and_a_namespace_of_one_name_are_three_things() {
    let store = Bench::new().in_memory();
    keep(&store, "key", &[]).await;
    store
        .invalidate_tags(["key", "strings", "strings:key"])
        .await;
    store.invalidate_key("key").await;
    store.invalidate_key("strings").await;
    assert!(is_kept(&store, "key").await);
    store.invalidate_key("strings:key").await;
    assert!(!is_kept(&store, "key").await);
}

#[tokio::test]
async fn a_tag_outlives_the_expiry_of_what_carried_it() {
    let bench = Bench::long();
    let store = bench.in_memory();
    keep(&store, "short", &["red"]).await;
    let policy = Policy::new().forever();
    let loaded = Loaded::new("a".to_owned()).tag("red");
    load(&strings(&store), "long", &policy, Ok(loaded))
        .await
        .expect("loads");
    bench.advance(std::time::Duration::from_hours(1));
    for _ in 0..3 {
        store.sweep().await;
    }
    assert!(!is_kept(&store, "short").await);
    assert!(is_kept(&store, "long").await);
    store.invalidate_tags(["red"]).await;
    assert!(!is_kept(&store, "long").await);
}

#[tokio::test]
async fn one_tag_may_have_a_hundred_thousand_keys() {
    const KEYS: usize = 100_000;
    let mut bench = Bench::new();
    bench.settings.l1_capacity = Some(ByteSize::mib(128));
    let store = bench.in_memory();
    keep(&store, "other", &["blue"]).await;
    for n in 0..KEYS {
        fetch(&store, &n.to_string(), "a").await;
    }
    assert_eq!(store.stats().l1.entries, KEYS as u64 + 1);
    store.invalidate_tags(["tag"]).await;
    for n in (0..KEYS).step_by(97) {
        assert!(!is_kept(&store, &n.to_string()).await, "{n}");
    }
    store.sweep().await;
    assert_eq!(store.stats().l1.entries, 1);
    assert!(is_kept(&store, "other").await);
}

#[tokio::test]
async fn a_sweep_lets_go_of_what_is_outdated_or_over_and_of_nothing_else() {
    let bench = Bench::long();
    let store = bench.in_memory();
    keep(&store, "old", &[]).await;
    bench.advance(std::time::Duration::from_hours(1));
    keep(&store, "outdated", &["red"]).await;
    keep(&store, "good", &["blue"]).await;
    store.invalidate_tags(["red"]).await;
    assert_eq!(store.stats().l1.entries, 3);
    store.sweep().await;
    assert_eq!(store.stats().l1.entries, 1);
    assert!(is_kept(&store, "good").await);
}

#[tokio::test]
async fn sweeps_do_not_bring_back_what_was_invalidated() {
    let store = Bench::new().in_memory();
    keep(&store, "red", &["red"]).await;
    keep(&store, "blue", &["blue"]).await;
    for _ in 0..3 {
        store.invalidate_tags(["red"]).await;
        store.sweep().await;
        assert!(!is_kept(&store, "red").await);
        assert!(is_kept(&store, "blue").await);
    }
    store.invalidate_tags(["blue"]).await;
    assert!(!is_kept(&store, "blue").await);
    assert_eq!(fetch(&store, "blue", "b").await, found("b", Source::Loader));
}

#[tokio::test]
async fn invalidations_are_counted_by_what_they_reach() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = bench.in_memory();
    let before = store.stats().generation;
    store.invalidate_tags(["red", "blue"]).await;
    store.invalidate_key("strings:key").await;
    strings(&store).invalidate("key").await;
    strings(&store).clear().await;
    store.flush().await;
    let count = |scope| meter.count(&format!("cache_invalidations_total{{scope=\"{scope}\"}}"));
    let counts = ["tag", "key", "namespace", "all"].map(count);
    assert_eq!(counts, [1, 2, 1, 1]);
    assert_eq!(store.stats().generation, before + 5);
}
