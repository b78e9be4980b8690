//! How pages refer to assets.

use std::fmt;
use std::sync::OnceLock;

/// Where assets are loaded from. One for the whole process, so that a template needs no more than the name of an asset.
static ORIGIN: OnceLock<String> = OnceLock::new();

/// Only the first call counts: pages that refer to assets may be in the cache already.
pub(super) fn set_origin(origin: &str) {
    let _ = ORIGIN.set(origin.to_owned());
}

/// Whether assets are loaded through another host.
pub(super) fn has_origin() -> bool {
    ORIGIN.get().is_some()
}

/// The address of an asset; made by `asset!`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url(&'static str);

impl Url {
    #[must_use]
    pub const fn new(path: &'static str) -> Self {
        Self(path)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = ORIGIN.get().map_or("", String::as_str);
        write!(f, "{origin}/assets/{}", self.0)
    }
}

/// A picture in several widths; made by `picture!`.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// What every browser can show.
    pub url: Url,
    /// In pixels, so that a page can keep the room free.
    pub width: u32,
    pub height: u32,
    /// WebP, the narrowest first.
    pub versions: &'static [(u32, Url)],
}

impl Picture {
    /// As in `srcset`; empty in development.
    #[must_use]
    pub fn srcset(&self) -> String {
        let versions = self.versions.iter();
        let versions = versions.map(|(width, url)| format!("{url} {width}w"));
        versions.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_lists_its_versions_by_width() {
        const VERSIONS: &[(u32, Url)] =
            &[(480, Url::new("a-480.webp")), (600, Url::new("a-600.webp"))];
        let picture = Picture {
            url: Url::new("a.jpg"),
            width: 600,
            height: 400,
            versions: VERSIONS,
        };
        assert_eq!(
            picture.srcset(),
            "/assets/a-480.webp 480w, /assets/a-600.webp 600w"
        );
    }
}
