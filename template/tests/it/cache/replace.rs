//! Putting another form of a value in the place of the one that is kept.

use app::infra::cache::{Cached, Policy, Source, Store};

use super::{Bench, MICROSECOND, SECOND, fetch_as, found, get, strings};

/// Fresh for ten seconds, then stale for ten.
fn policy() -> Policy {
    Policy::new().ttl(10 * SECOND).stale_for(10 * SECOND)
}

/// Loads `a`.
async fn kept(store: &Store) -> Cached<String> {
    fetch_as(store, "key", &policy(), "a").await;
    strings(store).get("key").await.expect("it is kept")
}

#[tokio::test]
async fn another_form_of_a_value_has_its_tags_its_age_and_its_end() {
    let bench = Bench::new();
    let store = bench.in_memory();
    let old = kept(&store).await;
    bench.advance(9 * SECOND);
    strings(&store).replace(&old, "A".to_owned());
    let new = strings(&store).get("key").await.expect("it is kept");
    assert_eq!((new.as_str(), new.source()), ("A", Source::L1));
    assert_eq!(new.stored_at(), old.stored_at());
    assert_eq!(old.as_str(), "a", "who holds the old form keeps it");
    bench.advance(SECOND);
    assert_eq!(get(&store, "key").await, Some(found("A", Source::Stale)));
    bench.advance_almost(10 * SECOND);
    assert_eq!(get(&store, "key").await, Some(found("A", Source::Stale)));
    bench.advance(MICROSECOND);
    assert_eq!(get(&store, "key").await, None);
    let old = kept(&store).await;
    strings(&store).replace(&old, "A".to_owned());
    store.invalidate_tags(["tag"]).await;
    assert_eq!(get(&store, "key").await, None);
}

#[tokio::test]
async fn a_value_that_is_no_longer_the_current_one_is_not_replaced() {
    let bench = Bench::new();
    let store = bench.in_memory();
    let old = kept(&store).await;
    strings(&store).set("key", &policy(), "b".to_owned()).await;
    strings(&store).replace(&old, "A".to_owned());
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
    let old = strings(&store).get("key").await.expect("it is kept");
    strings(&store).replace(&old, "B".to_owned());
    strings(&store).replace(&old, "again".to_owned());
    assert_eq!(get(&store, "key").await, Some(found("B", Source::L1)));
}

#[tokio::test]
async fn a_value_that_is_outdated_over_or_gone_is_not_replaced() {
    let bench = Bench::new();
    let store = bench.in_memory();
    let old = kept(&store).await;
    store.invalidate_tags(["tag"]).await;
    strings(&store).replace(&old, "A".to_owned());
    assert_eq!(get(&store, "key").await, None);

    let old = kept(&store).await;
    bench.advance(20 * SECOND);
    strings(&store).replace(&old, "A".to_owned());
    assert_eq!(get(&store, "key").await, None);

    let old = kept(&store).await;
    store.flush().await;
    strings(&store).replace(&old, "A".to_owned());
    assert_eq!(get(&store, "key").await, None);
}

#[tokio::test]
async fn a_value_that_was_never_kept_is_not_replaced() {
    let mut bench = Bench::new();
    bench.settings.read_enabled = false;
    let store = bench.in_memory();
    let load = async || Ok::<_, app::infra::cache::LoadFailed>(super::Loaded::new("a".to_owned()));
    let loaded = strings(&store).fetch("key", &policy(), load).await;
    strings(&store).replace(&loaded.expect("loads"), "A".to_owned());
    assert_eq!(store.stats().l1.entries, 0);
}
