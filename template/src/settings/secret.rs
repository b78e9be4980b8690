//! A value that may be read and not shown.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What stands in examples, and what is tried first.
const WELL_KNOWN: [&str; 12] = [
    "changeme",
    "change-me",
    "change_me",
    "password",
    "secret",
    "token",
    "admin",
    "default",
    "example",
    "1234567890",
    "abcdef",
    "qwerty",
];

/// A value that is never shown whole. An address is shown without its password.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Another one every time; nobody guesses it.
    #[must_use]
    pub fn random() -> Self {
        Self::new(Uuid::new_v4().simple().to_string())
    }

    /// Whether it will do in production.
    pub(super) fn is_strong(&self) -> bool {
        let whole = self.0.to_lowercase();
        let rest = WELL_KNOWN
            .iter()
            .fold(whole, |rest, word| rest.replace(word, ""));
        let different: BTreeSet<char> = rest.chars().collect();
        rest.chars().count() >= 16 && different.len() >= 6
    }

    /// The real value, for the code that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str("***");
        };
        // Parameters may hold a password too, and an @.
        let (rest, parameters) = match rest.split_once('?') {
            Some((rest, _)) => (rest, "?***"),
            None => (rest, ""),
        };
        // A password may hold an @, the host may not.
        let Some((user, host)) = rest.rsplit_once('@') else {
            return write!(f, "{scheme}://{rest}{parameters}");
        };
        let user = user.split(':').next().unwrap_or_default();
        write!(f, "{scheme}://{user}:***@{host}{parameters}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
