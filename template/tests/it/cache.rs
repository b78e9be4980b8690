//! The two-tier cache, with real files and a clock of its own.

mod damage;
mod model;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use app::domain::clock::Clock;
use app::infra::cache::{Cache, CacheSettings, Cached, Loaded, Source, Store};
use bytesize::ByteSize;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::support::{fixed_clock, wait_until_released};

/// A cache folder, its settings and its clock.
struct Bench {
    folder: TempDir,
    settings: CacheSettings,
    clock: Clock,
}

impl Bench {
    /// Entries stay a minute in memory and an hour on disk.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = CacheSettings {
            l1_ttl: Duration::from_mins(1),
            l2_ttl: Duration::from_hours(1),
            l1_capacity: Some(ByteSize::mib(16)),
            dir: folder.path().join("cache"),
            gc_interval: Duration::from_hours(1),
        };
        Self {
            folder,
            settings,
            clock: fixed_clock(),
        }
    }

    fn open(&self) -> Store {
        self.open_build("build")
    }

    fn open_build(&self, build: &str) -> Store {
        Store::open(self.settings.clone(), build, self.clock.clone())
    }

    /// Closes the store, the last handle on it, and waits until its files are free.
    async fn close(&self, store: Store) {
        store.close().await;
        drop(store);
        wait_until_released(&self.dir());
    }

    async fn reopen(&self, store: Store) -> Store {
        self.close(store).await;
        self.open()
    }

    /// Opens a store that was dropped, closed or not.
    fn open_when_released(&self) -> Store {
        wait_until_released(&self.dir());
        self.open()
    }

    fn dir(&self) -> PathBuf {
        self.settings.dir.clone()
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// What `key` is, loading `value` with the tag `tag` if nothing is kept.
async fn fetch(store: &Store, key: &str, value: &str) -> (String, Source) {
    let load = async || Ok::<_, ()>(Loaded::new(value.to_owned()).tag("tag"));
    let found = strings(store).fetch(key, load).await.expect("loads");
    (found.value.to_string(), found.source)
}

fn strings(store: &Store) -> Cache<String> {
    store.namespace("strings")
}

fn found(value: &str, source: Source) -> (String, Source) {
    (value.to_owned(), source)
}

#[tokio::test]
async fn a_value_is_loaded_once_then_read_from_memory_and_later_from_disk() {
    let bench = Bench::new();
    let store = bench.open();
    assert!(store.has_disk());
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    let store = bench.reopen(store).await;
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L2));
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    store.close().await;
}

#[tokio::test]
async fn memory_forgets_after_its_time_and_disk_after_its_own() {
    let bench = Bench::new();
    let store = bench.open();
    fetch(&store, "key", "a").await;
    let store = bench.reopen(store).await;
    bench.advance(3000);
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L2));
    bench.advance(59);
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    bench.advance(1);
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L2));
    bench.advance(540);
    assert_eq!(fetch(&store, "key", "b").await, found("b", Source::Loader));
    store.close().await;
}

#[tokio::test]
async fn an_entry_from_disk_stays_in_memory_no_longer_than_it_is_valid() {
    let bench = Bench::new();
    let store = bench.open();
    fetch(&store, "key", "a").await;
    let store = bench.reopen(store).await;
    bench.advance(3590);
    let load = async || Ok::<_, ()>(Loaded::new("b".to_owned()));
    let kept: Cached<String> = strings(&store).fetch("key", load).await.unwrap();
    assert_eq!((kept.source, kept.value.as_str()), (Source::L2, "a"));
    let age = bench.clock.now().timestamp_millis() - kept.stored_at_ms;
    assert_eq!(age, 3_590_000, "its age counts from when it was loaded");
    bench.advance(9);
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    bench.advance(1);
    assert_eq!(fetch(&store, "key", "b").await, found("b", Source::Loader));
    store.close().await;
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let bench = Bench::new();
    let store = bench.open();
    fetch(&store, "key", "a").await;
    let other: Cache<u64> = store.namespace("numbers");
    let load = async || Ok::<_, ()>(Loaded::new(7));
    let loaded = other.fetch("key", load).await.unwrap();
    assert_eq!((*loaded.value, loaded.source), (7, Source::Loader));
    assert_eq!(fetch(&store, "key", "b").await, found("a", Source::L1));
    store.close().await;
}

#[tokio::test]
async fn an_invalidated_tag_takes_its_entries_out_of_both_tiers_and_no_others() {
    let bench = Bench::new();
    let store = bench.open();
    let two_tags = async || Ok::<_, ()>(Loaded::new("c".to_owned()).tag("tag").tag("other"));
    fetch(&store, "key", "a").await;
    strings(&store).fetch("two", two_tags).await.unwrap();
    let no_tag = async || Ok::<_, ()>(Loaded::new("d".to_owned()));
    strings(&store).fetch("none", no_tag).await.unwrap();

    store.invalidate_tags(["other"]);
    let store = bench.reopen(store).await;
    assert_eq!(fetch(&store, "key", "-").await, found("a", Source::L2));
    assert_eq!(fetch(&store, "two", "e").await, found("e", Source::Loader));
    assert_eq!(fetch(&store, "none", "-").await, found("d", Source::L2));

    store.invalidate_tags(["tag"]);
    assert_eq!(fetch(&store, "key", "f").await, found("f", Source::Loader));
    assert_eq!(fetch(&store, "two", "g").await, found("g", Source::Loader));
    assert_eq!(fetch(&store, "none", "-").await, found("d", Source::L1));
    store.close().await;
}

#[tokio::test]
async fn what_was_loaded_before_a_change_is_not_served_after_it() {
    let bench = Bench::new();
    let store = bench.open();
    let (begun, has_begun) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let slow = strings(&store);
    let slow = tokio::spawn(async move {
        let load = async || {
            begun.send(()).unwrap();
            released.await.unwrap();
            Ok::<_, ()>(Loaded::new("old".to_owned()).tag("tag"))
        };
        slow.fetch("key", load).await.unwrap().value
    });
    has_begun.await.unwrap();
    store.invalidate_tags(["tag"]);
    assert_eq!(
        fetch(&store, "key", "new").await,
        found("new", Source::Loader)
    );
    release.send(()).unwrap();
    assert_eq!(
        *slow.await.unwrap(),
        "old",
        "the slow reader asked before the change"
    );
    let (value, _) = fetch(&store, "key", "newer").await;
    assert_ne!(value, "old");
    let store = bench.reopen(store).await;
    let (value, _) = fetch(&store, "key", "newer").await;
    assert_ne!(value, "old", "nor after a restart");
    store.close().await;
}

#[tokio::test]
async fn an_error_is_not_kept() {
    let bench = Bench::new();
    let store = bench.open();
    let fails = async || Err::<Loaded<String>, _>("no");
    assert_eq!(strings(&store).fetch("key", fails).await.unwrap_err(), "no");
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
    store.close().await;
}

#[tokio::test]
async fn a_value_for_one_caller_is_not_kept() {
    let bench = Bench::new();
    let store = bench.open();
    let load = async || Ok::<_, ()>(Loaded::not_kept("mine".to_owned()));
    let loaded = strings(&store).fetch("key", load).await.unwrap();
    assert_eq!(
        (loaded.value.as_str(), loaded.source),
        ("mine", Source::Loader)
    );
    assert_eq!(fetch(&store, "key", "a").await, found("a", Source::Loader));
    store.close().await;
}

#[tokio::test]
async fn memory_stays_below_its_size() {
    const SIZE: usize = 64 * 1024;
    let mut bench = Bench::new();
    bench.settings.l1_capacity = Some(ByteSize::mib(1));
    let store = Store::in_memory(bench.settings, bench.clock);
    let value = "x".repeat(SIZE);
    for n in 0..200 {
        fetch(&store, &format!("key-{n}"), &value).await;
    }
    let mut kept = 0;
    for n in 0..200 {
        let absent = async || Err::<Loaded<String>, _>(());
        let found = strings(&store).fetch(&format!("key-{n}"), absent).await;
        kept += usize::from(found.is_ok());
    }
    assert!(
        (1..=16).contains(&kept),
        "{kept} values of {SIZE} bytes are kept in 1 MiB"
    );
}

#[tokio::test]
async fn expired_and_outdated_entries_are_swept_from_disk() {
    let bench = Bench::new();
    let store = bench.open();
    fetch(&store, "old", "a").await;
    bench.advance(3600);
    let load = async || Ok::<_, ()>(Loaded::new("b".to_owned()).tag("other"));
    strings(&store).fetch("outdated", load).await.unwrap();
    store.invalidate_tags(["other"]);
    fetch(&store, "new", "c").await;
    bench.close(store).await;
    assert_eq!(
        keys_on_disk(&bench),
        ["strings:new", "strings:old", "strings:outdated"]
    );

    let store = bench.open();
    store.sweep();
    bench.close(store).await;
    assert_eq!(keys_on_disk(&bench), ["strings:new"]);
}

/// The keys in the files of a store that is closed.
fn keys_on_disk(bench: &Bench) -> Vec<String> {
    let db = sled::open(bench.dir().join("store")).expect("a store");
    let entries = db.open_tree("entries-build").expect("entries");
    let keys = entries
        .iter()
        .keys()
        .map(|key| key.expect("a key").to_vec());
    keys.map(|key| String::from_utf8(key).expect("text"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_of_one_key_get_one_value_each() {
    let bench = Bench::new();
    let store = Arc::new(bench.open());
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        readers.spawn(async move { fetch(&store, "key", "a").await.0 });
    }
    assert!(readers.join_all().await.iter().all(|value| value == "a"));
    store.close().await;
}
