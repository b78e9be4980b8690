//! The file `in-use`: locked while the cache is open, and after a clean close what the next run has to know.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::infra::cache::tags::Table;

/// What the file begins with while the cache is in use, in place of a checksum.
const IN_USE: [u8; 8] = *b"in use\n\0";

/// The lock stays until this is dropped, also after [`Marker::note`].
pub(super) struct Marker(File);

/// What the last run left.
#[derive(Debug, PartialEq)]
pub(super) enum Last {
    /// There was none, or nothing is known of it.
    Nothing,
    Unclosed,
    Damaged,
    Closed(Closed),
}

/// What is noted at a clean close.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Closed {
    pub origin: String,
    pub table: Table,
    /// The newest one first.
    pub stores: Vec<Stored>,
}

/// A store as it was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub number: u64,
    pub entries: u64,
    /// The bytes of their values.
    pub live: u64,
    /// The length of its file of values.
    pub end: u64,
}

impl Marker {
    /// Takes the lock and notes that the cache is in use.
    pub fn take(path: &Path) -> anyhow::Result<(Self, Last)> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        let is_locked = |error: &TryLockError| matches!(error, TryLockError::WouldBlock);
        match while_locked(|| file.try_lock(), is_locked) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another process uses it"),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        file.write_all_at(&IN_USE, 0)?;
        file.sync_all()?;
        Ok((Self(file), Last::read(&content)))
    }

    /// Notes a clean close. The beginning comes last: until it is there the cache counts as not closed.
    pub fn note(&self, closed: &Closed) -> anyhow::Result<()> {
        let content = postcard::to_stdvec(closed).context("the state cannot be encoded")?;
        let (begin, length) = (IN_USE.len() as u64, IN_USE.len() + content.len());
        self.0.set_len(length as u64)?;
        self.0.write_all_at(&content, begin)?;
        self.0.sync_all()?;
        self.0.write_all_at(&xxh3_64(&content).to_be_bytes(), 0)?;
        Ok(self.0.sync_all()?)
    }
}

impl Last {
    fn read(content: &[u8]) -> Self {
        if content.is_empty() {
            return Self::Nothing;
        }
        let Some((&checksum, content)) = content.split_first_chunk() else {
            return Self::Damaged;
        };
        if checksum == IN_USE {
            return Self::Unclosed;
        }
        let is_whole = checksum == xxh3_64(content).to_be_bytes();
        match postcard::from_bytes(content) {
            Ok(closed) if is_whole => Self::Closed(closed),
            _ => Self::Damaged,
        }
    }
}

/// Tries for a second: a process that is just ending lets go of its files soon.
#[expect(
    clippy::disallowed_methods,
    reason = "only at the start, before anything is served"
)]
pub(super) fn while_locked<T, E>(
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn closed() -> Closed {
        Closed {
            origin: "origin".to_owned(),
            table: Table {
                floor: 7,
                ..Table::default()
            },
            stores: vec![Stored {
                number: 2,
                entries: 3,
                live: 3,
                end: 4,
            }],
        }
    }

    /// What is found after `content` was left.
    fn found(content: &[u8]) -> Last {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in-use");
        fs::write(&path, content).unwrap();
        Marker::take(&path).unwrap().1
    }

    #[test]
    fn what_is_noted_is_found_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in-use");
        let (marker, last) = Marker::take(&path).unwrap();
        assert_eq!(last, Last::Nothing);
        marker.note(&closed()).unwrap();
        drop(marker);
        let (marker, last) = Marker::take(&path).unwrap();
        assert_eq!(last, Last::Closed(closed()));
        drop(marker);
        assert_eq!(Marker::take(&path).unwrap().1, Last::Unclosed);
    }

    #[test]
    fn only_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in-use");
        let (marker, _) = Marker::take(&path).unwrap();
        assert!(Marker::take(&path).is_err());
        marker.note(&closed()).unwrap();
        assert!(Marker::take(&path).is_err(), "it is closed but not gone");
        drop(marker);
        assert!(Marker::take(&path).is_ok());
    }

    #[test]
    fn a_note_that_was_cut_short_or_changed_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in-use");
        let (marker, _) = Marker::take(&path).unwrap();
        marker.note(&closed()).unwrap();
        let content = fs::read(&path).unwrap();
        for length in 1..content.len() {
            assert_eq!(found(&content[..length]), Last::Damaged);
            let mut changed = content.clone();
            changed[length] ^= 1;
            assert_eq!(found(&changed), Last::Damaged);
        }
        let mut begun = content;
        begun[..8].copy_from_slice(&IN_USE);
        assert_eq!(found(&begun), Last::Unclosed);
    }
}
