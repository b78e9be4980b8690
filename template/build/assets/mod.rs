//! The asset pipeline: makes of a folder of sources the files that browsers get.
//!
//! Nothing is written before everything is made: a broken source leaves the last good set as it was.

mod compress;
mod fault;
mod generated;
mod images;
mod names;
mod output;
mod scripts;
mod set;
mod sources;
mod store;
mod styles;

use std::fmt;
use std::path::Path;

pub use self::fault::{Broken, Fault};
use self::set::Set;
use self::sources::Sources;
use self::store::Store;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Readable, with source maps, under the names of the sources.
    Development,
    /// Small, compressed, under names that change with the content.
    Release,
}

/// What is to be done.
pub struct Job<'a> {
    pub sources: &'a Path,
    /// Where the set goes: `files/`, `manifest.json`, `embedded.rs` and `macros.rs`. In `store/` results are kept for the next time.
    pub out: &'a Path,
    pub mode: Mode,
}

/// What has been done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The steps that were not kept from an earlier build.
    pub made: Vec<String>,
    /// The files that are new or have changed.
    pub written: Vec<String>,
    /// The files of the build before that are no more.
    pub removed: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("made", &self.made),
            ("wrote", &self.written),
            ("removed", &self.removed),
        ];
        for (verb, names) in parts {
            for name in names {
                writeln!(f, "{verb} {name}")?;
            }
        }
        Ok(())
    }
}

/// Makes the set.
///
/// # Errors
/// Everything that is wrong with the sources; the set of the last build stays as it is.
pub fn build(job: &Job<'_>) -> Result<Report, Broken> {
    run(job, make)
}

/// Takes a folder as another tool has made it: its names carry a hash already, so they stay.
///
/// # Errors
/// If it cannot be read, or the set not be written.
pub fn adopt(job: &Job<'_>) -> Result<Report, Broken> {
    run(job, |sources, _, _| {
        // The names of development are those of the sources.
        let mut set = Set::new(Mode::Development);
        for (path, source) in &sources.0 {
            set.add_as_it_is(path, &source.content);
        }
        set.mode = job.mode;
        Ok(set)
    })
}

fn run(
    job: &Job<'_>,
    make: impl FnOnce(&Sources, &mut Store, Mode) -> Result<Set, Vec<Fault>>,
) -> Result<Report, Broken> {
    let broken = |mut faults: Vec<Fault>| {
        faults.sort();
        faults.dedup();
        Broken {
            folder: job.sources.display().to_string(),
            faults,
        }
    };
    let sources = Sources::read(job.sources, job.mode).map_err(broken)?;
    let mut store = Store::open(&job.out.join("store"));
    let mut set = make(&sources, &mut store, job.mode).map_err(broken)?;
    set.finish().map_err(broken)?;
    if job.mode == Mode::Release {
        compress::all(&mut set, &mut store);
    }
    let mut report = output::write(&set, job.out).map_err(|error| {
        let message = format!("{} cannot be written: {error}", job.out.display());
        broken(vec![Fault::of_file("", message)])
    })?;
    store.forget_the_rest();
    report.made = store.made;
    Ok(report)
}

/// In this order, because each kind may refer to the ones before it.
fn make(sources: &Sources, store: &mut Store, mode: Mode) -> Result<Set, Vec<Fault>> {
    let mut set = Set::new(mode);
    let mut faults = Vec::new();
    for (path, source) in &sources.0 {
        if !styles::is_style(path) && !scripts::is_script(path) && !images::is_image(path) {
            set.add_as_it_is(path, &source.content);
        }
    }
    let kinds = [images::add, styles::add, scripts::add];
    for add in kinds {
        faults.extend(add(sources, &mut set, store).err().unwrap_or_default());
    }
    if faults.is_empty() {
        Ok(set)
    } else {
        Err(faults)
    }
}
