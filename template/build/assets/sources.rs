//! The folder of sources: what is in it, less what `.assetignore` names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use xxhash_rust::xxh3::xxh3_128;

use super::Mode;
use super::fault::Fault;

/// Names paths that are no assets, like `.gitignore`. It may stand in any folder.
const IGNORE_FILE: &str = ".assetignore";

/// Bytes. The whole set is in the binary and in memory, which is no place for films.
const LARGEST: u64 = 64 * 1024 * 1024;

pub struct Source {
    pub content: Vec<u8>,
    pub hash: u128,
}

impl Source {
    /// The content of a stylesheet or script.
    pub fn text(&self, path: &str) -> Result<&str, Fault> {
        std::str::from_utf8(&self.content).map_err(|error| {
            let text = String::from_utf8_lossy(&self.content[..error.valid_up_to()]);
            Fault::in_text(path, &text, text.len(), "this is not UTF-8")
        })
    }
}

/// The sources by their paths, which use `/` everywhere.
#[derive(Default)]
pub struct Sources(pub BTreeMap<String, Source>);

impl Sources {
    /// Reads everything; a folder that does not exist is empty.
    pub fn read(folder: &Path, mode: Mode) -> Result<Self, Vec<Fault>> {
        let (paths, mut faults) = list(folder);
        let mut sources = BTreeMap::new();
        for (path, file) in in_use(paths, mode) {
            match read(&path, &file) {
                Ok(source) => {
                    sources.insert(path, source);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(Self(sources))
        } else {
            Err(faults)
        }
    }

    pub fn get(&self, path: &str) -> Option<&Source> {
        self.0.get(path)
    }

    /// The sources whose extension is one of these.
    pub fn with_extension<'a>(
        &'a self,
        extensions: &'static [&'static str],
    ) -> impl Iterator<Item = (&'a str, &'a Source)> {
        let all = self.0.iter().map(|(path, source)| (path.as_str(), source));
        all.filter(|(path, _)| extensions.contains(&extension(path).as_str()))
    }
}

/// In lower case; empty where there is none.
pub fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension.to_ascii_lowercase()
}

/// A file that others import and that is nothing by itself: its name begins with `_`.
pub fn is_part(path: &str) -> bool {
    path.rsplit('/').next().unwrap_or(path).starts_with('_')
}

fn list(folder: &Path) -> (BTreeMap<String, PathBuf>, Vec<Fault>) {
    let (mut paths, mut faults) = (BTreeMap::new(), Vec::new());
    if !folder.exists() {
        return (paths, faults);
    }
    let walk = WalkBuilder::new(folder)
        .standard_filters(false)
        .hidden(true)
        .add_custom_ignore_filename(IGNORE_FILE)
        .follow_links(true)
        .build();
    for entry in walk {
        // A link that leads back to its own folder is among these.
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                faults.push(Fault::of_file("", error));
                continue;
            }
        };
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        match path.to_str() {
            Some(path) => {
                paths.insert(path.replace('\\', "/"), entry.into_path());
            }
            None => faults.push(Fault::of_file(
                &path.to_string_lossy(),
                "its name is not UTF-8",
            )),
        }
    }
    (paths, faults)
}

/// In development `x.debug.js` stands in for `x.js` (or `x.ts`); a release knows no such file.
fn in_use(paths: BTreeMap<String, PathBuf>, mode: Mode) -> BTreeMap<String, PathBuf> {
    let (debug, mut used): (BTreeMap<_, _>, BTreeMap<_, _>) = paths
        .into_iter()
        .partition(|(path, _)| without_debug(path).is_some());
    if mode == Mode::Release {
        return used;
    }
    for (path, file) in debug {
        let plain = without_debug(&path).unwrap_or_default();
        let mut replaced = [swap_extension(&plain), plain].into_iter();
        let replaced = replaced.find(|plain| used.contains_key(plain));
        used.insert(replaced.unwrap_or(path), file);
    }
    used
}

/// `x.js` of `x.debug.js`.
fn without_debug(path: &str) -> Option<String> {
    let (stem, extension) = path.rsplit_once('.')?;
    let plain = stem.strip_suffix(".debug")?;
    Some(format!("{plain}.{extension}"))
}

/// `x.ts` of `x.js`, and the other way round.
fn swap_extension(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((stem, "js")) => format!("{stem}.ts"),
        Some((stem, "ts")) => format!("{stem}.js"),
        _ => path.to_owned(),
    }
}

fn read(path: &str, file: &Path) -> Result<Source, Fault> {
    let unreadable = |error| Fault::of_file(path, format_args!("it cannot be read: {error}"));
    let metadata = fs::metadata(file).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Fault::of_file(path, "it is not a file"));
    }
    if metadata.len() > LARGEST {
        let (length, most) = (metadata.len() >> 20, LARGEST >> 20);
        let message = format!("it has {length} MiB, and an asset may have {most} at most");
        return Err(Fault::of_file(path, message));
    }
    let content = fs::read(file).map_err(unreadable)?;
    let hash = xxh3_128(&content);
    Ok(Source { content, hash })
}
