//! The body of an article: Markdown in, HTML that is safe to show out.

use pulldown_cmark::{Options, Parser, html};
use serde::{Deserialize, Serialize};

use crate::domain::error::Invalid;

/// Markdown source of at most [`Markdown::MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Markdown(String);

impl Markdown {
    /// Bytes.
    pub const MAX: usize = 100_000;

    /// Takes `source` as it is.
    ///
    /// # Errors
    /// If it is longer than [`Markdown::MAX`] or contains the character NUL, which PostgreSQL cannot store.
    pub fn parse(source: &str) -> Result<Self, Invalid> {
        if source.len() > Self::MAX {
            return Err(Invalid("must be at most 100,000 bytes long"));
        }
        if source.contains('\0') {
            return Err(Invalid("must not contain the character NUL"));
        }
        Ok(Self(source.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `CommonMark` with tables, strikethrough, task lists and footnotes, as sanitised HTML: scripts, event
    /// handlers and dangerous links are gone, whatever the source says.
    #[must_use]
    pub fn to_html(&self) -> String {
        let extensions = Options::ENABLE_TABLES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_FOOTNOTES;
        let mut unsafe_html = String::with_capacity(self.0.len() * 3 / 2);
        html::push_html(&mut unsafe_html, Parser::new_ext(&self.0, extensions));
        ammonia::Builder::default()
            .add_tags(["input"])
            .add_tag_attributes("input", ["checked", "disabled"])
            .add_tag_attribute_values("input", "type", ["checkbox"])
            .add_generic_attributes(["id"])
            .id_prefix(Some("text-"))
            .add_tag_attributes("code", ["class"])
            .add_tag_attribute_values(
                "sup",
                "class",
                ["footnote-reference", "footnote-definition-label"],
            )
            .add_tag_attribute_values("div", "class", ["footnote-definition"])
            .clean(&unsafe_html)
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(source: &str) -> String {
        Markdown::parse(source).unwrap().to_html()
    }

    #[test]
    fn markdown_becomes_html() {
        assert_eq!(
            html("**bold** and `code`"),
            "<p><strong>bold</strong> and <code>code</code></p>\n"
        );
        assert!(html("| a |\n|---|\n| 1 |").contains("<td>1</td>"));
        assert!(html("- [x] done").contains("checkbox"));
    }

    #[test]
    fn what_could_run_is_removed() {
        for attack in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "[click](javascript:alert(1))",
            "<iframe src='https://example.com'></iframe>",
            "<svg><script>alert(1)</script></svg>",
            "<input type=text onfocus=alert(1) autofocus>",
            "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
            "<style>body{display:none}</style>",
        ] {
            let html = html(attack);
            for bad in [
                "script",
                "onerror",
                "javascript:",
                "iframe",
                "onfocus",
                "data:",
                "<style",
                "type=\"text\"",
            ] {
                assert!(!html.contains(bad), "{attack} -> {html}");
            }
        }
    }

    #[test]
    fn a_body_over_its_size_is_refused() {
        assert!(Markdown::parse(&"x".repeat(Markdown::MAX)).is_ok());
        assert!(Markdown::parse(&"x".repeat(Markdown::MAX + 1)).is_err());
    }
}
