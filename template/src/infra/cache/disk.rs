//! The second tier on disk, bounded in size: what nobody asks for is forgotten.
//!
//! There are two stores. What is written goes to the newest one, and what is found in the older one moves there. When the
//! newest has taken half of the room, the older one is deleted as a whole and another one begins: space is given back
//! without being looked for.
//!
//! The stores are rebuilt rather than trusted whenever there is doubt. They belong to one origin: a new build may render the
//! same page differently, and another database holds other things. After a crash they start empty: a change may have
//! reached the database and not the table of invalidations, which is written at the end.
//!
//! On the caller's thread only memory is read. Everything else happens on blocking threads, writes one by one.

mod marker;
mod store;
mod stores;
#[cfg(test)]
mod tests;
mod warm;

use std::fs;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;

use self::marker::{Closed, Marker};
use self::store::Store;
use self::stores::Stores;
use self::warm::Warm;
use super::Usage;
use super::entry::{self, Header};
use super::second::{Keep, Lease, SecondTier};
use super::tags::Generations;

/// How long a read may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Memory for the entries touched last.
const WARM: usize = 16 << 20;

/// How many entries may wait to be moved from the older store; others move when they are asked for again.
const MOVES: usize = 64;

/// How many entries are moved before others may write.
const STEP: usize = 256;

/// A cheap handle.
#[derive(Clone)]
pub(super) struct Disk(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    origin: String,
    capacity: u64,
    generations: Arc<Generations>,
    stores: RwLock<Stores>,
    warm: Warm,
    /// Held by whoever writes.
    writer: Arc<Mutex<Writer>>,
    moves: Arc<Semaphore>,
    /// A store failed.
    is_doubtful: AtomicBool,
    /// Nothing may change any more.
    is_closed: AtomicBool,
    marker: Marker,
}

/// The right to write.
struct Writer {
    /// The number of the next store.
    next: u64,
}

impl Disk {
    /// Opens what is in `dir` for the entries of `origin`, which take at most about `capacity` bytes. It blocks.
    pub fn open(dir: &Path, origin: &str, capacity: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("the cache folder {} cannot be made", dir.display()))?;
        Self::in_folder(dir, origin, capacity)
            .with_context(|| format!("the cache folder {} cannot be used", dir.display()))
    }

    fn in_folder(dir: &Path, origin: &str, capacity: u64) -> anyhow::Result<Self> {
        let (marker, last) = Marker::take(&dir.join("in-use"))?;
        let (stores, generations, next) = Stores::open(dir, origin, capacity, last)?;
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            origin: origin.to_owned(),
            capacity,
            generations: Arc::new(generations),
            stores: RwLock::new(stores),
            warm: Warm::new(WARM),
            writer: Arc::new(Mutex::new(Writer { next })),
            moves: Arc::new(Semaphore::new(MOVES)),
            is_doubtful: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            marker,
        })))
    }

    /// The invalidations that the entries on disk have seen; what is in here at the end is kept with them.
    pub fn generations(&self) -> Arc<Generations> {
        Arc::clone(&self.0.generations)
    }

    /// Waits for its turn to write. The turn comes before the thread: threads that wait for each other could use up all there
    /// are.
    async fn write<T: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &mut Writer) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let mut writer = Arc::clone(&self.0.writer).lock_owned().await;
        self.run(move |inner| {
            if inner.is_closed() {
                return Ok(T::default());
            }
            inner.renew_if_doubtful(&mut writer)?;
            work(inner, &mut writer)
        })
        .await
    }

    /// Runs on a blocking thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let inner = Arc::clone(&self.0);
        let work = move || {
            // Some damage makes sled panic instead of returning an error.
            let result = catch_unwind(AssertUnwindSafe(|| work(&inner)))
                .unwrap_or_else(|_| Err(anyhow!("the store panicked")));
            if result.is_err() {
                inner.is_doubtful.store(true, Ordering::Relaxed);
                inner.warm.clear();
            }
            result
        };
        spawn_blocking(work).await?
    }

    /// Moves an entry of the older store without waiting for it.
    fn move_behind(&self, key: &str) {
        let Ok(permit) = Arc::clone(&self.0.moves).try_acquire_owned() else {
            return;
        };
        let (disk, key) = (self.clone(), key.to_owned());
        tokio::spawn(async move {
            let moved = disk.write(move |inner, writer| inner.move_to_newest(writer, &key));
            if let Err(error) = moved.await {
                metrics::counter!("cache_errors_total", "tier" => "l2", "op" => "move")
                    .increment(1);
                tracing::warn!(error = format!("{error:#}"), "the disk cache failed");
            }
            drop(permit);
        });
    }
}

#[async_trait]
impl SecondTier for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        if let Some(entry) = self.0.warm.get(key) {
            return Ok(Some(entry));
        }
        let found = {
            let key = key.to_owned();
            let read = self.run(move |inner| inner.read(&key));
            tokio::time::timeout(PATIENCE, read).await??
        };
        let Some((entry, is_older)) = found else {
            return Ok(None);
        };
        if is_older {
            self.move_behind(key);
        }
        Ok(Some(entry))
    }

    /// Expiry is judged by whoever reads the entry.
    async fn set(
        &self,
        key: &str,
        entry: Bytes,
        _ttl: Option<Duration>,
        _lease: Option<Lease>,
    ) -> anyhow::Result<()> {
        let key = key.to_owned();
        self.write(move |inner, writer| inner.insert(writer, &key, &entry))
            .await
    }

    async fn clear(&self) -> anyhow::Result<()> {
        self.write(Inner::renew).await
    }

    async fn sweep(&self, keep: Keep) -> anyhow::Result<bool> {
        self.run(move |inner| inner.sweep(&keep)).await?;
        while self.write(Inner::compact).await? {}
        Ok(!self.0.is_closed())
    }

    fn usage(&self) -> Option<Usage> {
        // Not cloned: whoever lets go of a retired store last closes its files.
        let stores = self.0.stores.read().unwrap_or_else(PoisonError::into_inner);
        Some(Usage {
            entries: stores.iter().map(|store| store.entries()).sum(),
            bytes: stores.iter().map(|store| store.bytes()).sum(),
        })
    }

    async fn close(&self) -> anyhow::Result<()> {
        let writer = Arc::clone(&self.0.writer).lock_owned().await;
        let close = move |inner: &Inner| {
            let closed = inner.close();
            drop(writer);
            closed
        };
        self.run(close).await
    }
}

/// An entry, and whether it is in the older store.
type Found = (Bytes, bool);

/// Everything here may block.
impl Inner {
    fn read(&self, key: &str) -> anyhow::Result<Option<Found>> {
        if self.is_doubtful.load(Ordering::Relaxed) {
            let Ok(mut writer) = self.writer.try_lock() else {
                return Ok(None);
            };
            self.renew_if_doubtful(&mut writer)?;
        }
        let ticket = self.warm.ticket(key);
        let Stores { newest, older } = self.stores();
        for (store, is_older) in [(newest, false), (older, true)] {
            if let Some(store) = store
                && let Some(entry) = store.get(key)?
            {
                self.warm.put_read(key, entry.clone(), &ticket);
                return Ok(Some((entry, is_older)));
            }
        }
        Ok(None)
    }

    fn insert(&self, writer: &mut Writer, key: &str, entry: &Bytes) -> anyhow::Result<()> {
        // Two writes of one key may arrive in either order; the value that was loaded later stays.
        let age = entry::age(entry);
        for store in self.stores().iter() {
            if store.age(key)? > age {
                return Ok(());
            }
        }
        match entry::decode_header(entry) {
            Some(header) if entry.len() as u64 <= self.capacity / 4 => {
                self.put(writer, key, entry, &header)?;
                self.warm.put(key, entry.clone());
                Ok(())
            }
            // Not kept, and what it was to replace is no longer so.
            _ => self.remove(key),
        }
    }

    fn put(
        &self,
        writer: &mut Writer,
        key: &str,
        entry: &[u8],
        header: &Header,
    ) -> anyhow::Result<()> {
        let size = (key.len() + entry.len()) as u64;
        if self.newest()?.bytes() + size > self.capacity / 2 {
            self.rotate(writer)?;
        }
        self.newest()?.insert(key, entry, header)?;
        let older = self.stores().older;
        older.map_or(Ok(()), |older| older.remove(key))
    }

    fn move_to_newest(&self, writer: &mut Writer, key: &str) -> anyhow::Result<()> {
        let Some(older) = self.stores().older else {
            return Ok(());
        };
        let Some(entry) = older.get(key)? else {
            return Ok(());
        };
        match entry::decode_header(&entry) {
            Some(header) if !self.generations.is_outdated(header.born, &header.tags) => {
                self.put(writer, key, &entry, &header)
            }
            _ => older.remove(key),
        }
    }

    fn remove(&self, key: &str) -> anyhow::Result<()> {
        for store in self.stores().iter() {
            store.remove(key)?;
        }
        self.warm.remove(key);
        Ok(())
    }

    /// Begins a new store. The older one goes first, so that there are never three.
    fn rotate(&self, writer: &mut Writer) -> anyhow::Result<()> {
        self.drop_older();
        let next = self.create_next(writer)?;
        let mut stores = self.stores_mut();
        stores.older = stores.newest.replace(next);
        drop(stores);
        // Otherwise what is always found in memory would not move to the newest store.
        self.warm.clear();
        Ok(())
    }

    fn drop_older(&self) {
        let older = self.stores_mut().older.take();
        if let Some(older) = older {
            metrics::counter!("cache_evictions_total", "tier" => "l2").increment(older.entries());
            older.retire();
        }
    }

    /// Begins anew. Everything goes first: the disk may be full.
    fn renew(&self, writer: &mut Writer) -> anyhow::Result<()> {
        let stores = mem::take(&mut *self.stores_mut());
        stores.iter().for_each(|store| store.retire());
        drop(stores);
        self.warm.clear();
        let newest = self.create_next(writer)?;
        self.stores_mut().newest = Some(newest);
        Ok(())
    }

    fn renew_if_doubtful(&self, writer: &mut Writer) -> anyhow::Result<()> {
        if self.is_closed() || !self.is_doubtful.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.renew(writer)?;
        self.is_doubtful.store(false, Ordering::Relaxed);
        tracing::warn!("the disk cache has failed and starts anew");
        Ok(())
    }

    fn create_next(&self, writer: &mut Writer) -> anyhow::Result<Arc<Store>> {
        let store = Store::create(&self.dir, writer.next)?;
        writer.next += 1;
        Ok(Arc::new(store))
    }

    fn sweep(&self, keep: &Keep) -> anyhow::Result<()> {
        for store in self.stores().iter() {
            store.retain(|key, header| {
                let stays = self.is_closed() || keep(key, header);
                if !stays {
                    self.warm.remove(key);
                }
                stays
            })?;
        }
        Ok(())
    }

    /// Gives back the space of a store that is mostly garbage, in steps: what is left in it moves, then it goes. A newest one
    /// that stands before a good older one is left to the next rotation. Returns whether there may be more to do.
    fn compact(&self, writer: &mut Writer) -> anyhow::Result<bool> {
        let Some(older) = self.stores().older else {
            let is_sparse = self.is_sparse(&*self.newest()?);
            if is_sparse {
                self.rotate(writer)?;
            }
            return Ok(is_sparse);
        };
        if !self.is_sparse(&older) {
            return Ok(false);
        }
        let keys: Vec<_> = older.keys().take(STEP).collect::<anyhow::Result<_>>()?;
        for key in &keys {
            self.move_to_newest(writer, key)?;
        }
        if keys.is_empty() {
            self.drop_older();
        }
        Ok(true)
    }

    fn is_sparse(&self, store: &Store) -> bool {
        store.live_bytes() < store.value_bytes() / 2 && store.bytes() > self.capacity / 16
    }

    fn close(&self) -> anyhow::Result<()> {
        if self.is_closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        if self.is_doubtful.load(Ordering::Relaxed) {
            bail!("a store has failed; the next run starts empty");
        }
        let stored = self
            .stores()
            .iter()
            .map(|store| store.flush())
            .collect::<anyhow::Result<_>>()?;
        self.marker.note(&Closed {
            origin: self.origin.clone(),
            table: self.generations.table(),
            stores: stored,
        })
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn newest(&self) -> anyhow::Result<Arc<Store>> {
        self.stores().newest.context("there is no store")
    }

    fn stores(&self) -> Stores {
        self.stores
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn stores_mut(&self) -> RwLockWriteGuard<'_, Stores> {
        self.stores.write().unwrap_or_else(PoisonError::into_inner)
    }
}
