//! Which build this is.

use serde::Serialize;
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct BuildInfo {
    pub version: &'static str,
    pub commit: &'static str,
    /// UTC, RFC 3339.
    pub built_at: &'static str,
    pub rustc: &'static str,
    /// Changes with anything a page is made of.
    pub fingerprint: &'static str,
}

#[must_use]
pub fn build_info() -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("BUILD_COMMIT"),
        built_at: env!("BUILD_TIME"),
        rustc: env!("BUILD_RUSTC"),
        fingerprint: env!("BUILD_FINGERPRINT"),
    }
}
