//! Which passwords are taken: long ones that are not among the first tries (NIST SP 800-63B, section 3.1.1.2).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use super::user::{Email, Name};
use crate::domain::error::Invalid;

/// Characters.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=128;

/// Fewer letters than this beside a well-known word add nothing to it.
const ADDED_LETTERS: usize = 4;

/// Characters of which at least so many must not go without saying after the two before them.
const SURPRISES: usize = 8;

/// What lies side by side in the alphabet and on keyboards (QWERTY, QWERTZ, AZERTY).
const ROWS: [&str; 10] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
];

/// What many have had for a password, in lower case and in order: of the lists that come with Django 5.2 and zxcvbn 4.5 the
/// words among the first 5000, and everything of 9 characters or more.
static COMMON: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("common-passwords.txt").lines().collect());

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
        if is_easy(&text.to_lowercase(), &known_of(email, name)) {
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

/// `text` in lower case, by somebody of whom `own` is known.
fn is_easy(text: &str, own: &[String]) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let different: BTreeSet<&char> = characters.iter().collect();
    different.len() < 5
        || surprises(&characters) < SURPRISES
        || is_repeated(&characters)
        || [text, &spelt_out(text)].into_iter().any(|text| {
            let letters = letters(text);
            is_common(text) || is_common(&letters) || is_made_of(&letters, own)
        })
}

/// How many characters do more than go on as those before them have begun: aaaa, 1234, fdsa.
fn surprises(characters: &[char]) -> usize {
    let goes_on = |three: &&[char]| {
        let there: String = three.iter().collect();
        let back: String = three.iter().rev().collect();
        let is_row = |row: &str| row.contains(&there) || row.contains(&back);
        three.iter().all(|c| *c == three[0]) || ROWS.into_iter().any(is_row)
    };
    let expected = characters.windows(3).filter(goes_on).count();
    characters.len() - expected
}

/// Something shorter than a password, over and over.
fn is_repeated(characters: &[char]) -> bool {
    let longest = characters.len() / 2;
    (1..=longest.min(LENGTH.start() - 1))
        .any(|length| characters[length..] == characters[..characters.len() - length])
}

/// One of the common ones, with little before or after it.
fn is_common(text: &str) -> bool {
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let ends = [&ends[..], &[text.len()]].concat();
    (0..ADDED_LETTERS).any(|before| {
        (0..ADDED_LETTERS - before).any(|after| {
            let last = ends.len().checked_sub(1 + after);
            let part = last.and_then(|last| text.get(*ends.get(before)?..*ends.get(last)?));
            part.is_some_and(|part| COMMON.binary_search(&part).is_ok())
        })
    })
}

/// Well-known words, or those that are known of its owner, and little else.
fn is_made_of(letters: &str, own: &[String]) -> bool {
    let words = own.iter().map(String::as_str).chain(WELL_KNOWN);
    let rest = words.fold(letters.to_owned(), |rest, word| rest.replace(word, ""));
    rest.len() < letters.len() && rest.chars().count() < ADDED_LETTERS
}

/// What can be known of somebody with an account here, the longest words first.
fn known_of(email: &Email, name: &Name) -> Vec<String> {
    let (local, domain) = email.as_str().split_once('@').unwrap_or_default();
    let told = [local, domain, name.as_str(), env!("CARGO_PKG_NAME")].map(str::to_lowercase);
    let parts = told
        .iter()
        .flat_map(|told| told.split(|c: char| !c.is_alphanumeric()));
    let mut known: Vec<String> = told
        .iter()
        .map(String::as_str)
        .chain(parts)
        .map(letters)
        .collect();
    known.retain(|word| word.chars().count() >= ADDED_LETTERS);
    known.sort_by_key(|word| std::cmp::Reverse(word.len()));
    known
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).collect()
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
        let long = |n| {
            "äzbycxdwevfugthsirjqkplomn"
                .chars()
                .cycle()
                .take(n)
                .collect::<String>()
        };
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
            "aabbaabcbabc",
            "letmein-please1".trim_end_matches("-please1"),
            "administrator1",
        ] {
            assert!(!is_taken(easy), "{easy}");
        }
    }

    #[test]
    fn what_many_have_had_is_refused_whatever_little_is_added() {
        for common in [
            "1q2w3e4r5t6y",
            "1Q2W3E4R5T6Y!!",
            "qazwsxedcrfv",
            "zaq1xsw2cde3",
            "leavemealone",
            "FinalFantasy7",
            "2026finalfantasy!",
            "F1nalFanta5y!",
            "jamesbond007",
            "liverpool-1999",
        ] {
            assert!(!is_taken(common), "{common}");
        }
        assert!(is_taken("finalfantasy, said the owl"));
    }

    #[test]
    fn what_is_known_of_somebody_is_no_secret_of_theirs() {
        for known in [
            "ada.lovelace@example.com",
            "Ada Augusta Lovelace",
            "ada.lovelace2026",
            "adalovelace1815",
            "Lovelace-Lovelace",
            "4ugu5ta-6262-98",
            "example.com-1815",
        ] {
            assert!(!is_taken(known), "{known}");
        }
        assert!(is_taken("lovelace and the engine"));
    }

    #[test]
    fn what_goes_without_saying_adds_nothing() {
        for patterned in [
            "abcdefgh1234",
            "qwertyasdfgh",
            "zyxwvu987654",
            "xy7!xy7!xy7!",
            "kw3#kw3#kw3#k",
            "aaaaBBBB7777!",
            "wertz12345!!",
        ] {
            assert!(!is_taken(patterned), "{patterned}");
        }
    }

    #[test]
    fn the_list_is_in_order_or_nothing_is_found_in_it() {
        assert!(COMMON.len() > 9000 && COMMON.is_sorted());
        assert!(
            COMMON
                .iter()
                .all(|known| letters(known) == **known || known.len() >= 9)
        );
    }

    #[test]
    fn phrases_and_noise_are_taken() {
        for good in [
            "correct horse battery staple",
            "the secret of the old mill",
            "837462918375",
            "vX9#qL2$mT7z",
            "another horse altogether",
            "Свет мой, зеркальце, скажи",
            "日本語の合言葉は長い方がよい",
        ] {
            assert!(is_taken(good), "{good}");
        }
    }
}
