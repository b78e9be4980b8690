//! The disk tier when its files are damaged, in use, or of another build.

use std::fs;
use std::path::{Path, PathBuf};

use app::infra::cache::Source;

use super::{Bench, Meter, close, fetch, found, get};

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
    found.sort();
    found
}

/// A closed cache folder with some entries in it.
async fn filled() -> Bench {
    let bench = Bench::new();
    let store = bench.open().await;
    for n in 0..100 {
        fetch(&store, &format!("key-{n}"), &"a".repeat(n)).await;
    }
    close(store).await;
    bench
}

/// Opens the cache whatever its files are, and uses it; whether a value survived does not matter, a wrong one does.
async fn assert_works(bench: &Bench, what: &str) {
    let store = bench.open().await;
    assert!(store.has_second_tier(), "{what}: a new store is made");
    for n in 0..100 {
        let value = "a".repeat(n);
        let (read, _) = fetch(&store, &format!("key-{n}"), &value).await;
        assert_eq!(read, value, "{what}: key-{n}");
    }
    let store = bench.reopen(store).await;
    let kept = fetch(&store, "key-7", "-").await;
    assert_eq!(kept, found("aaaaaaa", Source::L2), "{what}");
    close(store).await;
}

/// The content of a damaged file, made of the content it had.
type Damage = fn(&[u8]) -> Vec<u8>;

const DAMAGES: [(&str, Damage); 5] = [
    ("overwritten", |_| vec![0x5a; 9000]),
    ("zeroed", |bytes| vec![0; bytes.len()]),
    ("emptied", |_| Vec::new()),
    ("cut in half", |bytes| bytes[..bytes.len() / 2].to_vec()),
    ("changed in the middle", |bytes| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    }),
];

#[tokio::test]
async fn whatever_file_is_damaged_the_cache_works_and_answers_nothing_wrong() {
    let count = files(&filled().await.settings.dir).len();
    assert!(count > 1);
    for nth in 0..count {
        for (name, damage) in DAMAGES {
            let bench = filled().await;
            if let Some(file) = files(&bench.settings.dir).get(nth) {
                fs::write(file, damage(&fs::read(file).unwrap())).unwrap();
                assert_works(&bench, &format!("{} {name}", file.display())).await;
            }
        }
    }
}

#[tokio::test]
async fn what_was_damaged_is_kept_for_whoever_wants_to_know_why() {
    let bench = filled().await;
    let store = bench.settings.dir.join("store-1");
    assert!(store.is_dir());
    fs::remove_dir_all(&store).unwrap();
    fs::write(&store, "not a folder").unwrap();
    assert_works(&bench, "a file in its place").await;
    let damaged = fs::read_to_string(bench.settings.dir.join("store.damaged")).unwrap();
    assert_eq!(damaged, "not a folder");
}

#[tokio::test]
async fn a_store_that_was_not_closed_starts_empty() {
    let bench = filled().await;
    let store = bench.open().await;
    let kept = get(&store, "key-7").await;
    assert_eq!(kept, Some(found("aaaaaaa", Source::L2)));
    drop(store);
    let store = bench.open().await;
    assert!(store.has_second_tier());
    assert_eq!(get(&store, "key-7").await, None);
    assert_eq!(
        fetch(&store, "key-7", "b").await,
        found("b", Source::Loader)
    );
    close(store).await;
}

#[tokio::test]
async fn a_folder_in_use_leaves_the_second_cache_with_its_memory_and_is_reported() {
    let (bench, meter) = (filled().await, Meter::new());
    let _here = meter.listen();
    let first = bench.open().await;
    let second = bench.open_beside();
    assert!(first.has_second_tier() && !second.has_second_tier());
    assert!(!second.is_well());
    let errors = "cache_errors_total{tier=\"l2\",op=\"open\"}";
    assert_eq!(meter.count(errors), 1);
    assert_eq!(
        fetch(&second, "key-7", "b").await,
        found("b", Source::Loader)
    );
    assert_eq!(fetch(&second, "key-7", "c").await, found("b", Source::L1));
    close(second).await;
    let kept = found("aaaaaaa", Source::L2);
    assert_eq!(fetch(&first, "key-7", "-").await, kept);
    let third = bench.reopen(first).await;
    assert_eq!(fetch(&third, "key-7", "-").await, kept);
    close(third).await;
}

#[tokio::test]
async fn a_cache_that_is_closed_but_not_gone_is_in_use_and_not_damaged() {
    let bench = filled().await;
    let first = bench.open().await;
    first.close().await;
    let second = bench.open_beside();
    assert!(!second.has_second_tier(), "the first one holds the files");
    drop((first, second));
    let third = bench.open().await;
    let kept = found("aaaaaaa", Source::L2);
    assert_eq!(fetch(&third, "key-7", "-").await, kept);
    assert!(!bench.settings.dir.join("store.damaged").exists());
    close(third).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_leaves_memory() {
    let mut bench = Bench::new();
    let file = bench.folder.path().join("file");
    fs::write(&file, "").unwrap();
    bench.settings.dir = file.join("cache");
    let store = bench.open().await;
    assert!(!store.has_second_tier());
    fetch(&store, "key", "a").await;
    store.invalidate_tags(["tag"]).await;
    assert_eq!(fetch(&store, "key", "b").await, found("b", Source::Loader));
    assert_eq!(fetch(&store, "key", "c").await, found("b", Source::L1));
    close(store).await;
}

#[tokio::test]
async fn another_build_does_not_see_the_entries_and_drops_them() {
    let bench = filled().await;
    let other = bench.open_build("other").await;
    assert_eq!(
        fetch(&other, "key-7", "b").await,
        found("b", Source::Loader)
    );
    let back = bench.reopen(other).await;
    assert_eq!(fetch(&back, "key-7", "c").await, found("c", Source::Loader));
    close(back).await;
}
