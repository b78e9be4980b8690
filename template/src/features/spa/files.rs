//! The files of the application, inside the binary: what `npm run build` has left in `frontend/dist`.

/// A file by its path below `frontend/dist`.
pub(super) struct File {
    pub path: &'static str,
    pub content_type: &'static str,
    pub content: &'static [u8],
}

/// Written by the build script.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/frontend.rs"));

pub(super) fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}
