//! Negative caching: that something does not exist is remembered, for a shorter time.

use app::infra::cache::{Loaded, Policy, Source, Store};

use super::{Bench, Failure, MICROSECOND, Meter, SECOND, fetch_as, found, get, load, strings};

/// Finds out that there is nothing.
async fn find_nothing(store: &Store, policy: &Policy) {
    let absent = Loaded::absent("nothing".to_owned()).tag("tag");
    let answer = load(&strings(store), "key", policy, Ok(absent)).await;
    assert_eq!(answer.expect("loads").source(), Source::Loader);
}

#[tokio::test]
async fn what_does_not_exist_is_asked_for_once_and_counted() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = bench.in_memory();
    find_nothing(&store, &Policy::new()).await;
    for nth in 1..=3 {
        let unused = Err(Failure::Own("unused"));
        let answer = load(&strings(&store), "key", &Policy::new(), unused).await;
        assert_eq!(answer.expect("it is remembered").as_str(), "nothing");
        assert_eq!(meter.count("cache_negative_hits_total"), nth);
    }
    fetch_as(&store, "other", &Policy::new(), "a").await;
    get(&store, "other").await;
    assert_eq!(meter.count("cache_negative_hits_total"), 3);
}

#[tokio::test]
async fn it_is_remembered_for_a_time_of_its_own() {
    let bench = Bench::long();
    let store = bench.in_memory();
    let as_set = Policy::new().ttl(SECOND).stale_for(60 * SECOND);
    for (policy, ttl) in [
        (as_set.clone(), 10 * SECOND),
        (as_set.clone().negative_ttl(3 * SECOND), 3 * SECOND),
        (as_set.negative_ttl(MICROSECOND), MICROSECOND),
        (Policy::new().forever(), 10 * SECOND),
    ] {
        find_nothing(&store, &policy).await;
        bench.advance_almost(ttl);
        assert_eq!(get(&store, "key").await, Some(found("nothing", Source::L1)));
        bench.advance(MICROSECOND);
        assert_eq!(get(&store, "key").await, None, "it is never stale");
    }
}

#[tokio::test]
async fn what_comes_into_being_ends_it() {
    let store = Bench::new().in_memory();
    find_nothing(&store, &Policy::new()).await;
    store.invalidate_tags(["tag"]).await;
    assert_eq!(
        fetch_as(&store, "key", &Policy::new(), "a").await,
        found("a", Source::Loader)
    );
    strings(&store).invalidate("key").await;
    find_nothing(&store, &Policy::new().tag("call")).await;
    store.invalidate_tags(["call"]).await;
    assert_eq!(get(&store, "key").await, None);
    find_nothing(&store, &Policy::new()).await;
    strings(&store)
        .set("key", &Policy::new(), "b".to_owned())
        .await;
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
}
