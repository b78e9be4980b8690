//! The small values of an article. Each is parsed once, where it enters, and right from then on.

use serde::{Deserialize, Serialize};

use crate::domain::error::Invalid;

/// Declares a text value: a `String` that has passed `$check`.
macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Trims and checks `text`.
            ///
            /// # Errors
            /// The rule it breaks.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                let text = text.trim();
                $check(text)?;
                Ok(Self(text.to_owned()))
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_value!(
    /// The headline: 1 to 120 characters on one line.
    Title,
    |text: &str| length(text, 1, Title::MAX, "must be 1 to 120 characters long")
        .and_then(|()| one_line(text))
);

text_value!(
    /// What a list shows below the title: up to 280 characters on one line.
    Summary,
    |text: &str| length(text, 0, Summary::MAX, "must be at most 280 characters long")
        .and_then(|()| one_line(text))
);

text_value!(
    /// The part of the address that names the article: lowercase words joined by single hyphens.
    Slug,
    |text: &str| length(text, 1, Slug::MAX, "must be 1 to 80 characters long")
        .and_then(|()| hyphenated(text))
        .and_then(|()| not_reserved(text))
);

text_value!(
    /// A label to find articles by, written like a slug.
    Tag,
    |text: &str| length(text, 1, Tag::MAX, "must be 1 to 30 characters long")
        .and_then(|()| hyphenated(text))
);

impl Title {
    /// Characters.
    pub const MAX: usize = 120;
}

impl Summary {
    /// Characters.
    pub const MAX: usize = 280;
}

impl Tag {
    /// Characters.
    pub const MAX: usize = 30;
}

impl Slug {
    /// Characters.
    pub const MAX: usize = 80;

    /// The slug in an address, where it has one spelling.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn exactly(text: &str) -> Result<Self, Invalid> {
        let slug = Self::parse(text)?;
        if slug.as_str() != text {
            return Err(Invalid("must have nothing around it"));
        }
        Ok(slug)
    }

    /// The slug a title suggests: its ASCII letters and digits in lower case, anything else a hyphen.
    ///
    /// # Errors
    /// If the title has no letter or digit to make a slug of.
    pub fn from_title(title: &Title) -> Result<Self, Invalid> {
        let mut slug = String::new();
        for word in title.as_str().split(|c: char| !c.is_ascii_alphanumeric()) {
            let hyphen = usize::from(!slug.is_empty());
            if word.is_empty() {
                continue;
            }
            if slug.len() + hyphen + word.len() > Self::MAX && !slug.is_empty() {
                break;
            }
            slug.push_str(&"-"[..hyphen]);
            slug.push_str(&word[..word.len().min(Self::MAX)].to_ascii_lowercase());
        }
        if slug.is_empty() {
            return Err(Invalid(
                "must be given: none can be made of a title without ASCII letters or digits",
            ));
        }
        Self::parse(&slug)
    }
}

/// An article's tags: at most ten, each once, in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags(Vec<Tag>);

impl Tags {
    pub const MAX: usize = 10;

    /// Sorts `tags` and drops repeats.
    ///
    /// # Errors
    /// If more than [`Tags::MAX`] remain.
    pub fn new(mut tags: Vec<Tag>) -> Result<Self, Invalid> {
        tags.sort();
        tags.dedup();
        if tags.len() > Self::MAX {
            return Err(Invalid("must be at most 10 different tags"));
        }
        Ok(Self(tags))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter()
    }

    #[must_use]
    pub fn contains(&self, tag: &Tag) -> bool {
        self.0.contains(tag)
    }
}

fn length(text: &str, min: usize, max: usize, rule: &'static str) -> Result<(), Invalid> {
    // Characters, not bytes: a person counts characters.
    let count = text.chars().count();
    if count < min || count > max {
        Err(Invalid(rule))
    } else {
        Ok(())
    }
}

fn one_line(text: &str) -> Result<(), Invalid> {
    if text.chars().any(char::is_control) {
        return Err(Invalid(
            "must not contain line breaks or control characters",
        ));
    }
    Ok(())
}

fn hyphenated(text: &str) -> Result<(), Invalid> {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if text.split('-').all(word) {
        return Ok(());
    }
    Err(Invalid(
        "must be lowercase letters and digits, joined by single hyphens",
    ))
}

/// Beside the addresses of articles stands the one of the form for a new one.
fn not_reserved(text: &str) -> Result<(), Invalid> {
    if text == "new" {
        return Err(Invalid("must not be `new`, which is an address of its own"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_from_the_words_of_a_title() {
        let slug = |title| Slug::from_title(&Title::parse(title).unwrap());
        assert_eq!(slug("Hello, World!").unwrap().as_str(), "hello-world");
        assert_eq!(
            slug("  C++ & Rust -- 2026  ").unwrap().as_str(),
            "c-rust-2026"
        );
        assert!(slug("日本語").is_err());
        assert!(slug("New").unwrap_err().0.contains("`new`"));
    }

    #[test]
    fn a_slug_made_from_a_long_title_ends_at_a_word() {
        let title = Title::parse(&"wordy ".repeat(20)).unwrap();
        let slug = Slug::from_title(&title).unwrap();
        assert!(slug.as_str().len() <= Slug::MAX);
        assert!(slug.as_str().ends_with("wordy"));
    }

    #[test]
    fn a_slug_made_from_one_long_word_is_cut() {
        let title = Title::parse(&"a".repeat(Title::MAX)).unwrap();
        let slug = Slug::from_title(&title).unwrap();
        assert_eq!(slug.as_str().len(), Slug::MAX);
    }

    #[test]
    fn a_slug_has_lowercase_words_and_single_hyphens() {
        for good in ["a", "a-b", "2026", "x9-y"] {
            assert!(Slug::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "A",
            "a b",
            "ä",
            "a/b",
            "new",
            &"a".repeat(81),
        ] {
            assert!(Slug::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_title_is_counted_in_characters_and_kept_on_one_line() {
        assert!(Title::parse(&"é".repeat(120)).is_ok());
        assert!(Title::parse(&"é".repeat(121)).is_err());
        assert!(Title::parse("two\nlines").is_err());
        assert!(Title::parse("   ").is_err());
    }

    #[test]
    fn tags_are_sorted_and_kept_once() {
        let tag = |text: &str| Tag::parse(text).unwrap();
        let tags = Tags::new(vec![tag("b"), tag("a"), tag("b")]).unwrap();
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["a", "b"]);
        let many = (0..11).map(|n| tag(&format!("t{n}"))).collect();
        assert!(Tags::new(many).is_err());
    }
}
