//! Mails: what they say, and a queue that sends them after the answer has gone out.

mod dev;
mod letters;
mod outbox;

use anyhow::Context;
use lettre::{AsyncSmtpTransport, Tokio1Executor};

pub use dev::routes;
pub use letters::Letter;
pub use outbox::{Outbox, PostOffice};

use crate::settings::Secret;

/// The mail server at `url`.
///
/// # Errors
/// If it is not the address of one.
pub fn smtp(url: &Secret) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose());
    Ok(transport.context("not an SMTP URL")?.build())
}
