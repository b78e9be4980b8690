//! The set of files that comes out.

use std::collections::BTreeMap;

use super::Mode;
use super::fault::Fault;
use super::names;

/// One file.
pub struct Asset {
    /// The source by which templates know it; none for what only other assets refer to.
    pub source: Option<String>,
    /// Its path under `/assets/`, as it stands in URLs.
    pub path: String,
    pub content_type: &'static str,
    pub content: Vec<u8>,
    /// Brotli, zstd and gzip, as far as they are smaller.
    pub encoded: [Option<Vec<u8>>; 3],
    /// The paths of the modules that a script needs, itself not among them.
    pub imports: Vec<String>,
    pub picture: Option<Picture>,
}

/// A picture and its smaller versions.
pub struct Picture {
    /// In pixels.
    pub width: u32,
    pub height: u32,
    /// By width, the narrowest first: their paths.
    pub versions: Vec<(u32, String)>,
}

pub struct Set {
    pub mode: Mode,
    pub assets: Vec<Asset>,
    /// Of each source.
    paths: BTreeMap<String, String>,
}

impl Set {
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            assets: Vec::new(),
            paths: BTreeMap::new(),
        }
    }

    /// Where a source has gone.
    pub fn path_of(&self, source: &str) -> Option<&str> {
        self.paths.get(source).map(String::as_str)
    }

    /// A source that needs no work.
    pub fn add_as_it_is(&mut self, source: &str, content: &[u8]) {
        let path = names::published(source, content, self.mode);
        self.add(Asset::new(Some(source), path, content.to_owned()));
    }

    pub fn add(&mut self, asset: Asset) {
        if let Some(source) = &asset.source {
            self.paths.insert(source.clone(), asset.path.clone());
        }
        self.assets.push(asset);
    }

    /// Sorts the set, and finds sources that would be one file although they are two.
    pub fn finish(&mut self) -> Result<(), Vec<Fault>> {
        self.assets.sort_by(|a, b| a.path.cmp(&b.path));
        let pairs = self.assets.iter().zip(self.assets.iter().skip(1));
        let faults: Vec<Fault> = pairs
            .filter(|(a, b)| a.path == b.path)
            .filter_map(|(a, b)| {
                let (first, second) = (a.source.as_deref()?, b.source.as_deref()?);
                let message = format!("{first} would get the same name, {}", a.path);
                Some(Fault::of_file(second, message))
            })
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }
}

impl Asset {
    pub fn new(source: Option<&str>, path: String, content: Vec<u8>) -> Self {
        Self {
            source: source.map(str::to_owned),
            content_type: names::content_type(&path),
            path,
            content,
            encoded: [None, None, None],
            imports: Vec::new(),
            picture: None,
        }
    }
}
