//! What files are called on the way out, how they refer to each other, and what type they are.

use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use super::Mode;

/// The path of an asset under `/assets/`, as it stands in URLs: `app.3f9c1a2b.css` in a release, `app.css` in development.
pub fn published(path: &str, content: &[u8], mode: Mode) -> String {
    let encoded = encode(path);
    match mode {
        Mode::Development => encoded,
        // 32 bits are enough to tell the versions of one file apart.
        Mode::Release => with_mark(&encoded, &format!(".{:08x}", xxh3_64(content) >> 32)),
    }
}

/// Puts `mark` before the extension, if there is one.
pub fn with_mark(path: &str, mark: &str) -> String {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].rfind('.') {
        Some(dot) if dot > 0 => {
            let (stem, extension) = path.split_at(name + dot);
            format!("{stem}{mark}{extension}")
        }
        _ => format!("{path}{mark}"),
    }
}

pub fn with_extension(path: &str, extension: &str) -> String {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    format!("{stem}.{extension}")
}

/// Everything but the unreserved characters of RFC 3986, so that a path needs no quoting anywhere.
pub fn encode(path: &str) -> String {
    path.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// Where a reference leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Somewhere that is none of our business.
    Elsewhere,
    /// Out of the folder.
    Outside,
    /// To a source, with `?…` and `#…` behind its path.
    Source { path: String, suffix: String },
}

/// Where `reference` in the source `from` leads.
pub fn resolve(from: &str, reference: &str) -> Target {
    let scheme = reference.split(['/', '?', '#']).next().unwrap_or_default();
    if reference.is_empty() || reference.starts_with(['#', '?']) || reference.starts_with("//") {
        return Target::Elsewhere;
    }
    if scheme.contains(':') {
        return Target::Elsewhere;
    }
    let end = reference.find(['?', '#']).unwrap_or(reference.len());
    let (path, suffix) = reference.split_at(end);
    let mut parts: Vec<&str> = match path.strip_prefix("/assets/") {
        Some(_) => Vec::new(),
        None if path.starts_with('/') => return Target::Elsewhere,
        None => from.split('/').collect(),
    };
    parts.pop();
    for part in path.strip_prefix("/assets/").unwrap_or(path).split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Target::Outside;
                }
            }
            part => parts.push(part),
        }
    }
    Target::Source {
        path: parts.join("/"),
        suffix: suffix.to_owned(),
    }
}

/// How the file at `from` refers to the one at `to`. Relative, so that it holds on every host.
pub fn relative(from: &str, to: &str) -> String {
    let from: Vec<&str> = from.split('/').collect();
    let to: Vec<&str> = to.split('/').collect();
    let folders = from.len() - 1;
    let shared = from[..folders]
        .iter()
        .zip(&to[..to.len() - 1])
        .take_while(|(a, b)| a == b)
        .count();
    let up = match folders - shared {
        0 => "./".to_owned(),
        up => "../".repeat(up),
    };
    up + &to[shared..].join("/")
}

/// What is not in this table is sent as bytes of no known type.
pub fn content_type(path: &str) -> &'static str {
    match super::sources::extension(path).as_str() {
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        _ => "application/octet-stream",
    }
}

/// Whether files of this type get smaller.
pub fn is_text(content_type: &str) -> bool {
    content_type.starts_with("text/")
        || content_type.ends_with("json")
        || content_type.ends_with("xml")
        || matches!(
            content_type,
            "application/wasm" | "font/ttf" | "font/otf" | "image/x-icon"
        )
}
