//! The disk tier on real files.

mod damage;
mod failures;
mod reopening;
mod room;

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
    entry::encode(&header, &(key, "x".repeat(length)))
        .unwrap()
        .into()
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
