//! The form of an article: from what a browser sends to content the domain accepts, and back into the fields.

use askama::Template;
use serde::Deserialize;

use super::article_url;
use crate::domain::articles::{
    Article, ArticleContent, Markdown, Slug, Status, Summary, Tag, Tags, Title, Version,
};
use crate::domain::error::Invalid;
use crate::features::pages::form::{Errors, Field, unix_lines};
use crate::features::pages::head::Head;

/// What the form sends: text as it was written. What is not sent is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ArticleForm {
    title: String,
    slug: String,
    summary: String,
    body: String,
    /// Separated by spaces or commas.
    tags: String,
    status: String,
    /// The one the writer has seen; absent for a new article.
    pub version: Option<Version>,
}

impl From<&Article> for ArticleForm {
    fn from(article: &Article) -> Self {
        let tags: Vec<&str> = article.tags.iter().map(Tag::as_str).collect();
        Self {
            title: article.title.to_string(),
            slug: article.slug.to_string(),
            summary: article.summary.to_string(),
            body: article.body.as_str().to_owned(),
            tags: tags.join(" "),
            status: article.status.as_str().to_owned(),
            version: Some(article.version),
        }
    }
}

impl ArticleForm {
    /// The form as it is opened for a new article.
    pub fn empty() -> Self {
        Self {
            status: Status::Draft.as_str().to_owned(),
            ..Self::default()
        }
    }

    /// What the writer decided, or everything that is wrong with it.
    pub fn content(&self) -> Result<ArticleContent, Errors> {
        let mut errors = Errors::default();
        let slug = Some(self.slug.trim()).filter(|slug| !slug.is_empty());
        let slug = errors.check("slug", slug.map(Slug::parse).transpose());
        let title = errors.check("title", Title::parse(&self.title));
        let summary = errors.check("summary", Summary::parse(&self.summary));
        let body = errors.check("body", Markdown::parse(&unix_lines(&self.body)));
        let tags = errors.check("tags", parse_tags(&self.tags));
        let status = errors.check("status", Status::parse(&self.status));
        let (Some(slug), Some(title), Some(summary), Some(body), Some(tags), Some(status)) =
            (slug, title, summary, body, tags, status)
        else {
            return Err(errors);
        };
        Ok(ArticleContent {
            slug,
            title,
            summary,
            body,
            tags,
            status,
        })
    }
}

fn parse_tags(text: &str) -> Result<Tags, Invalid> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    let tags = words.filter(|word| !word.is_empty()).map(Tag::parse);
    Tags::new(tags.collect::<Result<_, _>>()?)
}

/// An article that is not published.
struct Draft {
    title: String,
    url: String,
}

/// The page with the form.
#[derive(Template)]
#[template(path = "articles/edit.html")]
pub(super) struct EditPage {
    pub head: Head,
    pub form_token: String,
    heading: String,
    /// Where it is sent to.
    action: String,
    /// Where giving up leads.
    back: String,
    delete: Option<String>,
    version: Option<Version>,
    has_changed: bool,
    /// Others that wait to be finished.
    drafts: Vec<Draft>,
    title: Field,
    slug: Field,
    summary: Field,
    body: Field,
    tags: Field,
    status: Field,
}

impl EditPage {
    pub fn of_new(form: &ArticleForm, errors: &Errors) -> Self {
        let head = Head::new("New article", "Write a new article.");
        Self {
            action: "/articles/new".to_owned(),
            back: "/".to_owned(),
            ..Self::new(head, form, errors, None)
        }
    }

    /// Leads to `drafts`, which no page lists: visitors must not see them.
    pub fn beside(mut self, drafts: &[Article]) -> Self {
        let draft = |article: &Article| Draft {
            title: article.title.to_string(),
            url: format!("{}/edit", article_url(&article.slug)),
        };
        self.drafts = drafts.iter().map(draft).collect();
        self
    }

    pub fn of(article: &Article, form: &ArticleForm, errors: &Errors) -> Self {
        Self::of_stored(article, form, errors, None)
    }

    /// Somebody else was faster: shows what `article` is now beside what the writer wants. Sent again, it replaces that.
    pub fn of_changed(article: &Article, form: &ArticleForm) -> Self {
        let form = ArticleForm {
            body: unix_lines(&form.body),
            version: Some(article.version),
            ..form.clone()
        };
        let now = ArticleForm::from(article);
        Self::of_stored(article, &form, &Errors::default(), Some(&now))
    }

    fn of_stored(
        article: &Article,
        form: &ArticleForm,
        errors: &Errors,
        now: Option<&ArticleForm>,
    ) -> Self {
        let head = Head::new(format!("Edit {}", article.title), "Change this article.");
        let url = article_url(&article.slug);
        Self {
            action: format!("{url}/edit"),
            delete: Some(format!("{url}/delete")),
            back: if article.is_published() {
                url
            } else {
                "/".to_owned()
            },
            ..Self::new(head, form, errors, now)
        }
    }

    fn new(head: Head, form: &ArticleForm, errors: &Errors, now: Option<&ArticleForm>) -> Self {
        let field = |name, label, hint, get: fn(&ArticleForm) -> &str| {
            let field = Field::new(name, label, hint).value(get(form)).error(errors);
            field.theirs(now.map(get))
        };
        Self {
            heading: head.title.clone(),
            head: head.not_indexed(),
            form_token: String::new(),
            action: String::new(),
            back: String::new(),
            delete: None,
            version: form.version,
            has_changed: now.is_some(),
            drafts: Vec::new(),
            title: field("title", "Title", "", |form| &form.title),
            slug: field(
                "slug",
                "Address",
                "Lowercase words joined by hyphens. Left empty, it is made from the title.",
                |form| &form.slug,
            ),
            summary: field(
                "summary",
                "Summary",
                "One or two sentences for the list and for search engines.",
                |form| &form.summary,
            ),
            body: field("body", "Text", "Markdown.", |form| &form.body),
            tags: field(
                "tags",
                "Tags",
                "Up to ten, separated by spaces or commas.",
                |form| &form.tags,
            ),
            status: field("status", "Status", "", |form| &form.status),
        }
    }

    /// What is wrong, in the order of the form.
    fn wrong(&self) -> Vec<&Field> {
        let fields = [
            &self.title,
            &self.slug,
            &self.summary,
            &self.body,
            &self.tags,
            &self.status,
        ];
        fields
            .into_iter()
            .filter(|field| field.error.is_some())
            .collect()
    }
}
