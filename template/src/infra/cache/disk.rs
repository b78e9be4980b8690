//! The second tier: a sled database on disk, which survives a restart.
//!
//! It is rebuilt rather than trusted whenever there is doubt. Entries are kept apart by origin: a new build may render
//! the same page differently, and another database holds other things. After a crash everything is dropped: a change
//! may have reached the database and not yet the list of invalidated tags.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use super::entry::{self, Header};

const INVALIDATIONS: &str = "invalidations";

pub(super) struct Disk {
    db: sled::Db,
    entries: sled::Tree,
    /// tag → generation, eight bytes in big-endian order
    invalidations: sled::Tree,
    in_use: Marker,
    /// An invalidation could not be noted: the store must not be believed after this run.
    is_doubtful: AtomicBool,
}

impl Disk {
    /// Opens the store in `dir` for the entries of `origin`. A damaged one is set aside and a new one made.
    pub fn open(dir: &Path, origin: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("the cache folder {} cannot be made", dir.display()))?;
        let unusable = || format!("the cache folder {} cannot be used", dir.display());
        let in_use = Marker::set(&dir.join("in-use")).with_context(unusable)?;
        let crashed = in_use.was_set;
        let db = open_or_rebuild(&dir.join("store")).with_context(unusable)?;
        let disk = Self::in_database(db, origin, in_use).with_context(unusable)?;
        if crashed {
            tracing::info!("the last run did not close the disk cache; it starts empty");
            disk.clear().with_context(unusable)?;
        }
        Ok(disk)
    }

    fn in_database(db: sled::Db, origin: &str, in_use: Marker) -> sled::Result<Self> {
        let name = format!("entries-{origin}");
        for tree in db.tree_names() {
            if tree.starts_with(b"entries-") && tree != name.as_bytes() {
                db.drop_tree(tree)?;
            }
        }
        Ok(Self {
            entries: db.open_tree(name)?,
            invalidations: db.open_tree(INVALIDATIONS)?,
            db,
            in_use,
            is_doubtful: AtomicBool::new(false),
        })
    }

    pub fn get(&self, key: &str) -> sled::Result<Option<sled::IVec>> {
        self.entries.get(key)
    }

    pub fn insert(&self, key: &str, entry: Vec<u8>) -> sled::Result<()> {
        let age = |bytes: &[u8]| entry::decode_header(bytes).map(|h| (h.born, h.stored_at_ms));
        let entry = sled::IVec::from(entry);
        // Two writes of one key may arrive in either order; the value that was loaded later stays.
        let later = |stored: Option<&[u8]>| match stored {
            Some(stored) if age(stored) > age(&entry) => Some(sled::IVec::from(stored)),
            _ => Some(entry.clone()),
        };
        self.entries.update_and_fetch(key, later).map(drop)
    }

    pub fn insert_invalidation(&self, tag: &str, generation: u64) -> sled::Result<()> {
        // Two invalidations of one tag may arrive in either order; the later generation stays.
        let later = |stored: Option<&[u8]>| {
            let stored = stored.map_or(0, decode_generation);
            Some(stored.max(generation).to_be_bytes().to_vec())
        };
        let noted = self.invalidations.update_and_fetch(tag, later).map(drop);
        if noted.is_err() {
            self.is_doubtful.store(true, Ordering::SeqCst);
        }
        noted
    }

    /// The generation at which each tag was last invalidated.
    pub fn invalidations(&self) -> HashMap<String, u64> {
        self.invalidations
            .iter()
            .flatten()
            .map(|(tag, generation)| {
                (
                    String::from_utf8_lossy(&tag).into_owned(),
                    decode_generation(&generation),
                )
            })
            .collect()
    }

    /// Removes the entries that are unreadable or fail `keep`.
    pub fn retain(&self, keep: impl Fn(&Header) -> bool) -> sled::Result<()> {
        for item in &self.entries {
            let (key, bytes) = item?;
            if !entry::decode_header(&bytes).is_some_and(|header| keep(&header)) {
                self.entries.remove(key)?;
            }
        }
        Ok(())
    }

    fn clear(&self) -> sled::Result<()> {
        self.entries.clear()?;
        self.invalidations.clear()
    }

    pub fn close(&self) -> sled::Result<()> {
        self.db.flush()?;
        if !self.is_doubtful.load(Ordering::SeqCst) {
            self.in_use.clear()?;
        }
        Ok(())
    }
}

fn decode_generation(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

/// A file that is locked while the store is in use, also after it is closed, until the process lets go of it. What
/// is in the file says whether the store was closed.
struct Marker {
    file: File,
    was_set: bool,
}

impl Marker {
    fn set(path: &Path) -> anyhow::Result<Self> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        let is_locked = |error: &TryLockError| matches!(error, TryLockError::WouldBlock);
        match while_locked(|| file.try_lock(), is_locked) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another process uses it"),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let was_set = file.metadata()?.len() > 0;
        file.write_all(b"open\n")?;
        file.sync_all()?;
        Ok(Self { file, was_set })
    }

    fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

/// A damaged store is set aside, where only the latest one is kept.
fn open_or_rebuild(store: &Path) -> anyhow::Result<sled::Db> {
    let error = match open(store) {
        Ok(db) => return Ok(db),
        Err(error) => error,
    };
    let damaged = store.with_extension("damaged");
    let _ = fs::remove_dir_all(&damaged);
    let _ = fs::remove_file(&damaged);
    fs::rename(store, &damaged).context(error.to_string())?;
    tracing::warn!(
        error = format!("{error:#}"),
        "the disk cache is damaged; it is set aside in {} and rebuilt",
        damaged.display()
    );
    open(store)
}

fn open(store: &Path) -> anyhow::Result<sled::Db> {
    // Some damage makes sled panic instead of returning an error.
    let opened = catch_unwind(|| {
        let is_locked = |error: &sled::Error| error.to_string().contains("acquire lock");
        while_locked(|| sled::Config::new().path(store).open(), is_locked)
    });
    Ok(opened.map_err(|_| anyhow!("the store cannot be read"))??)
}

/// Tries for a second: a process that is just ending lets go of its files soon.
#[expect(
    clippy::disallowed_methods,
    reason = "only at the start, before anything is served"
)]
fn while_locked<T, E>(
    mut open: impl FnMut() -> Result<T, E>,
    is_locked: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        match open() {
            Err(error) if is_locked(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}
