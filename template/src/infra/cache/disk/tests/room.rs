//! What stays and what goes.

use super::*;

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
