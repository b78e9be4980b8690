//! Writing articles in a browser: a form each for a new one and a change, and a question before one is deleted.
//!
//! What is sent is answered with a redirect (post/redirect/get), so that a reload sends nothing twice; what cannot be
//! taken, with the form as it was filled in. Nothing here is cached.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::form::{ArticleForm, EditPage};
use super::{ArticlePages, article_url, no_such_page};
use crate::domain::articles::{Article, ArticleError, ArticleQuery, Slug, Status, Version};
use crate::features::pages::flash::Notice;
use crate::features::pages::form::{Errors, WithForms, page_for};
use crate::features::pages::head::Head;
use crate::http::extract::{Form, Path};
use crate::http::{Problem, is_https};

/// Drafts that the form of a new article offers to go on with, the newest first.
const DRAFTS: u8 = 20;

pub(super) async fn new_article(
    State(pages): State<ArticlePages>,
    request: Parts,
) -> Result<Response, Problem> {
    let query = ArticleQuery {
        status: Some(Status::Draft),
        ..ArticleQuery::published(DRAFTS)
    };
    let drafts = pages.articles.list(&query).await?;
    let page = EditPage::of_new(&ArticleForm::empty(), &Errors::default()).beside(&drafts.items);
    pages.show(&request, page, StatusCode::OK).await
}

pub(super) async fn create_article(
    State(pages): State<ArticlePages>,
    request: Parts,
    Form(form): Form<ArticleForm>,
) -> Result<Response, Problem> {
    let refused = match form.content() {
        Ok(content) => pages.articles.create(content).await.map_err(field_errors),
        Err(errors) => Err(Ok(errors)),
    };
    match refused {
        Ok(article) => Ok(saved(&request, &article)),
        Err(errors) => {
            let page = EditPage::of_new(&form, &errors?);
            pages
                .show(&request, page, StatusCode::UNPROCESSABLE_ENTITY)
                .await
        }
    }
}

pub(super) async fn edit_article(
    State(pages): State<ArticlePages>,
    Path(slug): Path<String>,
    request: Parts,
) -> Result<Response, Problem> {
    let article = pages.find(&slug).await?;
    let page = EditPage::of(&article, &ArticleForm::from(&article), &Errors::default());
    pages.show(&request, page, StatusCode::OK).await
}

pub(super) async fn update_article(
    State(pages): State<ArticlePages>,
    Path(slug): Path<String>,
    request: Parts,
    Form(form): Form<ArticleForm>,
) -> Result<Response, Problem> {
    let article = pages.find(&slug).await?;
    let content = match form.content() {
        Ok(content) => content,
        Err(errors) => {
            let page = EditPage::of(&article, &form, &errors);
            return pages
                .show(&request, page, StatusCode::UNPROCESSABLE_ENTITY)
                .await;
        }
    };
    // Without a version it is none of our forms, and must not overwrite anything unseen.
    let expected = Some(form.version.unwrap_or_default());
    match pages.articles.update(article.id, content, expected).await {
        Ok(article) => Ok(saved(&request, &article)),
        Err(ArticleError::Changed { .. }) => {
            let page = EditPage::of_changed(&pages.articles.get(article.id).await?, &form);
            pages.show(&request, page, StatusCode::CONFLICT).await
        }
        Err(error) => {
            let page = EditPage::of(&article, &form, &field_errors(error)?);
            pages
                .show(&request, page, StatusCode::UNPROCESSABLE_ENTITY)
                .await
        }
    }
}

/// The question before an article is deleted.
#[derive(Template)]
#[template(path = "articles/delete.html")]
struct DeletePage {
    head: Head,
    form_token: String,
    title: String,
    url: String,
    version: Version,
    has_changed: bool,
}

impl DeletePage {
    fn of(article: &Article, has_changed: bool) -> Self {
        let head = Head::new(format!("Delete {}", article.title), "Delete this article.");
        Self {
            head: head.not_indexed(),
            form_token: String::new(),
            title: article.title.to_string(),
            url: article_url(&article.slug),
            version: article.version,
            has_changed,
        }
    }
}

pub(super) async fn ask_to_delete_article(
    State(pages): State<ArticlePages>,
    Path(slug): Path<String>,
    request: Parts,
) -> Result<Response, Problem> {
    let page = DeletePage::of(&pages.find(&slug).await?, false);
    pages.show(&request, page, StatusCode::OK).await
}

#[derive(Deserialize)]
pub(super) struct Confirmation {
    version: Version,
}

pub(super) async fn delete_article(
    State(pages): State<ArticlePages>,
    Path(slug): Path<String>,
    request: Parts,
    Form(Confirmation { version }): Form<Confirmation>,
) -> Result<Response, Problem> {
    let article = pages.find(&slug).await?;
    match pages.articles.delete(article.id, Some(version)).await {
        Ok(()) => Ok(see(&request, "/", Notice::Deleted)),
        Err(ArticleError::Changed { .. }) => {
            let page = DeletePage::of(&pages.articles.get(article.id).await?, true);
            pages.show(&request, page, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

impl ArticlePages {
    async fn find(&self, slug: &str) -> Result<Article, Problem> {
        let slug = Slug::exactly(slug).map_err(no_such_page)?;
        Ok(self.articles.get_for_writing(&slug).await?)
    }

    async fn show(
        &self,
        request: &Parts,
        page: impl WithForms,
        status: StatusCode,
    ) -> Result<Response, Problem> {
        let page = page_for(request, &self.csrf, page)?.status(status);
        self.pages.answer_one(request, page).await
    }
}

impl WithForms for EditPage {
    fn head(&mut self) -> &mut Head {
        &mut self.head
    }

    fn form_token(&mut self) -> &mut String {
        &mut self.form_token
    }
}

impl WithForms for DeletePage {
    fn head(&mut self) -> &mut Head {
        &mut self.head
    }

    fn form_token(&mut self) -> &mut String {
        &mut self.form_token
    }
}

/// What the writer can mend in a form; anything else is a problem.
fn field_errors(error: ArticleError) -> Result<Errors, Problem> {
    let mut errors = Errors::default();
    match error {
        ArticleError::SlugTaken(_) => errors.add("slug", "is taken by another article"),
        ArticleError::NoSlug(rule) => errors.add("slug", rule.0),
        other => return Err(other.into()),
    }
    Ok(errors)
}

/// A published article is shown; a draft has no page, so the form is.
fn saved(request: &Parts, article: &Article) -> Response {
    let url = article_url(&article.slug);
    if article.is_published() {
        see(request, &url, Notice::Published)
    } else {
        see(request, &format!("{url}/edit"), Notice::SavedAsDraft)
    }
}

/// Leads the browser to a page that says what was done.
fn see(request: &Parts, path: &str, notice: Notice) -> Response {
    let headers = [
        (LOCATION, path.to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    let cookie = [(SET_COOKIE, notice.cookie(is_https(&request.extensions)))];
    (StatusCode::SEE_OTHER, headers, cookie).into_response()
}
