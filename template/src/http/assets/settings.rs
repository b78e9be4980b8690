//! Where assets come from, and where browsers find them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use validator::Validate;

use crate::http::server::an_origin;

/// `[assets]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct AssetSettings {
    /// The sources, for development; a release has its assets in the binary.
    pub dir: PathBuf,
    /// The host that browsers load assets from, such as `https://cdn.example.com`; absent: this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = an_origin))]
    pub public_url: Option<String>,
}

impl AssetSettings {
    /// Without a slash at its end.
    pub(super) fn origin(&self) -> Option<String> {
        let url = self.public_url.as_deref()?;
        Some(url.trim_end_matches('/').to_owned())
    }
}
