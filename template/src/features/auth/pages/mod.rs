//! Accounts as pages: forms to get in and out, the account itself, and the way there for who meets a fence.

// Macros are known only to what stands below them.
include!(concat!(env!("OUT_DIR"), "/assets/macros.rs"));

mod account;
mod doors;
mod fence;
mod mailed;

use askama::Template;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

pub use self::fence::{administrators_only, fence};
use super::Auth;
use super::domain::UserId;
use super::error::AuthError;
use super::guard::Visitor;
use super::sessions::Caller;
use crate::component::Routes;
use crate::features::pages::flash::Notice;
use crate::features::pages::form::{Errors, Field, WithForms, page_for};
use crate::features::pages::head::Head;
use crate::http::csrf::Csrf;
use crate::http::page_cache::PageCache;
use crate::http::{Problem, is_https};
use crate::platform::Platform;

pub fn routes(auth: Auth, platform: &Platform) -> Routes {
    let state = AccountPages {
        auth,
        pages: platform.pages.clone(),
        csrf: platform.csrf.clone(),
    };
    Routes::new()
        .get("/login", doors::show_login)
        .post("/login", doors::log_in)
        .post("/logout", doors::log_out)
        .get("/register", doors::show_registration)
        .post("/register", doors::register)
        .get("/forgot", mailed::show_forgot)
        .post("/forgot", mailed::forgot)
        .get("/reset", mailed::show_reset)
        .post("/reset", mailed::reset)
        .get("/verify", mailed::show_verify)
        .post("/verify", mailed::verify)
        .get("/account", account::show)
        .post("/account", account::rename)
        .post("/account/password", account::change_password)
        .get("/account/email", account::show_email)
        .post("/account/email", account::change_email)
        .post("/account/sessions/{id}/end", account::end_session)
        .with_state(state)
}

#[derive(Clone)]
struct AccountPages {
    auth: Auth,
    pages: PageCache,
    csrf: Csrf,
}

impl FromRef<AccountPages> for Csrf {
    fn from_ref(pages: &AccountPages) -> Self {
        pages.csrf.clone()
    }
}

/// Whose account it is. Who is not signed in is led to where one can be.
///
/// Stands before the form among the arguments of a handler: whose token that must carry is known only then.
struct Owner(Caller);

impl FromRequestParts<AccountPages> for Owner {
    type Rejection = Response;

    async fn from_request_parts(
        request: &mut Parts,
        pages: &AccountPages,
    ) -> Result<Self, Response> {
        let caller = pages.auth.caller(&request.headers, &request.extensions);
        match caller.await {
            Ok(caller) => {
                caller.clone().enter(&mut request.extensions);
                Ok(Self(caller))
            }
            Err(AuthError::Unauthenticated) => {
                Err(see(request, "/login?next=/account", None, None))
            }
            Err(error) => Err(Problem::from(error).into_response()),
        }
    }
}

/// A form without a field: a button.
#[derive(Deserialize)]
struct Button {}

/// A page that is one form: a few fields and a button.
#[derive(Template)]
#[template(path = "account/form.html")]
struct FormPage {
    head: Head,
    form_token: String,
    lead: &'static str,
    /// What is wrong as a whole.
    failure: Option<String>,
    inputs: Vec<Input>,
    /// Names and values that are sent along.
    hidden: Vec<(&'static str, String)>,
    action: &'static str,
    button: &'static str,
    links: Vec<(&'static str, &'static str)>,
}

struct Input {
    field: Field,
    attributes: &'static str,
}

impl Input {
    fn email(value: &str, errors: &Errors) -> Self {
        let field = Field::new("email", "E-mail address", "");
        Self {
            field: field.value(value).error(errors),
            attributes: "type=\"email\" autocomplete=\"username\" required",
        }
    }

    fn name(value: &str, errors: &Errors) -> Self {
        let field = Field::new("name", "Name", "What to call you.");
        Self {
            field: field.value(value).error(errors),
            attributes: "autocomplete=\"name\" required",
        }
    }

    /// What was typed is never sent back.
    fn password(name: &'static str, label: &'static str, errors: &Errors) -> Self {
        Self {
            field: Field::new(name, label, "").error(errors),
            attributes: "type=\"password\" autocomplete=\"current-password\" required",
        }
    }

    fn new_password(name: &'static str, label: &'static str, errors: &Errors) -> Self {
        let field = Field::new(name, label, "12 characters or more; a few words will do.");
        Self {
            field: field.error(errors),
            attributes: "type=\"password\" autocomplete=\"new-password\" required",
        }
    }
}

impl FormPage {
    fn new(title: &str, lead: &'static str, action: &'static str, button: &'static str) -> Self {
        Self {
            head: Head::new(title, lead).not_indexed(),
            form_token: String::new(),
            lead,
            failure: None,
            inputs: Vec::new(),
            hidden: Vec::new(),
            action,
            button,
            links: Vec::new(),
        }
    }

    fn inputs(mut self, inputs: impl Into<Vec<Input>>) -> Self {
        self.inputs = inputs.into();
        self
    }

    fn links(mut self, links: impl Into<Vec<(&'static str, &'static str)>>) -> Self {
        self.links = links.into();
        self
    }

    fn hidden(mut self, name: &'static str, value: &str) -> Self {
        self.hidden.push((name, value.to_owned()));
        self
    }

    fn failure(mut self, failure: Option<String>) -> Self {
        self.failure = failure;
        self
    }
}

impl WithForms for FormPage {
    fn head(&mut self) -> &mut Head {
        &mut self.head
    }

    fn form_token(&mut self) -> &mut String {
        &mut self.form_token
    }
}

impl AccountPages {
    /// Opens a session in place of the one that the browser may have; the cookie that holds it.
    async fn sign_in(
        &self,
        request: &Parts,
        visitor: &Visitor,
        user: UserId,
    ) -> Result<HeaderValue, Problem> {
        let auth = &self.auth;
        let before = auth.cookie.find(&request.headers);
        let token = auth
            .sessions
            .open_for_browser(user, &visitor.agent, before.as_ref())
            .await?;
        Ok(auth.cookie.set(&token, auth.sessions.ttl()))
    }

    async fn show(&self, request: &Parts, page: impl WithForms) -> Result<Response, Problem> {
        self.show_with(request, page, StatusCode::OK).await
    }

    async fn show_refused(
        &self,
        request: &Parts,
        page: impl WithForms,
    ) -> Result<Response, Problem> {
        self.show_with(request, page, StatusCode::UNPROCESSABLE_ENTITY)
            .await
    }

    async fn show_with(
        &self,
        request: &Parts,
        page: impl WithForms,
        status: StatusCode,
    ) -> Result<Response, Problem> {
        let page = page_for(request, &self.csrf, page)?.status(status);
        let mut response = self.pages.answer_one(request, page).await?;
        // The address may hold a token, which is nobody else's business.
        response.headers_mut().insert(REFERRER_POLICY, NO_REFERRER);
        Ok(response)
    }
}

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// What can be mended in the form: what is wrong with its fields, or with the whole. Anything else is a problem.
fn mended(error: AuthError) -> Result<(Errors, Option<String>), Problem> {
    let mut errors = Errors::default();
    match error {
        AuthError::Wrong(field, rule) => {
            errors.add(field, rule.0);
            Ok((errors, None))
        }
        AuthError::InvalidCredentials
        | AuthError::Unverified
        | AuthError::Inactive
        | AuthError::LinkInvalid => Ok((errors, Some(error.sentence()))),
        other => Err(other.into()),
    }
}

/// Leads the browser to `path`, which shows `notice`.
fn see(
    request: &Parts,
    path: &str,
    notice: Option<Notice>,
    cookie: Option<HeaderValue>,
) -> Response {
    let is_https = is_https(&request.extensions);
    let notice = notice.map(|notice| notice.cookie(is_https));
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = (StatusCode::SEE_OTHER, headers).into_response();
    for cookie in notice.into_iter().chain(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// A path of this site, and not the address of another that looks like one.
fn own_path(next: &str) -> &str {
    let is_own = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|c: char| c == '\\' || c.is_ascii_control());
    if is_own { next } else { "/account" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_site_is_gone_on_to() {
        for path in ["/", "/articles/new", "/?tag=a&after=b"] {
            assert_eq!(own_path(path), path);
        }
        for other in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_path(other), "/account", "{other}");
        }
    }
}
