//! Lists the files of the built application, to be embedded.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where `npm run build` puts the application.
pub const DIST: &str = "frontend/dist";

/// Writes an array of files for `src/features/spa/files.rs`: of none, where the application is not built.
pub fn list(out: &Path, is_required: bool) {
    let is_built = Path::new(DIST).join("index.html").exists();
    assert!(
        is_built || !is_required,
        "a release has the application in it: run `npm ci && npm run build` in frontend/ first"
    );
    // A folder that is not there would be a change every time.
    println!(
        "cargo::rerun-if-changed={}",
        if is_built { DIST } else { "frontend" }
    );
    let mut files = BTreeSet::new();
    if is_built {
        crate::stamps::collect(Path::new(DIST), &mut files);
    }
    let list: Vec<String> = files.iter().map(file).collect();
    let list = format!("&[{}]", list.join(", "));
    fs::write(out.join("frontend.rs"), list).expect("OUT_DIR can be written");
}

fn file(path: &PathBuf) -> String {
    let absolute = fs::canonicalize(path).expect("the file was just found");
    let absolute = absolute.to_str().expect("the project's path is UTF-8");
    let name = path.strip_prefix(DIST).expect("it is in there");
    let name = name.to_str().expect("the path is UTF-8");
    let content_type = content_type(path);
    format!(
        "File {{ path: {name:?}, content_type: {content_type:?}, content: include_bytes!({absolute:?}) }}"
    )
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("ico") => "image/x-icon",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        Some("webmanifest") => "application/manifest+json",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
