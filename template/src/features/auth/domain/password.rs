//! Which passwords are taken: long ones that are not among the first tries (NIST SP 800-63B, section 3.1.1.2).

use std::collections::BTreeSet;
use std::fmt;

use super::user::{Email, Name};
use crate::domain::error::Invalid;

/// Characters.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=128;

/// Fewer letters than this beside a well-known word add nothing to it.
const ADDED_LETTERS: usize = 4;

/// The words that lists of leaked passwords begin with. Digits and signs around them help nobody.
const WELL_KNOWN: [&str; 48] = [
    "password",
    "passwort",
    "passcode",
    "administrator",
    "admin",
    "welcome",
    "letmein",
    "qwertyuiop",
    "qwerty",
    "qwertz",
    "azerty",
    "asdfghjkl",
    "asdfgh",
    "zxcvbnm",
    "zxcvbn",
    "iloveyou",
    "changeme",
    "secret",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "superman",
    "batman",
    "princess",
    "sunshine",
    "master",
    "login",
    "default",
    "access",
    "freedom",
    "whatever",
    "starwars",
    "pokemon",
    "shadow",
    "michael",
    "jennifer",
    "computer",
    "internet",
    "summer",
    "winter",
    "spring",
    "autumn",
    "charlie",
    "hello",
    "guest",
    "test",
    "love",
];

/// A new password, good enough to be one. Never shown.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// # Errors
    /// The rule it breaks.
    pub fn parse(text: &str, email: &Email, name: &Name) -> Result<Self, Invalid> {
        if !LENGTH.contains(&text.chars().count()) {
            return Err(Invalid("must be 12 to 128 characters long"));
        }
        let own = [email.as_str(), name.as_str()].map(str::to_lowercase);
        if is_easy(text) || own.contains(&text.to_lowercase()) {
            return Err(Invalid("is too easy to guess"));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

fn is_easy(text: &str) -> bool {
    let text = text.to_lowercase();
    let different: BTreeSet<char> = text.chars().collect();
    different.len() < 5
        || is_sequence(&text)
        || is_well_known(&text)
        || is_well_known(&spelt_out(&text))
}

/// Neighbours on the keyboard or in the alphabet, such as 123456789012 and abcdefghijkl.
fn is_sequence(text: &str) -> bool {
    let bytes = text.as_bytes();
    let step = |pair: &[u8]| match (pair[0], pair[1]) {
        (b'9', b'0') => 1,
        (b'0', b'9') => -1,
        (a, b) => i16::from(b) - i16::from(a),
    };
    let mut steps = bytes.windows(2).map(step);
    steps
        .next()
        .is_some_and(|first| first.abs() == 1 && steps.all(|step| step == first))
}

fn is_well_known(text: &str) -> bool {
    let letters: String = text.chars().filter(|c| c.is_alphabetic()).collect();
    let rest = WELL_KNOWN
        .iter()
        .fold(letters.clone(), |rest, word| rest.replace(word, ""));
    rest.len() < letters.len() && rest.chars().count() < ADDED_LETTERS
}

/// With the letters that digits and signs stand for: p4$$w0rd.
fn spelt_out(text: &str) -> String {
    let letter = |c| match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(text: &str) -> bool {
        let email = Email::parse("ada.lovelace@example.com").unwrap();
        Password::parse(text, &email, &Name::parse("Ada Augusta Lovelace").unwrap()).is_ok()
    }

    #[test]
    fn length_is_counted_in_characters() {
        let long = |n| "äzbycxdwev".chars().cycle().take(n).collect::<String>();
        assert!(is_taken(&long(12)) && is_taken(&long(128)));
        assert!(!is_taken(&long(11)) && !is_taken(&long(129)) && !is_taken(""));
    }

    #[test]
    fn what_is_tried_first_is_refused() {
        for easy in [
            "password1234",
            "Password123!",
            "P4$$w0rd2026!!",
            "passwordpassword",
            "qwertyuiop12",
            "123456789012",
            "abcdefghijkl",
            "987654321098",
            "aaaaaaaaaaaa",
            "abababababab",
            "letmein-please1".trim_end_matches("-please1"),
            "administrator1",
            "ada.lovelace@example.com",
            "Ada Augusta Lovelace",
        ] {
            assert!(!is_taken(easy), "{easy}");
        }
    }

    #[test]
    fn phrases_and_noise_are_taken() {
        for good in [
            "correct horse battery staple",
            "the secret of the old mill",
            "837462918375",
            "vX9#qL2$mT7z",
        ] {
            assert!(is_taken(good), "{good}");
        }
    }
}
