//! Single flight: of all who miss a key at the same time one loads, and nobody fails for another's sake.

use std::future::{Future, Ready, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use app::infra::cache::{LoadFailed, Loaded, Policy, Source};
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Bench, Failure, InFlight, Loading, Meter, crowd, fetch, found, get, settle, strings};

#[tokio::test]
async fn of_a_thousand_who_miss_at_the_same_time_one_loads_and_all_get_its_value() {
    let (bench, meter) = (Bench::new(), Meter::new());
    let _here = meter.listen();
    let store = bench.in_memory();
    let first = InFlight::begin(&store, "key", &Policy::new()).await;
    let (callers, loads) = crowd(&store, "key", 999, &Err(Failure::Own("unused"))).await;
    let first = first.land(Ok(Loaded::new("a".to_owned()))).await;
    assert_eq!(first.expect("loads").as_str(), "a");
    for caller in callers {
        let cached = caller.await.expect("returns").expect("no failure");
        assert_eq!((cached.as_str(), cached.source()), ("a", Source::Loader));
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    assert_eq!(meter.count("cache_loads_total{result=\"ok\"}"), 1);
    assert_eq!(meter.count("cache_coalesced_total"), 999);
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_fast_the_loader_is_a_stampede_on_many_threads_loads_once() {
    const CALLERS: usize = 8;
    let store = Bench::new().in_memory();
    for round in 0..500 {
        let start = Arc::new(Barrier::new(CALLERS));
        let loads = Arc::<AtomicUsize>::default();
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (cache, start, loads) = (strings(&store), start.clone(), loads.clone());
            callers.spawn(async move {
                start.wait().await;
                let load = async move || {
                    let nth = loads.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, LoadFailed>(Loaded::new(nth.to_string()))
                };
                let key = round.to_string();
                let cached = cache.fetch(&key, &Policy::new(), load).await;
                cached.expect("loads").to_string()
            });
        }
        assert!(callers.join_all().await.iter().all(|value| value == "0"));
        assert_eq!(loads.load(Ordering::Relaxed), 1, "round {round}");
    }
}

#[tokio::test]
async fn different_keys_load_at_the_same_time() {
    let store = Bench::new().in_memory();
    let one = InFlight::begin(&store, "one", &Policy::new()).await;
    let two = InFlight::begin(&store, "two", &Policy::new()).await;
    let two = two.land(Ok(Loaded::new("2".to_owned()))).await;
    assert_eq!(two.expect("loads").as_str(), "2");
    let one = one.land(Ok(Loaded::new("1".to_owned()))).await;
    assert_eq!(one.expect("loads").as_str(), "1");
}

#[tokio::test]
async fn a_first_caller_that_is_cancelled_fails_nobody_and_its_value_is_kept() {
    let store = Bench::new().in_memory();
    let InFlight { caller, end } = InFlight::begin(&store, "key", &Policy::new()).await;
    let (callers, loads) = crowd(&store, "key", 10, &Err(Failure::Own("unused"))).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    end.send(Ok(Loaded::new("a".to_owned())))
        .expect("the load goes on");
    for caller in callers {
        assert_eq!(
            caller.await.expect("returns").expect("no failure").as_str(),
            "a"
        );
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    assert_eq!(get(&store, "key").await, Some(found("a", Source::L1)));
}

#[tokio::test]
async fn a_load_that_nobody_waits_for_any_more_ends_and_is_kept() {
    let store = Bench::new().in_memory();
    let InFlight { caller, end } = InFlight::begin(&store, "key", &Policy::new()).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    end.send(Ok(Loaded::new("a".to_owned())))
        .expect("the load goes on");
    settle().await;
    assert_eq!(get(&store, "key").await, Some(found("a", Source::L1)));
}

#[tokio::test]
async fn a_caller_that_gives_up_fails_nobody() {
    let store = Bench::new().in_memory();
    let first = InFlight::begin(&store, "key", &Policy::new()).await;
    let (mut callers, _) = crowd(&store, "key", 10, &Err(Failure::Own("unused"))).await;
    let impatient = callers.remove(4);
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    let first = first.land(Ok(Loaded::new("a".to_owned()))).await;
    assert_eq!(first.expect("loads").as_str(), "a");
    for caller in callers {
        assert_eq!(
            caller.await.expect("returns").expect("no failure").as_str(),
            "a"
        );
    }
}

#[tokio::test]
async fn an_error_reaches_all_who_wait_and_the_next_one_loads() {
    let store = Bench::new().in_memory();
    let first = InFlight::begin(&store, "key", &Policy::new()).await;
    let (callers, loads) = crowd(&store, "key", 10, &Err(Failure::Own("unused"))).await;
    let failure = Failure::Own("no");
    assert_eq!(first.land(Err(failure.clone())).await.unwrap_err(), failure);
    for caller in callers {
        assert_eq!(caller.await.expect("returns").unwrap_err(), failure);
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
}

#[tokio::test]
async fn an_error_from_before_a_change_does_not_reach_who_asks_after_it() {
    let store = Bench::new().in_memory();
    let before = InFlight::begin(&store, "key", &Policy::new()).await;
    store.invalidate_tags(["tag"]).await;
    let own = Ok(Loaded::new("found".to_owned()));
    let (after, loads) = crowd(&store, "key", 3, &own).await;
    let failure = Failure::Own("not found");
    assert_eq!(
        before.land(Err(failure.clone())).await.unwrap_err(),
        failure
    );
    for caller in after {
        let found = caller.await.expect("returns").expect("it loads again");
        assert_eq!(*found, "found");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn abandoned_loads_end_at_once_and_so_does_closing() {
    let store = Bench::new().in_memory();
    let endless = InFlight::begin(&store, "key", &Policy::new()).await;
    store.abandon_loads();
    store.close().await;
    let failed = endless.caller.await.expect("returns").unwrap_err();
    assert_eq!(failed, Failure::Cache(LoadFailed::TimedOut));
}

#[tokio::test]
async fn a_loader_that_panics_is_an_error_to_all_who_wait_and_the_key_is_free_again() {
    let store = Bench::new().in_memory();
    let InFlight { caller, end } = InFlight::begin(&store, "key", &Policy::new()).await;
    let (callers, loads) = crowd(&store, "key", 10, &Err(Failure::Own("unused"))).await;
    // The loader finds nobody to tell it how to end, and panics.
    drop(end);
    let panicked = Failure::Cache(LoadFailed::Panicked);
    assert_eq!(caller.await.expect("returns").unwrap_err(), panicked);
    for caller in callers {
        assert_eq!(caller.await.expect("returns").unwrap_err(), panicked);
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
}

#[tokio::test]
async fn a_loader_that_panics_before_it_waits_for_anything_is_an_error_too() {
    let store = Bench::new().in_memory();
    let cache = strings(&store);
    for _ in 0..2 {
        let load = || -> Ready<Loading> { panic!("not even a future") };
        let failed = cache.fetch("key", &Policy::new(), load).await;
        assert_eq!(failed.unwrap_err(), Failure::Cache(LoadFailed::Panicked));
    }
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
}

/// Says when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().expect("dropped once").send(());
    }
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_never_ends_is_cut_off_and_the_key_is_free_again() {
    let bench = Bench::new();
    let store = bench.in_memory();
    let begun = Instant::now();
    let (sender, dropped) = oneshot::channel();
    let cache = strings(&store);
    let endless = tokio::spawn(async move {
        let load = async move || {
            let _dropped = Dropped(Some(sender));
            pending::<Loading>().await
        };
        cache.fetch("key", &Policy::new(), load).await
    });
    let (callers, loads) = crowd(&store, "key", 10, &Err(Failure::Own("unused"))).await;
    let timed_out = Failure::Cache(LoadFailed::TimedOut);
    assert_eq!(endless.await.expect("returns").unwrap_err(), timed_out);
    assert_eq!(begun.elapsed(), bench.settings.lock_ttl);
    for caller in callers {
        assert_eq!(caller.await.expect("returns").unwrap_err(), timed_out);
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    dropped.await.expect("the loader does not go on");
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
}

#[tokio::test]
async fn what_is_for_one_caller_reaches_nobody_else() {
    let store = Bench::new().in_memory();
    let first = InFlight::begin(&store, "key", &Policy::new()).await;
    let own = Ok(Loaded::not_kept("own".to_owned()));
    let (callers, loads) = crowd(&store, "key", 10, &own).await;
    let mine = first.land(Ok(Loaded::not_kept("mine".to_owned()))).await;
    assert_eq!(mine.expect("loads").as_str(), "mine");
    for caller in callers {
        assert_eq!(
            caller.await.expect("returns").expect("loads").as_str(),
            "own"
        );
    }
    assert_eq!(loads.load(Ordering::Relaxed), 10);
    assert_eq!(get(&store, "key").await, None);
}

#[tokio::test]
async fn callers_with_another_type_of_error_load_for_themselves() {
    let store = Bench::new().in_memory();
    let first = InFlight::begin(&store, "key", &Policy::new()).await;
    let load = async || Ok::<_, LoadFailed>(Loaded::new("b".to_owned()));
    let other = strings(&store).fetch("key", &Policy::new(), load).await;
    assert_eq!(other.expect("loads").as_str(), "b");
    let first = first.land(Err(Failure::Own("no"))).await;
    assert_eq!(first.unwrap_err(), Failure::Own("no"));
}

#[tokio::test]
async fn closing_waits_for_loads_on_their_way() {
    let store = Bench::new().in_memory();
    let first = InFlight::begin(&store, "key", &Policy::new()).await;
    let closing = store.close();
    tokio::pin!(closing);
    let is_closed = std::future::poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx).is_ready()));
    assert!(!is_closed.await, "a load is on its way");
    let value = first.land(Ok(Loaded::new("a".to_owned()))).await;
    assert_eq!(value.expect("loads").as_str(), "a");
    closing.await;
}
