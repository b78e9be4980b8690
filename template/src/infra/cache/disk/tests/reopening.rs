//! What a later run finds.

use super::*;

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
