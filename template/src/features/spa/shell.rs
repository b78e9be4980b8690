//! The page that loads the application, completed with the title, the description and the data of what was asked for.

use serde::Serialize;

use super::{SITE, files};
use crate::http::page_cache::Page;
use crate::http::{Kind, Problem};

/// Only without a build, which in a release fails before.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Not built</title>\
    <p>The application is not built: run <code>npm ci && npm run build</code> in <code>frontend/</code>, then \
    <code>cargo run</code>; to work on it, <code>npm start</code> there.</p></html>";

/// `frontend/dist/index.html`, in three pieces: between them go the title and, at the end of the body, the data.
#[derive(Clone, Copy)]
pub(super) struct Shell {
    head: &'static str,
    body: &'static str,
    end: &'static str,
}

/// What the application finds in the page, so that it need not ask: the answer of the API at an address.
pub(super) struct Sent<'a, T> {
    pub address: &'a str,
    pub answer: &'a T,
}

impl Shell {
    /// The page of this build.
    pub(super) fn built() -> Self {
        let file = files::find("index.html");
        let html = file.and_then(|file| std::str::from_utf8(file.content).ok());
        let html = html.unwrap_or(NOT_BUILT);
        let (head, rest) = html.split_once("<title>").unwrap_or((html, ""));
        let (_, rest) = rest.split_once("</title>").unwrap_or_default();
        let (body, end) = rest.split_at(rest.rfind("</body>").unwrap_or(rest.len()));
        Self { head, body, end }
    }

    /// Says nothing about what is on the page.
    pub(super) fn page(self) -> Page {
        let Self { head, body, end } = self;
        Page::html(format!("{head}<title>{SITE}</title>{body}{end}"))
    }

    pub(super) fn page_with<T: Serialize>(
        self,
        title: &str,
        description: &str,
        sent: &Sent<'_, T>,
    ) -> Result<Page, Problem> {
        let Self { head, body, end } = self;
        let (title, description) = (escaped(title), escaped(description));
        let data = data(sent).map_err(|error| Problem::new(Kind::Internal).cause(error))?;
        // The data comes last: the browser is to see first what it has to load.
        Ok(Page::html(format!(
            "{head}<title>{title}</title>\n  <meta name=\"description\" content=\"{description}\">{body}\
             <script type=\"application/json\" id=\"data\">{data}</script>\n{end}"
        )))
    }
}

/// A block of data is no script to a browser, and the content security policy lets it be.
fn data<T: Serialize>(sent: &Sent<'_, T>) -> serde_json::Result<String> {
    let address = serde_json::to_string(sent.address)?;
    let answer = serde_json::to_string(sent.answer)?;
    // Nothing in it can end the block: in JSON, `<` stands in strings only.
    Ok(format!("{{{address}:{answer}}}").replace('<', "\\u003c"))
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_data_ends_its_block() {
        let sent = Sent {
            address: "/api/x",
            answer: &"</script><!--",
        };
        let data = data(&sent).unwrap();
        assert_eq!(data, r#"{"/api/x":"\u003c/script>\u003c!--"}"#);
        let read: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(read["/api/x"], "</script><!--");
    }

    #[test]
    fn text_in_the_head_stays_text() {
        assert_eq!(
            escaped("<a href=\"&\">"),
            "&lt;a href=&quot;&amp;&quot;&gt;"
        );
    }
}
