//! What earlier builds have made, so that what has not changed is not made again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use xxhash_rust::xxh3::Xxh3;

/// Changes when the same source gives another result: with the libraries, and with this pipeline.
const VERSION: &str = "2";

/// Results by what they were made of. Several builds may use one folder at the same time.
pub struct Store {
    folder: PathBuf,
    used: BTreeSet<String>,
    /// What had to be made, in order.
    pub made: Vec<String>,
}

impl Store {
    pub fn open(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            used: BTreeSet::new(),
            made: Vec::new(),
        }
    }

    /// What `step` makes of `parts`: kept from before, or made now. Only what succeeds is kept.
    ///
    /// `name` is for the report.
    pub fn get_or_make<E>(
        &mut self,
        step: &str,
        name: &str,
        parts: &[&[u8]],
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let key = key(step, parts);
        let file = self.folder.join(&key);
        self.used.insert(key);
        if let Ok(kept) = fs::read(&file) {
            return Ok(kept);
        }
        let result = make()?;
        self.made.push(format!("{step} {name}"));
        // One that cannot be kept is made again next time.
        let _ = write_whole(&file, &result);
        Ok(result)
    }

    /// Removes what this build had no use for.
    pub fn forget_the_rest(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !name.to_str().is_some_and(|name| self.used.contains(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn key(step: &str, parts: &[&[u8]]) -> String {
    let mut hasher = Xxh3::new();
    for part in [VERSION.as_bytes(), step.as_bytes()].iter().chain(parts) {
        hasher.update(&part.len().to_le_bytes());
        hasher.update(part);
    }
    format!("{:032x}", hasher.digest128())
}

/// Whoever reads the file sees all of it or nothing.
pub fn write_whole(file: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", process::id()));
    fs::write(&beside, content)?;
    fs::rename(&beside, file)
}
