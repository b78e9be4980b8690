//! The stores of a folder: which of them are believed at the start, and which are in use.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::marker::{Last, Stored};
use super::store::{Store, remove};
use crate::infra::cache::tags::Generations;

/// A key is in one of them, or in both for a moment while it moves.
#[derive(Clone, Default)]
pub(super) struct Stores {
    /// There is always one, unless it could not be made.
    pub newest: Option<Arc<Store>>,
    pub older: Option<Arc<Store>>,
}

impl Stores {
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Store>> {
        self.newest.iter().chain(&self.older)
    }

    /// Whatever the last run left is opened or deleted. Returns the number of the next store, too.
    pub fn open(
        dir: &Path,
        origin: &str,
        capacity: u64,
        last: Last,
    ) -> anyhow::Result<(Self, Generations, u64)> {
        let present = numbers(dir)?;
        let mut next = present.iter().max().map_or(1, |last| last + 1);
        let mut generations = Generations::default();
        let mut opened = Vec::new();
        match last {
            Last::Unclosed => {
                tracing::info!("the last run did not close the disk cache; it starts empty");
            }
            Last::Damaged => set_aside(dir, next - 1, "what is known of it is unreadable")?,
            Last::Closed(closed) if closed.origin == origin => {
                opened = reopen(dir, &closed.stores, capacity)?;
                generations = Generations::resume(&closed.table);
            }
            Last::Nothing | Last::Closed(_) => {}
        }
        for number in present {
            if opened.iter().all(|store| store.number() != number) {
                remove(&Store::path(dir, number))?;
            }
        }
        let mut opened = opened.into_iter();
        let newest = if let Some(newest) = opened.next() {
            newest
        } else {
            next += 1;
            Store::create(dir, next - 1)?
        };
        let stores = Self {
            newest: Some(Arc::new(newest)),
            older: opened.next().map(Arc::new),
        };
        Ok((stores, generations, next))
    }
}

/// All of them or none: an entry must not come back because the one that replaced it is gone.
fn reopen(dir: &Path, stores: &[Stored], capacity: u64) -> anyhow::Result<Vec<Store>> {
    let mut opened = Vec::new();
    for &stored in stores {
        match Store::open(dir, stored) {
            // The settings may have changed.
            Ok(store) if store.bytes() / 3 > capacity / 4 => return Ok(Vec::new()),
            Ok(store) => opened.push(store),
            Err(error) => {
                set_aside(dir, stored.number, &format!("{error:#}"))?;
                return Ok(Vec::new());
            }
        }
    }
    Ok(opened)
}

/// Keeps a damaged store, and only the latest one, for whoever wants to know why.
fn set_aside(dir: &Path, number: u64, error: &str) -> anyhow::Result<()> {
    let path = Store::path(dir, number);
    if !path.exists() {
        tracing::warn!(error, "the disk cache is damaged; it is rebuilt");
        return Ok(());
    }
    let damaged = dir.join("store.damaged");
    remove(&damaged)?;
    fs::rename(path, &damaged).with_context(|| error.to_owned())?;
    tracing::warn!(
        error,
        "the disk cache is damaged; it is set aside in {} and rebuilt",
        damaged.display()
    );
    Ok(())
}

/// The numbers of the stores there are.
fn numbers(dir: &Path) -> anyhow::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for item in fs::read_dir(dir)? {
        let name = item?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("store-"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}
