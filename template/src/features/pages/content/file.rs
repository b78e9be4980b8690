//! One file of `content/`: TOML between two lines of `+++`, then the text.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::domain::articles::Markdown;
use crate::features::pages::form::unix_lines;

/// A page that can be shown.
#[derive(Debug)]
pub struct ContentPage {
    /// Where it was written, from the project's folder.
    pub file: String,
    /// Where it is shown.
    pub path: String,
    pub title: String,
    pub description: String,
    /// Other paths that lead here.
    pub aliases: Vec<String>,
    /// Elements for the head of the page.
    pub head: String,
    /// HTML.
    pub body: String,
    pub ttl: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    head: String,
    /// The words for `{{ name }}` in the text.
    #[serde(default)]
    vars: BTreeMap<String, String>,
    #[serde(default, with = "humantime_serde")]
    ttl: Option<Duration>,
}

impl ContentPage {
    /// Reads the text of `file`, a path below `content/`.
    ///
    /// # Errors
    /// What is wrong with its place, its front matter or its text; the caller names the file.
    pub fn parse(file: &str, text: &str) -> anyhow::Result<Self> {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let is_markdown = match name {
            "page.md" => true,
            "page.html" => false,
            _ => bail!(
                "only page.md and page.html belong here; pictures and styles belong in assets/"
            ),
        };
        ensure!(
            !folder.is_empty(),
            "/ is not a page of content/; put it into a folder"
        );
        ensure!(
            folder.split('/').all(is_word),
            "folders of pages have names of lowercase letters, digits, - and _"
        );
        let text = unix_lines(text);
        let (front, body) =
            split(&text).context("it must begin with TOML between two lines of +++")?;
        let front: FrontMatter = toml::from_str(front).map_err(|error| {
            let before = error.span().map_or("", |span| &front[..span.start]);
            // The first line is the +++.
            anyhow::anyhow!(
                "line {}: {}",
                before.matches('\n').count() + 2,
                error.message()
            )
        })?;
        ensure!(!front.title.trim().is_empty(), "the title is empty");
        for alias in &front.aliases {
            ensure!(
                is_alias(alias),
                "the alias `{alias}` is not a path like /old/name"
            );
        }
        let body = fill_in(body, &front.vars)?;
        Ok(Self {
            file: format!("content/{file}"),
            path: format!("/{folder}"),
            title: front.title,
            description: front.description,
            aliases: front.aliases,
            head: front.head,
            body: if is_markdown {
                Markdown::parse(&body)?.to_trusted_html()
            } else {
                body
            },
            ttl: front.ttl,
        })
    }

    /// What search engines are told.
    #[must_use]
    pub fn description(&self) -> &str {
        match &*self.description {
            "" => &self.title,
            description => description,
        }
    }
}

/// The front matter and the text behind it.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("+++\n")?;
    if let Some(body) = rest.strip_prefix("+++\n") {
        return Some(("", body));
    }
    rest.split_once("\n+++\n")
        .or_else(|| Some((rest.strip_suffix("\n+++")?, "")))
}

fn is_word(word: &str) -> bool {
    let may_stand =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !word.is_empty() && word.bytes().all(may_stand)
}

/// Old addresses look as they did, with capitals and file endings, but are plain paths.
fn is_alias(path: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let is_segment =
        |segment: &str| !segment.bytes().all(|byte| byte == b'.') && segment.bytes().all(may_stand);
    let segments = path
        .strip_prefix('/')
        .map(|path| path.strip_suffix('/').unwrap_or(path));
    segments.is_some_and(|segments| segments.split('/').all(is_segment))
}

/// Puts the words in the place of `{{ name }}`. A page without `vars` may have braces as it likes.
fn fill_in(text: &str, vars: &BTreeMap<String, String>) -> anyhow::Result<String> {
    if vars.is_empty() {
        return Ok(text.to_owned());
    }
    let mut parts = text.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").context("a {{ has no }}")?;
        let name = name.trim();
        let value = vars.get(name);
        let value = value.with_context(|| format!("`{name}` is not one of its vars"))?;
        filled.push_str(value);
        filled.push_str(rest);
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "+++\ntitle = \"About\"\n+++\n# One\n\n<b onclick=\"x\">Two</b>\n";

    fn refusal(file: &str, text: &str) -> String {
        format!("{:#}", ContentPage::parse(file, text).unwrap_err())
    }

    #[test]
    fn a_file_becomes_a_page_at_the_path_of_its_folder() {
        let page = ContentPage::parse("help/first-steps/page.md", TEXT).unwrap();
        assert_eq!(page.path, "/help/first-steps");
        assert_eq!(page.file, "content/help/first-steps/page.md");
        assert_eq!((page.description(), page.ttl), ("About", None));
        assert_eq!(page.body, "<h2>One</h2>\n<p><b onclick=\"x\">Two</b></p>\n");
        let page = ContentPage::parse("about/page.html", &TEXT.replace('\n', "\r\n")).unwrap();
        assert_eq!(page.body, "# One\n\n<b onclick=\"x\">Two</b>\n");
    }

    #[test]
    fn front_matter_says_everything_else() {
        let text = "+++\ntitle = \"A\"\ndescription = \"D\"\naliases = [\"/Old.html\", \"/b/\"]\nhead = '<meta name=\"a\">'\n\
                    ttl = \"1h\"\n[vars]\nname = \"**x**\"\n+++\n{{ name }} and {{name}}";
        let page = ContentPage::parse("a/page.md", text).unwrap();
        assert_eq!((page.description(), page.aliases.len()), ("D", 2));
        assert_eq!(page.head, "<meta name=\"a\">");
        assert_eq!(page.ttl, Some(Duration::from_hours(1)));
        assert_eq!(
            page.body,
            "<p><strong>x</strong> and <strong>x</strong></p>\n"
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line() {
        let of =
            |front: &str, body: &str| refusal("a/page.md", &format!("+++\n{front}\n+++\n{body}"));
        assert!(
            of("", "").contains("missing field `title`"),
            "{}",
            of("", "")
        );
        let unknown = of("title = \"A\"\n\ntitel = \"B\"", "");
        assert!(
            unknown.starts_with("line 4: unknown field `titel`"),
            "{unknown}"
        );
        assert!(of("title = ", "").starts_with("line 2: "));
        assert!(of("title = \" \"", "").contains("the title is empty"));
        assert!(of("title = \"A\"\nttl = \"soon\"", "").starts_with("line 3: "));
        let vars = "title = \"A\"\nvars = { a = \"b\" }";
        assert!(of(vars, "{{ b }}").contains("`b` is not one of its vars"));
        assert!(of(vars, "{{ a").contains("a {{ has no }}"));
        for text in ["", "# Text", "+++\ntitle = \"A\"\n", "+++"] {
            assert!(
                refusal("a/page.md", text).contains("two lines of +++"),
                "{text:?}"
            );
        }
    }

    #[test]
    fn only_pages_belong_into_the_folder() {
        for (file, reason) in [
            ("page.md", "/ is not a page"),
            ("page.html", "/ is not a page"),
            ("about/picture.png", "only page.md"),
            ("about.md", "only page.md"),
            ("About/page.md", "lowercase"),
            ("a b/page.md", "lowercase"),
            ("a/../page.md", "lowercase"),
            ("{x}/page.md", "lowercase"),
        ] {
            assert!(refusal(file, TEXT).contains(reason), "{file}");
        }
    }

    #[test]
    fn an_alias_is_a_plain_path() {
        for good in ["/a", "/About-Us.html", "/a/b/", "/2024/~me"] {
            assert!(is_alias(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "a",
            "//",
            "/a//b",
            "/..",
            "/a/../b",
            "/a?b",
            "/a b",
            "/{a}",
            "https://example.com/",
            "/ä",
        ] {
            assert!(!is_alias(bad), "{bad}");
        }
    }
}
