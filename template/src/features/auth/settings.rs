//! `[auth]`: how long things last, how hard passwords are to try, and where mails go.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationError};

use crate::settings::{Secret, some_time};

/// Bytes of a key for HS256 (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;

/// `[auth]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// Signs access tokens.
    #[serde(default)]
    #[validate(custom(function = long_enough))]
    pub secret: Option<Secret>,
    /// Signed what is still around: the secrets before this one.
    #[validate(custom(function = all_long_enough))]
    pub previous_secrets: Vec<Secret>,
    /// How long an access token is taken.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub access_ttl: Duration,
    /// How long a program may wait before it asks for another access token.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub refresh_ttl: Duration,
    /// How long a browser may be away.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub idle_ttl: Duration,
    /// How long any session lasts, however much it is used.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub session_ttl: Duration,
    /// How long the link in a mail works that confirms an address.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub verify_ttl: Duration,
    /// How long the link in a mail works that sets a new password.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub reset_ttl: Duration,
    /// Tries for each account and each client address in `attempts_window`.
    #[validate(range(min = 1, message = "must be at least 1"))]
    pub attempts: u32,
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub attempts_window: Duration,
    #[validate(nested)]
    pub password: PasswordSettings,
    #[validate(nested)]
    pub mail: MailSettings,
}

/// `[auth.password]`: the cost of argon2id (RFC 9106, section 4).
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct PasswordSettings {
    #[validate(custom(function = some_memory))]
    pub memory: ByteSize,
    #[validate(range(min = 1, max = 100, message = "must be 1 to 100"))]
    pub iterations: u32,
    #[validate(range(min = 1, max = 64, message = "must be 1 to 64"))]
    pub lanes: u32,
    /// Passwords worked on at the same time, each with `memory` and a core of its own; 0: as many as there are cores.
    #[validate(range(max = 256, message = "must be at most 256"))]
    pub at_once: usize,
    /// Others that may wait for that; more are told to come back.
    #[validate(range(max = 10_000, message = "must be at most 10000"))]
    pub queue: usize,
}

impl PasswordSettings {
    /// Passwords worked on at the same time. More than there are cores would only wait for each other.
    #[must_use]
    pub fn turns(&self) -> usize {
        match self.at_once {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some,
        }
    }
}

/// `[auth.mail]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// `Name <address>` or an address alone.
    #[validate(custom(function = a_mailbox))]
    pub from: String,
    /// `smtps://user:password@host:465`, or `smtp://…?tls=required`.
    #[serde(default)]
    #[validate(custom(function = smtp_url))]
    pub smtp: Option<Secret>,
    /// Where mails are written instead, in development.
    pub dir: PathBuf,
}

fn broken(rule: &'static str) -> ValidationError {
    ValidationError::new("auth").with_message(rule.into())
}

fn long_enough(secret: &Secret) -> Result<(), ValidationError> {
    if secret.expose().len() < SHORTEST_SECRET {
        return Err(broken("must have at least 32 bytes"));
    }
    Ok(())
}

fn all_long_enough(secrets: &[Secret]) -> Result<(), ValidationError> {
    secrets.iter().try_for_each(long_enough)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature validator asks for"
)]
fn some_memory(memory: &ByteSize) -> Result<(), ValidationError> {
    // Argon2 wants 8 KiB for each lane; more than this and one sign-in fills a machine.
    if (ByteSize::kib(8)..=ByteSize::gib(1)).contains(memory) {
        return Ok(());
    }
    Err(broken("must be 8KiB to 1GiB"))
}

fn a_mailbox(from: &str) -> Result<(), ValidationError> {
    let mailbox = from.parse::<lettre::message::Mailbox>();
    mailbox
        .map(drop)
        .map_err(|_| broken("must look like Name <name@example.com>"))
}

fn smtp_url(url: &Secret) -> Result<(), ValidationError> {
    let transport = super::mail::smtp(url);
    transport
        .map(drop)
        .map_err(|_| broken("must look like smtps://user:password@mail.example.com"))
}
