//! The body of an article: Markdown in, HTML that is safe to show out.

use std::sync::LazyLock;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
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

    /// CommonMark with tables, strikethrough, task lists and footnotes, as sanitised HTML: scripts, event
    /// handlers and dangerous links are gone, whatever the source says. Headings start at level two, below the
    /// title of the page.
    #[must_use]
    pub fn to_html(&self) -> String {
        SANITISER.clean(&self.to_trusted_html()).to_string()
    }

    /// The same without the sanitiser: for text of the service's owner, never for that of its users.
    #[must_use]
    pub fn to_trusted_html(&self) -> String {
        let extensions = Options::ENABLE_TABLES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_FOOTNOTES;
        let events = Parser::new_ext(&self.0, extensions).map(for_a_page);
        let mut html = String::with_capacity(self.0.len() * 3 / 2);
        html::push_html(&mut html, events);
        html
    }
}

/// Put before the ids in a body, which must not take one of the page's own.
const ID_PREFIX: &str = "text-";

/// Keeps the first level of headings for the page's own title, and marks what footnotes refer to.
fn for_a_page(event: Event<'_>) -> Event<'_> {
    let prefixed = |label: CowStr<'_>| format!("{ID_PREFIX}{label}").into();
    match event {
        Event::FootnoteReference(label) => Event::FootnoteReference(prefixed(label)),
        Event::Start(Tag::FootnoteDefinition(label)) => {
            Event::Start(Tag::FootnoteDefinition(prefixed(label)))
        }
        Event::Start(Tag::Heading {
            level: HeadingLevel::H1,
            id,
            classes,
            attrs,
        }) => Event::Start(Tag::Heading {
            level: HeadingLevel::H2,
            id,
            classes,
            attrs,
        }),
        Event::End(TagEnd::Heading(HeadingLevel::H1)) => {
            Event::End(TagEnd::Heading(HeadingLevel::H2))
        }
        other => other,
    }
}

static SANITISER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut sanitiser = ammonia::Builder::default();
    sanitiser
        .rm_tags(["h1"])
        // The boxes of task lists, and no other input.
        .add_tags(["input"])
        .add_tag_attributes("input", ["checked"])
        .set_tag_attribute_value("input", "type", "checkbox")
        .set_tag_attribute_value("input", "disabled", "")
        .set_tag_attribute_value("input", "aria-label", "Done")
        // What may be wider than the screen can be scrolled with the keyboard.
        .set_tag_attribute_value("pre", "tabindex", "0")
        .set_tag_attribute_value("table", "tabindex", "0")
        .add_tag_attributes("code", ["class"])
        .add_tag_attributes("div", ["class", "id"])
        .add_tag_attributes("sup", ["class"])
        .attribute_filter(|_, attribute, value| match attribute {
            "id" if !value.starts_with(ID_PREFIX) => None,
            "class" if !(value.starts_with("language-") || value.starts_with("footnote-")) => None,
            _ => Some(value.into()),
        });
    sanitiser
});

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
    fn headings_stay_below_the_title_of_the_page() {
        assert_eq!(html("# One"), "<h2>One</h2>\n");
        assert_eq!(html("## Two"), "<h2>Two</h2>\n");
        assert!(!html("<h1>Mine</h1>").contains("<h1"));
    }

    #[test]
    fn a_footnote_link_leads_to_its_note() {
        let html = html("Text[^a].\n\n[^a]: The note.");
        assert!(html.contains("href=\"#text-a\""), "{html}");
        assert!(html.contains("id=\"text-a\""), "{html}");
    }

    #[test]
    fn a_body_cannot_take_the_ids_and_classes_of_the_page() {
        let html = html("<div id=\"content\" class=\"masthead\">x</div>");
        assert_eq!(html, "<div>x</div>");
    }

    #[test]
    fn an_input_is_a_box_that_cannot_be_changed() {
        let html = html("<input name=\"password\" value=\"x\">");
        assert!(
            html.contains("type=\"checkbox\"") && html.contains("disabled"),
            "{html}"
        );
        assert!(!html.contains("password"), "{html}");
    }

    #[test]
    fn a_body_over_its_size_is_refused() {
        assert!(Markdown::parse(&"x".repeat(Markdown::MAX)).is_ok());
        assert!(Markdown::parse(&"x".repeat(Markdown::MAX + 1)).is_err());
    }
}
