//! Stale-while-revalidate: what is past its time is answered at once, and one new value is made meanwhile.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use app::infra::cache::{LoadFailed, Loaded, Policy, Source, Store};

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{
    Bench, Failure, InFlight, Meter, SECOND, crowd, fetch_as, found, get, load, settle, strings,
    until,
};

/// Fresh for ten seconds, then stale for sixty.
fn policy() -> Policy {
    Policy::new().ttl(10 * SECOND).stale_for(60 * SECOND)
}

/// A store in which `key` has just gone stale; it is `a`.
async fn stale(bench: &Bench) -> Store {
    let store = bench.in_memory();
    fetch_as(&store, "key", &policy(), "a").await;
    bench.advance(10 * SECOND);
    store
}

/// Asks for the stale `key`, whose refresh ends with `outcome`.
async fn refresh(store: &Store, outcome: Result<Loaded<String>, Failure>) {
    let answer = load(&strings(store), "key", &policy(), outcome).await;
    assert_eq!(answer.expect("it is stale").source(), Source::Stale);
    settle().await;
}

/// Begins a refresh of `key` that ends when the test says so.
async fn begin_refresh(store: &Store) -> InFlight {
    let refresh = InFlight::begin(store, "key", &policy()).await;
    settle().await;
    assert!(refresh.caller.is_finished(), "the stale value is answered");
    refresh
}

#[tokio::test]
async fn a_stale_value_is_answered_at_once_and_refreshed_once() {
    let (bench, meter) = (Bench::long(), Meter::new());
    let _here = meter.listen();
    let store = stale(&bench).await;
    let refresh = begin_refresh(&store).await;
    let (callers, loads) = crowd(&store, "key", 100, &Err(Failure::Own("unused"))).await;
    for caller in callers {
        let answer = caller.await.expect("returns").expect("it is stale");
        assert_eq!((answer.as_str(), answer.source()), ("a", Source::Stale));
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    assert_eq!(meter.count("cache_stale_served_total"), 101);
    refresh
        .land(Ok(Loaded::new("b".to_owned())))
        .await
        .expect("stale");
    settle().await;
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
    assert_eq!(meter.count("cache_loads_total{result=\"ok\"}"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_fast_the_loader_is_there_is_one_refresh() {
    const CALLERS: usize = 8;
    let bench = Bench::long();
    let store = bench.in_memory();
    for round in 0..300 {
        let key = round.to_string();
        fetch_as(&store, &key, &policy(), "0").await;
        bench.advance(10 * SECOND);
        let start = Arc::new(Barrier::new(CALLERS));
        let loads = Arc::<AtomicUsize>::default();
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (cache, start, loads) = (strings(&store), start.clone(), loads.clone());
            let key = key.clone();
            callers.spawn(async move {
                start.wait().await;
                let load = async move || {
                    let nth = loads.fetch_add(1, Ordering::Relaxed) + 1;
                    Ok::<_, LoadFailed>(Loaded::new(nth.to_string()))
                };
                cache
                    .fetch(&key, &policy(), load)
                    .await
                    .expect("never fails");
            });
        }
        callers.join_all().await;
        let cache = strings(&store);
        until(|| cache.get_fresh(&key).is_some()).await;
        assert_eq!(get(&store, &key).await, Some(found("1", Source::L1)));
        assert_eq!(loads.load(Ordering::Relaxed), 1, "round {round}");
    }
}

#[tokio::test]
async fn a_refreshed_value_begins_a_new_life() {
    let bench = Bench::long();
    let store = stale(&bench).await;
    refresh(&store, Ok(Loaded::new("b".to_owned()))).await;
    bench.advance_almost(10 * SECOND);
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
    bench.advance(super::MICROSECOND);
    assert_eq!(get(&store, "key").await, Some(found("b", Source::Stale)));
}

#[tokio::test]
async fn looking_without_a_loader_answers_stale_values_and_refreshes_nothing() {
    let bench = Bench::long();
    let store = stale(&bench).await;
    assert_eq!(get(&store, "key").await, Some(found("a", Source::Stale)));
    settle().await;
    assert_eq!(get(&store, "key").await, Some(found("a", Source::Stale)));
    assert!(strings(&store).get_fresh("key").is_none());
}

#[tokio::test]
async fn a_failing_refresh_keeps_the_stale_value_until_its_end_and_is_counted() {
    let (bench, meter) = (Bench::long(), Meter::new());
    let _here = meter.listen();
    let store = stale(&bench).await;
    for nth in 1..=30 {
        refresh(&store, Err(Failure::Own("down"))).await;
        assert_eq!(get(&store, "key").await, Some(found("a", Source::Stale)));
        let failed = meter.count("cache_loads_total{result=\"refresh_error\"}");
        assert_eq!(failed, nth);
        bench.advance(2 * SECOND);
    }
    let down = load(
        &strings(&store),
        "key",
        &policy(),
        Err(Failure::Own("down")),
    )
    .await;
    assert_eq!(down.unwrap_err(), Failure::Own("down"), "its end has come");
}

#[tokio::test]
async fn a_refresh_that_failed_is_tried_again_after_a_second() {
    let (bench, meter) = (Bench::long(), Meter::new());
    let _here = meter.listen();
    let store = stale(&bench).await;
    let failures = || meter.count("cache_loads_total{result=\"refresh_error\"}");
    for _ in 0..3 {
        refresh(&store, Err(Failure::Own("down"))).await;
    }
    assert_eq!(failures(), 1);
    bench.advance_almost(SECOND);
    refresh(&store, Err(Failure::Own("down"))).await;
    assert_eq!(failures(), 1);
    bench.advance(super::MICROSECOND);
    refresh(&store, Err(Failure::Own("down"))).await;
    assert_eq!(failures(), 2);
    bench.advance(SECOND);
    refresh(&store, Ok(Loaded::new("b".to_owned()))).await;
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
}

#[tokio::test]
async fn a_refresh_that_panics_keeps_the_stale_value() {
    let (bench, meter) = (Bench::long(), Meter::new());
    let _here = meter.listen();
    let store = stale(&bench).await;
    drop(begin_refresh(&store).await.end);
    settle().await;
    assert_eq!(get(&store, "key").await, Some(found("a", Source::Stale)));
    assert_eq!(
        meter.count("cache_loads_total{result=\"refresh_error\"}"),
        1
    );
    bench.advance(SECOND);
    refresh(&store, Ok(Loaded::new("b".to_owned()))).await;
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_hangs_is_cut_off_and_another_one_may_begin() {
    let (bench, meter) = (Bench::long(), Meter::new());
    let _here = meter.listen();
    let store = stale(&bench).await;
    let begun = Instant::now();
    let cache = strings(&store);
    let endless = async || pending::<Result<Loaded<String>, LoadFailed>>().await;
    let answer = cache.fetch("key", &policy(), endless).await;
    assert_eq!(answer.expect("it is stale").source(), Source::Stale);
    let failed = || meter.count("cache_loads_total{result=\"refresh_error\"}");
    let cut_off = begun + bench.settings.refresh_timeout;
    tokio::time::sleep_until(cut_off - Duration::from_millis(1)).await;
    assert_eq!(failed(), 0);
    tokio::time::sleep_until(cut_off + Duration::from_millis(1)).await;
    assert_eq!(failed(), 1);
    bench.advance(SECOND);
    let load = async || Ok::<_, LoadFailed>(Loaded::new("b".to_owned()));
    let answer = cache.fetch("key", &policy(), load).await;
    assert_eq!(answer.expect("it is stale").as_str(), "a");
    settle().await;
    assert_eq!(get(&store, "key").await, Some(found("b", Source::L1)));
}

#[tokio::test]
async fn an_invalidation_beats_staleness() {
    let bench = Bench::long();
    let store = stale(&bench).await;
    store.invalidate_tags(["tag"]).await;
    assert_eq!(get(&store, "key").await, None);
    assert_eq!(
        fetch_as(&store, "key", &policy(), "b").await,
        found("b", Source::Loader)
    );
}

#[tokio::test]
async fn a_change_during_a_refresh_ends_the_stale_value_and_the_new_one() {
    let bench = Bench::long();
    let store = stale(&bench).await;
    let refresh = begin_refresh(&store).await;
    store.invalidate_tags(["tag"]).await;
    let new = Ok(Loaded::new("new".to_owned()));
    let (callers, loads) = crowd(&store, "key", 5, &new).await;
    let outdated = Loaded::new("b".to_owned()).tag("tag");
    refresh.land(Ok(outdated)).await.expect("it was stale");
    for caller in callers {
        let answer = caller.await.expect("returns").expect("loads");
        assert_eq!(answer.as_str(), "new");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    assert_eq!(get(&store, "key").await, Some(found("new", Source::L1)));
}

#[tokio::test]
async fn who_finds_nothing_any_more_waits_for_the_refresh_on_its_way() {
    let bench = Bench::long();
    let store = stale(&bench).await;
    let refresh = begin_refresh(&store).await;
    bench.advance(60 * SECOND);
    let (callers, loads) = crowd(&store, "key", 5, &Err(Failure::Own("unused"))).await;
    refresh
        .land(Ok(Loaded::new("b".to_owned())))
        .await
        .expect("stale");
    for caller in callers {
        let answer = caller.await.expect("returns").expect("loads");
        assert_eq!(answer.as_str(), "b");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_refresh_that_finds_a_value_for_nobody_else_ends_the_stale_one() {
    let bench = Bench::long();
    let store = stale(&bench).await;
    refresh(&store, Ok(Loaded::not_kept("mine".to_owned()))).await;
    assert_eq!(get(&store, "key").await, None);
}

#[tokio::test]
async fn a_refresh_that_finds_nothing_replaces_the_stale_value() {
    let bench = Bench::long();
    let store = stale(&bench).await;
    refresh(&store, Ok(Loaded::absent("nothing".to_owned()))).await;
    assert_eq!(get(&store, "key").await, Some(found("nothing", Source::L1)));
}
