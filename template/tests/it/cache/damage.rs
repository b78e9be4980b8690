//! The disk tier when its files are damaged, in use, or of another build.

use std::fs;
use std::path::{Path, PathBuf};

use app::infra::cache::Source;

use super::{Bench, fetch, found};

/// Every file below `folder` that holds something.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if fs::metadata(&path).expect("a file").len() > 0 {
            found.push(path);
        }
    }
    found
}

/// A closed cache folder with some entries in it.
async fn filled() -> Bench {
    let bench = Bench::new();
    let store = bench.open();
    for n in 0..200 {
        fetch(&store, &format!("key-{n}"), &"a".repeat(n)).await;
    }
    bench.close(store).await;
    bench
}

/// Opens the cache whatever its files are, and uses it; whether a value survived does not matter, a wrong one does.
async fn assert_works(bench: &Bench, what: &str) {
    let store = bench.open();
    assert!(store.has_disk(), "{what}: a new store is made");
    for n in 0..200 {
        let value = "a".repeat(n);
        let (read, _) = fetch(&store, &format!("key-{n}"), &value).await;
        assert_eq!(read, value, "{what}: key-{n}");
    }
    let store = bench.reopen(store).await;
    let kept = fetch(&store, "key-7", "-").await;
    assert_eq!(kept, found("aaaaaaa", Source::L2), "{what}");
    store.close().await;
}

/// The content of a damaged file, made of the content it had.
type Damage = fn(&[u8]) -> Vec<u8>;

const DAMAGES: [(&str, Damage); 4] = [
    ("overwritten", |_| vec![0x5a; 9000]),
    ("zeroed", |bytes| vec![0; bytes.len()]),
    ("emptied", |_| Vec::new()),
    ("cut in half", |bytes| bytes[..bytes.len() / 2].to_vec()),
];

#[tokio::test]
async fn damaged_files_are_set_aside_and_the_cache_works() {
    let count = files(&filled().await.dir().join("store")).len();
    assert!(count > 0);
    for nth in 0..count {
        for (name, damage) in DAMAGES {
            let bench = filled().await;
            if let Some(file) = files(&bench.dir().join("store")).get(nth) {
                fs::write(file, damage(&fs::read(file).unwrap())).unwrap();
                assert_works(&bench, &format!("{} {name}", file.display())).await;
            }
        }
    }
}

#[tokio::test]
async fn what_was_damaged_is_kept_for_whoever_wants_to_know_why() {
    let bench = filled().await;
    let store = bench.dir().join("store");
    fs::remove_dir_all(&store).unwrap();
    fs::write(&store, "not a folder").unwrap();
    assert_works(&bench, "a file in its place").await;
    let damaged = fs::read_to_string(bench.dir().join("store.damaged")).unwrap();
    assert_eq!(damaged, "not a folder");
}

#[tokio::test]
async fn a_store_that_was_not_closed_starts_empty() {
    let bench = filled().await;
    let store = bench.open();
    assert_eq!(
        fetch(&store, "key-7", "-").await,
        found("aaaaaaa", Source::L2)
    );
    drop(store);
    let store = bench.open_when_released();
    assert!(store.has_disk());
    assert_eq!(
        fetch(&store, "key-7", "b").await,
        found("b", Source::Loader)
    );
    store.close().await;
}

#[tokio::test]
async fn a_folder_in_use_leaves_the_second_cache_with_its_memory() {
    let bench = filled().await;
    let first = bench.open();
    let second = bench.open();
    assert!(first.has_disk() && !second.has_disk());
    assert_eq!(
        fetch(&second, "key-7", "b").await,
        found("b", Source::Loader)
    );
    assert_eq!(fetch(&second, "key-7", "c").await, found("b", Source::L1));
    second.close().await;
    drop(second);
    assert_eq!(
        fetch(&first, "key-7", "-").await,
        found("aaaaaaa", Source::L2)
    );
    let third = bench.reopen(first).await;
    assert_eq!(
        fetch(&third, "key-7", "-").await,
        found("aaaaaaa", Source::L2)
    );
    third.close().await;
}

#[tokio::test]
async fn a_cache_that_is_closed_but_not_gone_is_in_use_and_not_damaged() {
    let bench = filled().await;
    let first = bench.open();
    first.close().await;
    let second = bench.open();
    assert!(!second.has_disk(), "the first one still holds the files");
    drop((first, second));
    let third = bench.open_when_released();
    assert_eq!(
        fetch(&third, "key-7", "-").await,
        found("aaaaaaa", Source::L2)
    );
    assert!(!bench.dir().join("store.damaged").exists());
    third.close().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_leaves_memory() {
    let mut bench = Bench::new();
    let file = bench.folder.path().join("file");
    fs::write(&file, "").unwrap();
    bench.settings.dir = file.join("cache");
    let store = bench.open();
    assert!(!store.has_disk());
    fetch(&store, "key", "a").await;
    store.invalidate_tags(["tag"]);
    assert_eq!(fetch(&store, "key", "b").await, found("b", Source::Loader));
    assert_eq!(fetch(&store, "key", "c").await, found("b", Source::L1));
    store.close().await;
}

#[tokio::test]
async fn another_build_does_not_see_the_entries_and_drops_them() {
    let bench = filled().await;
    let other = bench.open_build("other");
    assert_eq!(
        fetch(&other, "key-7", "b").await,
        found("b", Source::Loader)
    );
    let back = bench.reopen(other).await;
    assert_eq!(fetch(&back, "key-7", "c").await, found("c", Source::Loader));
    back.close().await;
}
