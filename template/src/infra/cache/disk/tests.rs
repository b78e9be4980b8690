//! The disk tier on real files.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::infra::cache::entry::Expiry;
use crate::infra::cache::tags::{Table, TagId};

const CAPACITY: u64 = 4 << 20;

/// What may be on disk besides: a segment that sled has begun in either index.
const SLACK: u64 = 1 << 20;

impl Disk {
    /// What nothing but a test does: an entry that is gone before its time.
    async fn remove(&self, key: &str) -> anyhow::Result<()> {
        let key = key.to_owned();
        self.write(move |inner, _| inner.remove(&key)).await
    }

    /// Lets the time of generations pass.
    fn advance(&self, last: u64) {
        self.generations().merge(&Table {
            last,
            ..Table::default()
        });
    }
}

fn open(folder: &TempDir) -> Disk {
    Disk::open(folder.path(), "origin", CAPACITY).unwrap()
}

/// An entry that was stored at `stored_at` and holds its key.
fn entry(key: &str, stored_at: i64, length: usize) -> Bytes {
    let header = Header {
        born: 1,
        stored_at,
        expiry: Expiry {
            stale_at: i64::MAX,
            ends_at: i64::MAX,
            is_absent: false,
        },
        tags: [TagId::of_key(key)].into(),
    };
    entry::encode(&header, &(key, "x".repeat(length))).into()
}

async fn set(disk: &Disk, key: &str, entry: &Bytes) {
    disk.set(key, entry.clone(), None, None).await.unwrap();
}

async fn get(disk: &Disk, key: &str) -> Option<Bytes> {
    disk.get(key).await.unwrap()
}

async fn close(disk: Disk) {
    disk.close().await.unwrap();
}

/// Forgets what is in memory.
fn cool(disk: &Disk) {
    disk.0.warm.clear();
}

/// Writes entries nobody asks for until the newest store is another one.
async fn fill(disk: &Disk) {
    let before = disk.0.newest().unwrap().number();
    for n in 0.. {
        let key = format!("filler-{before}-{n}");
        set(disk, &key, &entry(&key, 1, 60_000)).await;
        if disk.0.newest().unwrap().number() > before {
            return;
        }
    }
}

/// Waits until the store that `find` picks has `key`, or has it no more.
async fn wait_for(disk: &Disk, what: impl Fn(&Stores) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !what(&disk.0.stores()) {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

fn size_of(path: &Path) -> u64 {
    files(path)
        .iter()
        .map(|file| fs::metadata(file).map_or(0, |data| data.len()))
        .sum()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).into_iter().flatten().flatten() {
        if item.path().is_dir() {
            found.extend(files(&item.path()));
        } else {
            found.push(item.path());
        }
    }
    found
}

/// The folders of the stores.
fn folders(folder: &TempDir) -> Vec<String> {
    let items = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = items
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("store"))
        .collect();
    names.sort();
    names
}

/// A closed cache with some entries in it.
async fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    for n in 0..60 {
        let key = format!("key-{n}");
        set(&disk, &key, &entry(&key, 1, n * 10)).await;
    }
    close(disk).await;
    folder
}

#[tokio::test]
async fn what_was_closed_is_there_again() {
    let folder = filled().await;
    let disk = open(&folder);
    assert_eq!(disk.usage().unwrap().entries, 60);
    for n in 0..60 {
        let key = format!("key-{n}");
        assert_eq!(get(&disk, &key).await, Some(entry(&key, 1, n * 10)));
    }
    assert_eq!(get(&disk, "key-60").await, None);
}

#[tokio::test]
async fn both_stores_are_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    set(&disk, "old", &entry("old", 1, 10)).await;
    fill(&disk).await;
    set(&disk, "new", &entry("new", 1, 10)).await;
    let usage = disk.usage();
    close(disk).await;
    let disk = open(&folder);
    assert_eq!(disk.usage().unwrap().entries, usage.unwrap().entries);
    assert_eq!(get(&disk, "new").await, Some(entry("new", 1, 10)));
    assert_eq!(get(&disk, "old").await, Some(entry("old", 1, 10)));
}

#[tokio::test]
async fn the_invalidations_are_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    let tags = [TagId::of_tag("a"), TagId::of_tag("b")];
    let generation = disk.generations().invalidate(&tags);
    close(disk).await;
    let disk = open(&folder);
    assert!(disk.generations().is_outdated(generation - 1, &tags[..1]));
    assert!(!disk.generations().is_outdated(generation, &tags));
    disk.advance(50);
    close(disk).await;
    let disk = open(&folder);
    assert!(
        disk.generations().invalidate(&tags) > 50,
        "entries may be born in 50"
    );
}

#[tokio::test]
async fn what_was_not_closed_starts_empty() {
    let folder = filled().await;
    let disk = open(&folder);
    assert!(get(&disk, "key-7").await.is_some());
    drop(disk);
    let disk = open(&folder);
    assert_eq!(get(&disk, "key-7").await, None);
    assert_eq!(disk.usage().unwrap().entries, 0);
    assert_eq!(folders(&folder).len(), 1);
}

#[tokio::test]
async fn another_origin_starts_empty() {
    let folder = filled().await;
    let disk = Disk::open(folder.path(), "another", CAPACITY).unwrap();
    assert_eq!(get(&disk, "key-7").await, None);
    close(disk).await;
    let disk = open(&folder);
    assert_eq!(get(&disk, "key-7").await, None);
    assert_eq!(folders(&folder).len(), 1);
}

#[tokio::test]
async fn a_folder_in_use_is_an_error_until_it_is_let_go() {
    let folder = filled().await;
    let disk = open(&folder);
    let error = Disk::open(folder.path(), "origin", CAPACITY).err().unwrap();
    assert!(format!("{error:#}").contains("another process uses it"));
    disk.close().await.unwrap();
    assert!(Disk::open(folder.path(), "origin", CAPACITY).is_err());
    drop(disk);
    let disk = open(&folder);
    assert!(get(&disk, "key-7").await.is_some());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(Disk::open(&file.join("cache"), "origin", CAPACITY).is_err());
}

#[tokio::test]
async fn nothing_changes_after_it_is_closed() {
    let folder = filled().await;
    let disk = open(&folder);
    disk.close().await.unwrap();
    set(&disk, "late", &entry("late", 1, 10)).await;
    disk.remove("key-7").await.unwrap();
    disk.clear().await.unwrap();
    disk.sweep(Box::new(|_, _| false)).await.unwrap();
    disk.close().await.unwrap();
    assert_eq!(folders(&folder), ["store-1"]);
    drop(disk);
    let disk = open(&folder);
    assert_eq!(disk.usage().unwrap().entries, 60);
    assert!(get(&disk, "key-7").await.is_some());
    assert_eq!(get(&disk, "late").await, None);
}

/// The content of a damaged file, made of the content it had.
type Damage = fn(&[u8]) -> Vec<u8>;

const DAMAGES: [Damage; 5] = [
    |_| vec![0x5a; 9000],
    |bytes| vec![0; bytes.len()],
    |_| Vec::new(),
    |bytes| bytes[..bytes.len() / 2].to_vec(),
    |bytes| {
        let mut bytes = bytes.to_vec();
        bytes.iter_mut().step_by(7).for_each(|byte| *byte ^= 0x5a);
        bytes
    },
];

#[tokio::test]
async fn whatever_is_damaged_it_opens_and_answers_nothing_wrong() {
    let count = files(filled().await.path()).len();
    for nth in 0..count {
        for damage in DAMAGES {
            let folder = filled().await;
            let file = &files(folder.path())[nth];
            fs::write(file, damage(&fs::read(file).unwrap())).unwrap();
            let disk = open(&folder);
            for n in 0..60 {
                let key = format!("key-{n}");
                let value = entry(&key, 1, n * 10);
                // An error is as good as nothing; the store then begins anew.
                let found = disk.get(&key).await.ok().flatten();
                assert!(found.is_none_or(|found| found == value));
                disk.set(&key, value, None, None).await.ok();
            }
            set(&disk, "new", &entry("new", 1, 10)).await;
            close(disk).await;
            assert!(get(&open(&folder), "new").await.is_some());
        }
    }
}

#[tokio::test]
async fn a_damaged_store_is_set_aside() {
    let folder = filled().await;
    fs::remove_dir_all(folder.path().join("store-1")).unwrap();
    fs::write(folder.path().join("store-1"), "not a folder").unwrap();
    let disk = open(&folder);
    assert_eq!(get(&disk, "key-7").await, None);
    let damaged = fs::read_to_string(folder.path().join("store.damaged")).unwrap();
    assert_eq!(damaged, "not a folder");
    close(disk).await;

    // Only the latest one is kept.
    let values = folder.path().join("store-2/values");
    fs::write(values, "too long").unwrap();
    close(open(&folder)).await;
    assert!(folder.path().join("store.damaged/values").exists());
    assert_eq!(folders(&folder), ["store-3", "store.damaged"]);
}

#[tokio::test]
async fn a_damaged_store_takes_the_other_one_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    set(&disk, "key", &entry("key", 1, 10)).await;
    fill(&disk).await;
    set(&disk, "key", &entry("key", 2, 10)).await;
    close(disk).await;
    for damaged in ["store-1", "store-2"] {
        if folder.path().join(damaged).exists() {
            fs::remove_file(folder.path().join(damaged).join("values")).unwrap();
        }
        let disk = open(&folder);
        assert_eq!(get(&disk, "key").await, None);
        assert_eq!(disk.usage().unwrap().entries, 0);
        close(disk).await;
    }
}

#[tokio::test]
async fn a_store_is_set_aside_when_what_is_known_of_it_is_damaged() {
    let folder = filled().await;
    fs::write(folder.path().join("in-use"), [0xa5; 4096]).unwrap();
    let disk = open(&folder);
    assert_eq!(get(&disk, "key-7").await, None);
    assert!(folder.path().join("store.damaged/values").exists());
}

#[tokio::test]
async fn a_damaged_value_is_missed_alone() {
    let folder = filled().await;
    let values = folder.path().join("store-1/values");
    let mut bytes = fs::read(&values).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&values, bytes).unwrap();
    let disk = open(&folder);
    assert_eq!(get(&disk, "key-59").await, None);
    assert_eq!(disk.usage().unwrap().entries, 59);
    assert_eq!(get(&disk, "key-58").await, Some(entry("key-58", 1, 580)));
}

#[tokio::test]
async fn it_takes_no_more_than_its_capacity() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    let mut most = 0;
    for n in 0..700 {
        let key = format!("key-{n}");
        set(&disk, &key, &entry(&key, 1, n % 60 * 1000)).await;
        most = most.max(size_of(folder.path()));
        assert!(most <= CAPACITY + SLACK, "{most} after {n}");
        let usage = disk.usage().unwrap();
        assert!(usage.bytes <= CAPACITY + SLACK);
        assert!(folders(&folder).len() <= 2);
    }
    assert!(most > CAPACITY / 2, "it uses what it may: {most}");
    cool(&disk);
    for n in 680..700 {
        let key = format!("key-{n}");
        assert!(get(&disk, &key).await.is_some(), "{key} was written last");
    }
    assert_eq!(get(&disk, "key-0").await, None);
    close(disk).await;
    assert!(size_of(folder.path()) <= CAPACITY + SLACK);
}

#[tokio::test]
async fn many_small_entries_take_no_more_than_the_capacity() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    for n in 0..20_000 {
        let key = format!("key-{n}");
        set(&disk, &key, &entry(&key, 1, 20)).await;
        if n % 100 == 0 {
            let size = size_of(folder.path());
            assert!(size <= CAPACITY + SLACK, "{size} after {n}");
        }
    }
    assert!(folders(&folder) > vec!["store-2".to_owned()]);
}

#[tokio::test]
async fn a_smaller_capacity_is_kept_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path(), "origin", 16 * CAPACITY).unwrap();
    for n in 0..100 {
        let key = format!("key-{n}");
        set(&disk, &key, &entry(&key, 1, 100_000)).await;
    }
    close(disk).await;
    let disk = open(&folder);
    assert_eq!(disk.usage().unwrap().entries, 0);
    assert!(size_of(folder.path()) <= SLACK);
}

#[tokio::test]
async fn what_is_asked_for_outlives_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    set(&disk, "asked for", &entry("asked for", 1, 100)).await;
    set(&disk, "not asked for", &entry("not asked for", 1, 100)).await;
    for _ in 0..5 {
        fill(&disk).await;
        assert!(get(&disk, "asked for").await.is_some());
        wait_for(&disk, |stores| {
            stores
                .newest
                .as_ref()
                .unwrap()
                .age("asked for")
                .unwrap()
                .is_some()
                && stores
                    .older
                    .as_ref()
                    .unwrap()
                    .age("asked for")
                    .unwrap()
                    .is_none()
        })
        .await;
        assert!(get(&disk, "asked for").await.is_some());
    }
    assert_eq!(get(&disk, "not asked for").await, None);
}

#[tokio::test]
async fn what_is_outdated_does_not_move() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    disk.advance(1);
    set(&disk, "key", &entry("key", 1, 100)).await;
    fill(&disk).await;
    disk.generations().invalidate(&[TagId::of_key("key")]);
    assert!(get(&disk, "key").await.is_some(), "others judge");
    wait_for(&disk, |stores| {
        stores.older.as_ref().unwrap().age("key").unwrap().is_none()
    })
    .await;
    assert_eq!(disk.0.newest().unwrap().age("key").unwrap(), None);
}

#[test]
fn only_what_is_in_memory_is_read_without_a_blocking_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(&folder);
        for key in ["written", "cold", "read"] {
            set(&disk, key, &entry(key, 1, 4096)).await;
        }
        cool(&disk);
        set(&disk, "written", &entry("written", 2, 4096)).await;
        assert!(get(&disk, "read").await.is_some());

        let (release, wait) = mpsc::channel::<()>();
        let occupied = spawn_blocking(move || wait.recv());
        let mut context = Context::from_waker(Waker::noop());
        for (key, stored_at) in [("written", 2), ("read", 1)] {
            let Poll::Ready(found) = pin!(disk.get(key)).poll(&mut context) else {
                panic!("{key} is in memory");
            };
            assert_eq!(found.unwrap(), Some(entry(key, stored_at, 4096)));
        }
        let mut cold = pin!(disk.get("cold"));
        assert!(cold.as_mut().poll(&mut context).is_pending());
        release.send(()).unwrap();
        assert_eq!(cold.await.unwrap(), Some(entry("cold", 1, 4096)));
        occupied.await.unwrap().unwrap();
    });
}

#[tokio::test]
async fn the_entry_that_was_made_later_stays() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    let (early, late) = (entry("key", 1, 10), entry("key", 2, 20));
    set(&disk, "key", &early).await;
    set(&disk, "key", &late).await;
    set(&disk, "key", &early).await;
    assert_eq!(get(&disk, "key").await, Some(late.clone()));
    assert_eq!(disk.usage().unwrap().entries, 1);
    cool(&disk);
    assert_eq!(get(&disk, "key").await, Some(late.clone()));

    fill(&disk).await;
    set(&disk, "key", &early).await;
    assert_eq!(
        get(&disk, "key").await,
        Some(late.clone()),
        "in the older store"
    );
    let later = entry("key", 3, 30);
    set(&disk, "key", &later).await;
    cool(&disk);
    assert_eq!(get(&disk, "key").await, Some(later));
    let older = disk.0.stores().older.unwrap();
    assert_eq!(older.age("key").unwrap(), None);
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_not_kept_nor_is_what_it_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    set(&disk, "key", &entry("key", 1, 10)).await;
    set(&disk, "key", &entry("key", 2, 1 << 20)).await;
    assert_eq!(get(&disk, "key").await, None);
    set(&disk, "key", &entry("key", 3, 1_000_000)).await;
    assert!(get(&disk, "key").await.is_some());
    set(&disk, "key", &Bytes::from_static(b"unreadable")).await;
    assert_eq!(disk.usage().unwrap().entries, 1, "it is not later");
}

#[tokio::test]
async fn what_is_removed_is_in_neither_store() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    for key in ["a", "b"] {
        set(&disk, key, &entry(key, 1, 10)).await;
    }
    fill(&disk).await;
    let before = disk.usage().unwrap().entries;
    disk.remove("a").await.unwrap();
    assert_eq!(get(&disk, "a").await, None);
    assert!(get(&disk, "b").await.is_some());
    assert_eq!(disk.usage().unwrap().entries, before - 1);
    set(&disk, "a", &entry("a", 1, 10)).await;
    disk.clear().await.unwrap();
    assert_eq!(get(&disk, "a").await, None);
    assert_eq!(get(&disk, "b").await, None);
    assert_eq!(disk.usage().unwrap().entries, 0);
    assert_eq!(folders(&folder).len(), 1, "the space is given back");
    set(&disk, "a", &entry("a", 1, 10)).await;
    close(disk).await;
    assert!(get(&open(&folder), "a").await.is_some());
}

#[tokio::test]
async fn sweeping_removes_what_is_not_to_stay_and_gives_its_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    for n in 0..60 {
        let key = format!("key-{n}");
        set(&disk, &key, &entry(&key, n, 30_000)).await;
    }
    let before = size_of(folder.path());
    disk.sweep(Box::new(|key, header| {
        assert_eq!(key, format!("key-{}", header.stored_at));
        header.stored_at % 10 == 0
    }))
    .await
    .unwrap();
    assert_eq!(disk.usage().unwrap().entries, 6);
    for n in 0..60 {
        let key = format!("key-{n}");
        assert_eq!(get(&disk, &key).await.is_some(), n % 10 == 0, "{key}");
    }
    let after = size_of(folder.path());
    assert!(after < before / 2, "{before} to {after}");
    assert_eq!(folders(&folder), ["store-2"]);
}

#[tokio::test]
async fn sweeping_empties_an_older_store_that_is_mostly_garbage() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    for n in 0..30 {
        let key = format!("key-{n}");
        set(&disk, &key, &entry(&key, 1, 30_000)).await;
    }
    fill(&disk).await;
    disk.sweep(Box::new(|key, _| key == "key-7")).await.unwrap();
    assert!(disk.0.stores().older.is_none());
    assert_eq!(disk.usage().unwrap().entries, 1);
    assert_eq!(get(&disk, "key-7").await, Some(entry("key-7", 1, 30_000)));
    assert_eq!(get(&disk, "key-8").await, None);
}

#[tokio::test]
async fn what_is_swept_is_not_in_memory_either() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    set(&disk, "key", &entry("key", 1, 10)).await;
    disk.sweep(Box::new(|_, _| false)).await.unwrap();
    assert_eq!(get(&disk, "key").await, None);
    assert_eq!(folders(&folder), ["store-1"], "too little to give back");
}

#[tokio::test]
async fn sweeping_leaves_what_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    for n in 0..60 {
        let key = format!("key-{n}");
        set(&disk, &key, &entry(&key, 1, 30_000)).await;
    }
    let newest = disk.0.newest().unwrap().number();
    disk.sweep(Box::new(|_, _| true)).await.unwrap();
    assert_eq!(disk.usage().unwrap().entries, 60);
    assert_eq!(disk.0.newest().unwrap().number(), newest);
}

/// A cache with an entry, whose next write fails.
async fn about_to_fail(folder: &TempDir) -> Disk {
    let disk = open(folder);
    set(&disk, "old", &entry("old", 1, 10)).await;
    let full = folder.path().join("full");
    fs::create_dir(&full).unwrap();
    let full = Store::on_full_disk(&full, 9).unwrap();
    let mut stores = disk.0.stores_mut();
    stores.older = stores.newest.replace(Arc::new(full));
    drop(stores);
    disk
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_the_next_write_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let disk = about_to_fail(&folder).await;
    let new = entry("new", 1, 10);
    assert!(disk.set("new", new.clone(), None, None).await.is_err());
    set(&disk, "new", &new).await;
    cool(&disk);
    assert_eq!(get(&disk, "new").await, Some(new.clone()));
    assert_eq!(get(&disk, "old").await, None);
    close(disk).await;
    assert_eq!(get(&open(&folder), "new").await, Some(new));
}

#[tokio::test]
async fn after_a_failure_what_it_was_to_replace_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let disk = about_to_fail(&folder).await;
    assert!(
        disk.set("old", entry("old", 2, 10), None, None)
            .await
            .is_err()
    );
    assert_eq!(get(&disk, "old").await, None);
    assert_eq!(disk.usage().unwrap().entries, 0);
}

#[tokio::test]
async fn a_failure_nobody_got_over_is_not_closed() {
    let folder = filled().await;
    let disk = open(&folder);
    disk.0.is_doubtful.store(true, Ordering::Relaxed);
    assert!(disk.close().await.is_err());
    drop(disk);
    assert_eq!(get(&open(&folder), "key-7").await, None);
}

#[tokio::test]
async fn a_folder_that_is_deleted_under_way_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    fs::remove_dir_all(folder.path()).unwrap();
    for n in 0..200 {
        let key = format!("key-{n}");
        disk.set(&key, entry(&key, 1, 60_000), None, None)
            .await
            .ok();
    }
    set(&disk, "key", &entry("key", 1, 10)).await;
    cool(&disk);
    assert!(get(&disk, "key").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_writes_and_reads_at_the_same_time_gets_what_belongs_to_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    let mut tasks = Vec::new();
    for task in 0..8_u64 {
        let disk = disk.clone();
        tasks.push(tokio::spawn(async move {
            for step in 0..150 {
                let n = (task * 31 + step * 17) % 40;
                let key = format!("key-{n}");
                match (task + step) % 50 {
                    0 => disk.clear().await.unwrap(),
                    1 => disk.remove(&key).await.unwrap(),
                    2 => {
                        disk.sweep(Box::new(move |_, _| n % 2 == 0)).await.unwrap();
                    }
                    3 => cool(&disk),
                    4..20 => set(&disk, &key, &entry(&key, 1, 50_000)).await,
                    _ => {
                        let found = get(&disk, &key).await;
                        assert!(found.is_none_or(|found| found == entry(&key, 1, 50_000)));
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut present = 0;
    for n in 0..40 {
        present += u64::from(get(&disk, &format!("key-{n}")).await.is_some());
    }
    assert_eq!(disk.usage().unwrap().entries, present);
    assert!(size_of(folder.path()) <= CAPACITY + SLACK);
}

#[test]
fn one_blocking_thread_is_enough() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(&folder);
        let mut tasks = Vec::new();
        for n in 0..60 {
            let disk = disk.clone();
            tasks.push(tokio::spawn(async move {
                let key = format!("key-{n}");
                set(&disk, &key, &entry(&key, 1, 30_000)).await;
                disk.0.is_doubtful.fetch_or(n == 40, Ordering::Relaxed);
                cool(&disk);
                get(&disk, &key).await;
                disk.sweep(Box::new(|_, _| false)).await.unwrap();
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(disk.usage().unwrap().entries, 0);
        close(disk).await;
    });
}
