//! The files that pages load, inside the binary, under names that change with their content.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;

use crate::http::extract::Path;
use crate::http::{Kind, Problem};

struct Asset {
    /// The name in `assets/`.
    name: &'static str,
    content_type: &'static str,
    content: &'static [u8],
    /// `app.0123456789abcdef.css` for `app.css`.
    hashed_name: String,
}

static ASSETS: LazyLock<[Asset; 2]> = LazyLock::new(|| {
    [
        asset(
            "app.css",
            "text/css; charset=utf-8",
            include_bytes!("../../../assets/app.css"),
        ),
        asset(
            "favicon.svg",
            "image/svg+xml",
            include_bytes!("../../../assets/favicon.svg"),
        ),
    ]
});

fn asset(name: &'static str, content_type: &'static str, content: &'static [u8]) -> Asset {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let hashed_name = format!("{stem}.{:016x}.{extension}", hasher.finish());
    Asset {
        name,
        content_type,
        content,
        hashed_name,
    }
}

/// The address of an asset.
///
/// # Panics
/// If there is no such asset; a test renders every page.
pub(super) fn asset_url(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.unwrap_or_else(|| panic!("{name} is not listed in assets.rs"));
    format!("/assets/{}", asset.hashed_name)
}

/// A name with a hash never gets other content, so browsers may keep it for a year.
pub(super) async fn serve(Path(path): Path<String>) -> Result<impl IntoResponse, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.hashed_name == path);
    let asset = asset.ok_or_else(|| Problem::new(Kind::NotFound))?;
    let headers = [
        (CONTENT_TYPE, asset.content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.content))
}
