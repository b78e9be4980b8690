//! The user, and the values one is made of.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use validator::ValidateEmail;

use super::role::Role;
use crate::domain::error::Invalid;

/// A `UUIDv7` (RFC 9562): ids sort by creation.
pub type UserId = Uuid;

/// Everything about a user but the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// Unique among users.
    pub email: Email,
    pub name: Name,
    pub role: Role,
    /// An administrator can take this away: nothing works then, and what was signed in no longer is.
    pub is_active: bool,
    /// When the owner of the address has said that it is theirs; nobody can sign in before.
    pub verified_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// An address in lower case: providers that tell `A@x` from `a@x` are not known, people who forget how they wrote it are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Characters (RFC 5321, section 4.5.3.1.3, less the brackets).
    pub const MAX_LENGTH: usize = 254;

    /// # Errors
    /// If `text` is not what HTML takes for an e-mail address.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_lowercase();
        if text.len() > Self::MAX_LENGTH || !text.is_ascii() || !text.validate_email() {
            return Err(Invalid("must be an e-mail address"));
        }
        Ok(Self(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a user wants to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Characters.
    pub const MAX_LENGTH: usize = 80;

    /// # Errors
    /// If it is empty, too long, or has control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > Self::MAX_LENGTH {
            return Err(Invalid("must be 1 to 80 characters long"));
        }
        if text.contains(char::is_control) {
            return Err(Invalid("must be one line"));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let address = Email::parse(" Ada@Example.COM ").unwrap();
        assert_eq!(address.as_str(), "ada@example.com");
        for wrong in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "a b@example.com",
            "a@b@c",
            "a@example.com\r\nBcc: all@example.com",
            "ad\u{e0}@example.com",
        ] {
            assert!(Email::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Email::parse(&format!("a@{}.com", "b".repeat(260))).is_err());
    }

    #[test]
    fn a_name_is_one_line_of_some_length() {
        assert_eq!(Name::parse("  Ada ").unwrap().as_str(), "Ada");
        assert!(Name::parse(&"a".repeat(80)).is_ok());
        for wrong in ["", "  ", "a\nb", &"a".repeat(81)] {
            assert!(Name::parse(wrong).is_err(), "{wrong}");
        }
    }
}
