//! Values that change while they are loaded: nobody who asks after a change gets what was there before it.

use std::sync::atomic::Ordering;

use app::infra::cache::{Loaded, Policy, Source, Store};

use super::{Bench, Failure, InFlight, crowd, fetch, found, get, load, strings};

/// Ways to say that what `key` shows has changed.
#[derive(Clone, Copy, Debug)]
enum Change {
    Key,
    Tag,
    LoadersTag,
    Namespace,
    Everything,
}

const CHANGES: [Change; 5] = [
    Change::Key,
    Change::Tag,
    Change::LoadersTag,
    Change::Namespace,
    Change::Everything,
];

impl Change {
    async fn happen(self, store: &Store) {
        match self {
            Self::Key => strings(store).invalidate("key").await,
            Self::Tag => store.invalidate_tags(["call"]).await,
            Self::LoadersTag => store.invalidate_tags(["loader"]).await,
            Self::Namespace => strings(store).clear().await,
            Self::Everything => store.flush().await,
        }
    }
}

fn policy() -> Policy {
    Policy::new().tag("call")
}

fn old() -> Loaded<String> {
    Loaded::new("old".to_owned()).tag("loader")
}

#[tokio::test]
async fn a_value_that_changes_while_it_is_loaded_is_not_kept() {
    for change in CHANGES {
        let store = Bench::new().in_memory();
        let reader = InFlight::begin(&store, "key", &policy()).await;
        change.happen(&store).await;
        let read = reader.land(Ok(old())).await.expect("loads");
        assert_eq!(read.as_str(), "old", "it asked before the change");
        assert_eq!(get(&store, "key").await, None, "{change:?}");
        assert_eq!(
            fetch(&store, "key", "new").await,
            found("new", Source::Loader)
        );
    }
}

#[tokio::test]
async fn a_change_of_something_else_lets_it_be_kept() {
    let store = Bench::new().in_memory();
    let reader = InFlight::begin(&store, "key", &policy()).await;
    strings(&store).invalidate("other").await;
    store.invalidate_tags(["other"]).await;
    reader.land(Ok(old())).await.expect("loads");
    assert_eq!(get(&store, "key").await, Some(found("old", Source::L1)));
}

#[tokio::test]
async fn who_asks_after_the_change_joins_the_old_load_and_gets_a_new_value() {
    for change in CHANGES {
        let store = Bench::new().in_memory();
        let reader = InFlight::begin(&store, "key", &policy()).await;
        change.happen(&store).await;
        let new = Ok(Loaded::new("new".to_owned()).tag("loader"));
        let (callers, loads) = crowd(&store, "key", 10, &new).await;
        let read = reader.land(Ok(old())).await.expect("loads");
        assert_eq!(read.as_str(), "old");
        for caller in callers {
            let read = caller.await.expect("returns").expect("loads");
            assert_eq!(read.as_str(), "new", "{change:?}");
        }
        assert_eq!(loads.load(Ordering::Relaxed), 1, "{change:?}");
        assert_eq!(get(&store, "key").await, Some(found("new", Source::L1)));
    }
}

#[tokio::test]
async fn who_asked_before_the_change_may_get_the_value_from_before_it() {
    let store = Bench::new().in_memory();
    let reader = InFlight::begin(&store, "key", &policy()).await;
    let (callers, loads) = crowd(&store, "key", 10, &Err(Failure::Own("unused"))).await;
    strings(&store).invalidate("key").await;
    reader.land(Ok(old())).await.expect("loads");
    for caller in callers {
        let read = caller.await.expect("returns").expect("no failure");
        assert_eq!(read.as_str(), "old");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_change_that_the_old_load_has_seen_costs_no_second_one() {
    let store = Bench::new().in_memory();
    strings(&store).invalidate("key").await;
    let reader = InFlight::begin(&store, "key", &policy()).await;
    let (callers, loads) = crowd(&store, "key", 10, &Err(Failure::Own("unused"))).await;
    reader.land(Ok(old())).await.expect("loads");
    for caller in callers {
        assert!(caller.await.expect("returns").is_ok());
    }
    assert_eq!(loads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_value_that_is_set_stays_although_an_older_one_is_still_being_loaded() {
    let store = Bench::new().in_memory();
    let reader = InFlight::begin(&store, "key", &policy()).await;
    strings(&store)
        .set("key", &policy(), "set".to_owned())
        .await;
    assert_eq!(get(&store, "key").await, Some(found("set", Source::L1)));
    let read = reader.land(Ok(old())).await.expect("loads");
    assert_eq!(read.as_str(), "old", "it asked before");
    assert_eq!(get(&store, "key").await, Some(found("set", Source::L1)));
}

#[tokio::test]
async fn an_absence_that_ends_while_it_is_found_out_is_not_remembered() {
    let store = Bench::new().in_memory();
    let reader = InFlight::begin(&store, "key", &policy()).await;
    store.invalidate_tags(["loader"]).await;
    let absent = Loaded::absent(String::new()).tag("loader");
    reader.land(Ok(absent)).await.expect("loads");
    assert_eq!(get(&store, "key").await, None);
}

#[tokio::test]
async fn sweeps_during_a_load_do_not_make_it_forget_the_change() {
    let store = Bench::new().in_memory();
    let reader = InFlight::begin(&store, "key", &policy()).await;
    store.invalidate_tags(["loader"]).await;
    let new = Ok(Loaded::new("new".to_owned()));
    let (callers, _) = crowd(&store, "key", 2, &new).await;
    for _ in 0..3 {
        store.sweep().await;
    }
    reader.land(Ok(old())).await.expect("loads");
    for caller in callers {
        let read = caller.await.expect("returns").expect("loads");
        assert_eq!(read.as_str(), "new");
    }
    let kept = load(&strings(&store), "key", &policy(), Err(Failure::Own("no"))).await;
    assert_eq!(kept.expect("it is kept").as_str(), "new");
}
