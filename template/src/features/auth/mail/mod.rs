//! Mails: what they say, and a queue that sends them after the answer has gone out.

mod dev;
mod letters;
mod outbox;

use anyhow::Context;
use axum::http::Uri;
use lettre::{AsyncSmtpTransport, Tokio1Executor};

pub use dev::routes;
pub use letters::Letter;
pub use outbox::{Outbox, PostOffice};

use crate::settings::Secret;

/// Whether mails, and the password for them, go there encrypted, or not beyond this machine.
pub fn is_private(url: &Secret) -> bool {
    let url = url.expose();
    let host = url.parse::<Uri>().ok();
    let host = host.as_ref().and_then(Uri::host).unwrap_or_default();
    url.starts_with("smtps://")
        || url.contains("tls=required")
        || ["localhost", "127.0.0.1", "[::1]"].contains(&host)
}

/// The mail server at `url`.
///
/// # Errors
/// If it is not the address of one.
pub fn smtp(url: &Secret) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose());
    Ok(transport.context("not an SMTP URL")?.build())
}
