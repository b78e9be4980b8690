//! One's own account: the name, the password, and where one is signed in.

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use super::{AccountPages, Button, FormPage, Input, Owner, mended, see};
use crate::features::auth::domain::{Email, Name};
use crate::features::auth::sessions::Caller;
use crate::features::auth::storage::Session;
use crate::features::pages::flash::Notice;
use crate::features::pages::form::{Errors, WithForms};
use crate::features::pages::head::Head;
use crate::http::Problem;
use crate::http::extract::{Form, Path};

#[derive(Template)]
#[template(path = "account/show.html")]
struct AccountPage {
    head: Head,
    form_token: String,
    email: String,
    role: &'static str,
    name: Input,
    current_password: Input,
    new_password: Input,
    sessions: Vec<SessionLine>,
}

struct SessionLine {
    id: Uuid,
    agent: String,
    is_current: bool,
    seen: String,
}

impl SessionLine {
    fn new(session: Session, caller: &Caller) -> Self {
        let agent = match session.agent {
            agent if agent.is_empty() => "An unnamed program".to_owned(),
            agent => agent,
        };
        Self {
            id: session.id,
            agent,
            is_current: session.id == caller.session,
            seen: session.seen_at.format("%-d %B %Y, %H:%M UTC").to_string(),
        }
    }
}

impl WithForms for AccountPage {
    fn head(&mut self) -> &mut Head {
        &mut self.head
    }

    fn form_token(&mut self) -> &mut String {
        &mut self.form_token
    }
}

impl AccountPages {
    async fn account_page(
        &self,
        caller: &Caller,
        name: &str,
        errors: &Errors,
    ) -> Result<AccountPage, Problem> {
        let sessions = self.auth.sessions.list(caller.user.id).await?;
        let lines = sessions
            .into_iter()
            .map(|session| SessionLine::new(session, caller));
        Ok(AccountPage {
            head: Head::new("Your account", "Your account.").not_indexed(),
            form_token: String::new(),
            email: caller.user.email.to_string(),
            role: caller.user.role.as_str(),
            name: Input::name(name, errors),
            current_password: Input::password("current_password", "Current password", errors),
            new_password: Input::new_password("new_password", "New password", errors),
            sessions: lines.collect(),
        })
    }
}

pub async fn show(
    State(pages): State<AccountPages>,
    Owner(caller): Owner,
    request: Parts,
) -> Result<Response, Problem> {
    let name = caller.user.name.as_str();
    let page = pages
        .account_page(&caller, name, &Errors::default())
        .await?;
    pages.show(&request, page).await
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct NameForm {
    name: String,
}

pub async fn rename(
    State(pages): State<AccountPages>,
    Owner(caller): Owner,
    request: Parts,
    Form(form): Form<NameForm>,
) -> Result<Response, Problem> {
    let mut errors = Errors::default();
    let Some(name) = errors.check("name", Name::parse(&form.name)) else {
        let page = pages.account_page(&caller, &form.name, &errors).await?;
        return pages.show_refused(&request, page).await;
    };
    pages.auth.accounts.rename(caller.user.id, &name).await?;
    Ok(see(&request, "/account", Some(Notice::AccountSaved), None))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PasswordForm {
    current_password: String,
    new_password: String,
}

pub async fn change_password(
    State(pages): State<AccountPages>,
    Owner(caller): Owner,
    request: Parts,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Problem> {
    let (current, new) = (&form.current_password, &form.new_password);
    match pages
        .auth
        .accounts
        .change_password(&caller, current, new)
        .await
    {
        Ok(()) => Ok(see(
            &request,
            "/account",
            Some(Notice::PasswordChanged),
            None,
        )),
        Err(error) => {
            let (errors, _) = mended(error)?;
            let page = pages
                .account_page(&caller, caller.user.name.as_str(), &errors)
                .await?;
            pages.show_refused(&request, page).await
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct EmailForm {
    email: String,
    current_password: String,
}

fn email_page(email: &str, errors: &Errors) -> FormPage {
    let lead = "A mail with a link goes there. Until you open it, the old address stays, which is told of it too.";
    FormPage::new(
        "Change the address",
        lead,
        "/account/email",
        "Send the mail",
    )
    .inputs([
        Input::email(email, errors),
        Input::password("current_password", "Current password", errors),
    ])
    .links([("/account", "Leave it as it is")])
}

pub async fn show_email(
    State(pages): State<AccountPages>,
    Owner(_): Owner,
    request: Parts,
) -> Result<Response, Problem> {
    let page = email_page("", &Errors::default());
    pages.show(&request, page).await
}

pub async fn change_email(
    State(pages): State<AccountPages>,
    Owner(caller): Owner,
    request: Parts,
    Form(form): Form<EmailForm>,
) -> Result<Response, Problem> {
    let mut errors = Errors::default();
    if let Some(email) = errors.check("email", Email::parse(&form.email)) {
        let accounts = &pages.auth.accounts;
        let password = &form.current_password;
        match accounts.change_email(&caller, email, password).await {
            Ok(()) => return Ok(see(&request, "/account", Some(Notice::MoveMailed), None)),
            Err(error) => (errors, _) = mended(error)?,
        }
    }
    let page = email_page(&form.email, &errors);
    pages.show_refused(&request, page).await
}

pub async fn end_session(
    State(pages): State<AccountPages>,
    Owner(caller): Owner,
    Path(id): Path<Uuid>,
    request: Parts,
    Form(Button {}): Form<Button>,
) -> Result<Response, Problem> {
    pages.auth.sessions.end(caller.user.id, id).await?;
    Ok(see(&request, "/account", Some(Notice::SessionEnded), None))
}
