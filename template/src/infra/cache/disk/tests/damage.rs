//! Stores that are damaged.

use super::*;

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
