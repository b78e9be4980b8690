//! One store: a file that values are appended to, and a sled index that says where each of them is.
//!
//! The values are not in sled itself. Up to sixteen neighbours are one page there, which is read and rewritten as a whole, and
//! whole pages are what it keeps in memory: far above its limit if they are large, and without any above 128 KiB.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{anyhow, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::marker::{Stored, while_locked};
use crate::infra::cache::entry::{self, Header};

/// The memory of an index.
const INDEX_CACHE: u64 = 8 << 20;

/// The size of the index is looked up whenever about so much was written to it.
const MEASURED_EVERY: u64 = 256 << 10;

/// What one entry adds to the index: its record and what sled writes around it, estimated.
const RECORD: u64 = 512;

pub(super) struct Store {
    number: u64,
    index: sled::Db,
    values: File,
    /// Where the next value goes.
    end: AtomicU64,
    entries: AtomicU64,
    /// Bytes of the values that are in the index.
    live: AtomicU64,
    index_bytes: AtomicU64,
    /// Bytes written to the index since its size was looked up.
    unmeasured: AtomicU64,
    /// The last field, so that it is dropped when the files are closed.
    folder: Folder,
}

/// Where a value is. In the index its entry's header follows.
#[derive(Serialize, Deserialize)]
struct Place {
    offset: u64,
    length: u32,
    checksum: u64,
}

/// A folder that is deleted when nothing reads from it any more, if it was retired.
struct Folder {
    path: PathBuf,
    is_retired: AtomicBool,
}

impl Store {
    pub fn path(dir: &Path, number: u64) -> PathBuf {
        dir.join(format!("store-{number}"))
    }

    pub fn create(dir: &Path, number: u64) -> anyhow::Result<Self> {
        let path = Self::path(dir, number);
        remove(&path)?;
        fs::create_dir_all(&path)?;
        let stored = Stored {
            number,
            ..Stored::default()
        };
        let values = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(path.join("values"))?;
        Self::in_folder(path, values, stored)
    }

    /// Opens a store as it was closed.
    pub fn open(dir: &Path, stored: Stored) -> anyhow::Result<Self> {
        let path = Self::path(dir, stored.number);
        let values = File::options()
            .read(true)
            .write(true)
            .open(path.join("values"))?;
        if values.metadata()?.len() != stored.end {
            bail!("the file of values has another length");
        }
        Self::in_folder(path, values, stored)
    }

    fn in_folder(path: PathBuf, values: File, stored: Stored) -> anyhow::Result<Self> {
        let store = Self {
            number: stored.number,
            index: open_index(&path.join("index"))?,
            values,
            end: AtomicU64::new(stored.end),
            entries: AtomicU64::new(stored.entries),
            live: AtomicU64::new(stored.live),
            index_bytes: AtomicU64::new(0),
            unmeasured: AtomicU64::new(0),
            folder: Folder {
                path,
                is_retired: AtomicBool::new(false),
            },
        };
        store.measure()?;
        Ok(store)
    }

    pub fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        let Some(record) = self.index.get(key)? else {
            return Ok(None);
        };
        if let Some((place, _)) = decode(&record)
            && let Some(entry) = self.read(&place)?
        {
            return Ok(Some(entry));
        }
        tracing::warn!(key, "an entry of the disk cache is damaged");
        self.remove_record(key, &record)?;
        Ok(None)
    }

    /// How late the entry of `key` is, if there is one.
    pub fn age(&self, key: &str) -> anyhow::Result<Option<(u64, i64)>> {
        let record = self.index.get(key)?;
        Ok(record.and_then(|record| entry::age(decode(&record)?.1)))
    }

    /// Only one thread writes at a time.
    pub fn insert(&self, key: &str, entry: &[u8], header: &Header) -> anyhow::Result<()> {
        let place = Place {
            offset: self.value_bytes(),
            length: u32::try_from(entry.len())?,
            checksum: xxh3_64(entry),
        };
        self.values.write_all_at(entry, place.offset)?;
        let end = place.offset + u64::from(place.length);
        self.end.store(end, Ordering::Relaxed);
        let mut record = postcard::to_stdvec(&place)?;
        record.extend(entry::encode(header, &()).unwrap_or_default());
        let written = RECORD + record.len() as u64 + key.len() as u64;
        self.count_out(self.index.insert(key, record)?);
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.live.fetch_add(place.length.into(), Ordering::Relaxed);
        if self.unmeasured.fetch_add(written, Ordering::Relaxed) > MEASURED_EVERY {
            self.measure()?;
        }
        Ok(())
    }

    pub fn remove(&self, key: &str) -> anyhow::Result<()> {
        self.count_out(self.index.remove(key)?);
        Ok(())
    }

    /// Removes what `keep` says no to and what is unreadable.
    pub fn retain(&self, mut keep: impl FnMut(&str, &Header) -> bool) -> anyhow::Result<()> {
        for item in self.index.iter() {
            let (key, record) = item?;
            if !readable(&key, &record).is_some_and(|(key, header)| keep(key, &header)) {
                self.remove_record(&key, &record)?;
            }
            if self.is_retired() {
                break;
            }
        }
        Ok(())
    }

    pub fn keys(&self) -> impl Iterator<Item = anyhow::Result<String>> {
        let decode = |key: sled::IVec| Ok(str::from_utf8(&key)?.to_owned());
        self.index.iter().keys().map(move |key| decode(key?))
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub fn live_bytes(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// Bytes of the values in the index and of garbage.
    pub fn value_bytes(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.value_bytes() + self.index_bytes.load(Ordering::Relaxed)
    }

    pub fn flush(&self) -> anyhow::Result<Stored> {
        self.index.flush()?;
        self.values.sync_all()?;
        Ok(Stored {
            number: self.number,
            entries: self.entries(),
            live: self.live_bytes(),
            end: self.value_bytes(),
        })
    }

    /// Deletes the folder as soon as nothing reads from it any more.
    pub fn retire(&self) {
        self.folder.is_retired.store(true, Ordering::Relaxed);
    }

    pub fn is_retired(&self) -> bool {
        self.folder.is_retired.load(Ordering::Relaxed)
    }

    fn read(&self, place: &Place) -> io::Result<Option<Bytes>> {
        let end = place.offset.saturating_add(place.length.into());
        if end > self.value_bytes() {
            return Ok(None);
        }
        let mut entry = vec![0; place.length as usize];
        match self.values.read_exact_at(&mut entry, place.offset) {
            Ok(()) if xxh3_64(&entry) == place.checksum => Ok(Some(entry.into())),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(None),
        }
    }

    /// Unless it was replaced meanwhile.
    fn remove_record(&self, key: impl AsRef<[u8]>, record: &sled::IVec) -> sled::Result<()> {
        let none: Option<&[u8]> = None;
        let removed = self.index.compare_and_swap(key, Some(record), none)?;
        self.count_out(removed.is_ok().then(|| record.clone()));
        Ok(())
    }

    /// Notes that a record is no longer in the index.
    fn count_out(&self, record: Option<sled::IVec>) {
        let Some(record) = record else { return };
        let length = decode(&record).map_or(0, |(place, _)| place.length);
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.live.fetch_sub(length.into(), Ordering::Relaxed);
    }

    fn measure(&self) -> sled::Result<()> {
        self.unmeasured.store(0, Ordering::Relaxed);
        self.index_bytes
            .store(self.index.size_on_disk()?, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if *self.is_retired.get_mut()
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(%error, "{} cannot be deleted", self.path.display());
        }
    }
}

fn open_index(path: &Path) -> anyhow::Result<sled::Db> {
    // Nothing is believed after a crash, so nothing has to be on disk before the end.
    let open = || {
        sled::Config::new()
            .path(path)
            .cache_capacity(INDEX_CACHE)
            .flush_every_ms(None)
            .open()
    };
    let is_locked = |error: &sled::Error| error.to_string().contains("acquire lock");
    // Some damage makes sled panic instead of returning an error.
    let opened = catch_unwind(|| while_locked(open, is_locked));
    Ok(opened.map_err(|_| anyhow!("the index cannot be read"))??)
}

fn decode(record: &[u8]) -> Option<(Place, &[u8])> {
    postcard::take_from_bytes(record).ok()
}

fn readable<'a>(key: &'a [u8], record: &[u8]) -> Option<(&'a str, Header)> {
    let (_, header) = decode(record)?;
    Some((str::from_utf8(key).ok()?, entry::decode_header(header)?))
}

/// Deletes a folder or file, if there is one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
impl Store {
    /// A store that values cannot be written to.
    pub fn on_full_disk(dir: &Path, number: u64) -> anyhow::Result<Self> {
        let full = File::options().read(true).write(true).open("/dev/full")?;
        let stored = Stored {
            number,
            ..Stored::default()
        };
        Self::in_folder(Self::path(dir, number), full, stored)
    }
}
