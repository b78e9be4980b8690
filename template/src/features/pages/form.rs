//! A form as it is shown: what the visitor wrote stays in its fields, and what is wrong stands beside them.

use askama::Template;
use axum::http::request::Parts;

use super::flash::Flash;
use super::head::Head;
use super::html;
use crate::domain::error::Invalid;
use crate::http::Problem;
use crate::http::csrf::Csrf;
use crate::http::page_cache::Page;

/// A page with forms.
pub trait WithForms: Template {
    fn head(&mut self) -> &mut Head;
    /// What shows that its forms were opened here.
    fn form_token(&mut self) -> &mut String;
}

/// The page for the browser that asks: with a token for its forms, and the notice that waits for it.
///
/// # Errors
/// If the page cannot be rendered.
pub fn page_for(request: &Parts, csrf: &Csrf, mut page: impl WithForms) -> Result<Page, Problem> {
    let flash = Flash::of(&request.headers);
    page.head().notice = flash.text();
    let token = csrf.issue(request);
    token.value.clone_into(page.form_token());
    Ok(token.remember_on(flash.forget_after(html(&page)?)))
}

/// One field.
pub struct Field {
    /// Of the value in the body, and the id of the element.
    pub name: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub value: String,
    pub error: Option<String>,
    /// What somebody else has put there since the form was opened.
    pub theirs: Option<String>,
}

impl Field {
    pub fn new(name: &'static str, label: &'static str, hint: &'static str) -> Self {
        Self {
            name,
            label,
            hint,
            value: String::new(),
            error: None,
            theirs: None,
        }
    }

    pub fn value(mut self, value: &str) -> Self {
        value.clone_into(&mut self.value);
        self
    }

    pub fn error(mut self, errors: &Errors) -> Self {
        self.error = errors.of(self.name);
        self
    }

    /// What stands in the store now, if that is another value.
    pub fn theirs(mut self, stored: Option<&str>) -> Self {
        let other = stored.filter(|stored| *stored != self.value);
        self.theirs = other.map(ToOwned::to_owned);
        self
    }

    /// The ids of what explains the field, for `aria-describedby`.
    pub fn described_by(&self) -> String {
        let hint = (!self.hint.is_empty()).then_some("hint");
        let parts = [
            hint,
            self.error.as_ref().map(|_| "error"),
            self.theirs.as_ref().map(|_| "theirs"),
        ];
        let ids = parts.into_iter().flatten();
        let ids: Vec<String> = ids.map(|part| format!("{}-{part}", self.name)).collect();
        ids.join(" ")
    }
}

/// What is wrong with the values of a form, by the names of its fields.
#[derive(Debug, Default)]
pub struct Errors(Vec<(&'static str, String)>);

impl Errors {
    /// The value, or a note of the rule it breaks.
    pub fn check<T>(&mut self, field: &'static str, value: Result<T, Invalid>) -> Option<T> {
        value.map_err(|rule| self.add(field, rule.0)).ok()
    }

    pub fn add(&mut self, field: &'static str, rule: impl Into<String>) {
        self.0.push((field, rule.into()));
    }

    fn of(&self, field: &str) -> Option<String> {
        let found = self.0.iter().find(|(name, _)| *name == field);
        found.map(|(_, rule)| rule.clone())
    }
}

/// A browser ends the lines of a text area with CR LF (HTML, "constructing the entry list"); the store has LF.
pub fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_names_what_explains_it() {
        let mut errors = Errors::default();
        assert_eq!(errors.check("title", Err::<(), _>(Invalid("is bad"))), None);
        assert_eq!(errors.check("slug", Ok::<_, Invalid>(1)), Some(1));
        let title = Field::new("title", "Title", "").value("x").error(&errors);
        assert_eq!(title.error.as_deref(), Some("is bad"));
        assert_eq!(title.described_by(), "title-error");
        let slug = Field::new("slug", "Address", "A hint").error(&errors);
        assert_eq!(slug.described_by(), "slug-hint");
        assert_eq!(
            slug.theirs(Some("y")).described_by(),
            "slug-hint slug-theirs"
        );
        assert_eq!(
            title.theirs(Some("x")).theirs,
            None,
            "the same value is no news"
        );
    }
}
