//! What mails lead to: an address is confirmed, a password is set. Opening a link changes nothing, its button does:
//! programs that look into mails for harm open links too.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;

use super::{AccountPages, FormPage, Input, mended, see};
use crate::features::auth::domain::Email;
use crate::features::auth::guard::Visitor;
use crate::features::auth::token::Token;
use crate::features::pages::flash::Notice;
use crate::features::pages::form::Errors;
use crate::http::Problem;
use crate::http::extract::{Form, Query};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Link {
    token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct VerifyForm {
    token: String,
    password: String,
}

fn verify_page(token: &str, errors: &Errors) -> FormPage {
    FormPage::new(
        "Confirm your address",
        "With the password of the account, to show that it was you who asked for it.",
        "/verify",
        "Confirm",
    )
    .inputs([Input::password("password", "Password", errors)])
    .hidden("token", token)
    .links([("/register", "Register again"), ("/login", "Sign in")])
}

pub async fn show_verify(
    State(pages): State<AccountPages>,
    Query(link): Query<Link>,
    request: Parts,
) -> Result<Response, Problem> {
    pages
        .show(&request, verify_page(&link.token, &Errors::default()))
        .await
}

pub async fn verify(
    State(pages): State<AccountPages>,
    visitor: Visitor,
    request: Parts,
    Form(form): Form<VerifyForm>,
) -> Result<Response, Problem> {
    let accounts = &pages.auth.accounts;
    let token = Token::shown(&form.token);
    match accounts.verify(&token, &form.password).await {
        Ok(user) => {
            let cookie = pages.sign_in(&request, &visitor, user).await?;
            Ok(see(
                &request,
                "/account",
                Some(Notice::Verified),
                Some(cookie),
            ))
        }
        Err(error) => {
            let (errors, failure) = mended(error)?;
            let page = verify_page(&form.token, &errors).failure(failure);
            pages.show_refused(&request, page).await
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ForgotForm {
    email: String,
}

fn forgot_page(email: &str, errors: &Errors) -> FormPage {
    let lead = "A mail with a link to set another one goes to the address of your account.";
    FormPage::new("Forgotten the password?", lead, "/forgot", "Send the mail")
        .inputs([Input::email(email, errors)])
        .links([("/login", "Sign in")])
}

pub async fn show_forgot(
    State(pages): State<AccountPages>,
    request: Parts,
) -> Result<Response, Problem> {
    pages
        .show(&request, forgot_page("", &Errors::default()))
        .await
}

pub async fn forgot(
    State(pages): State<AccountPages>,
    visitor: Visitor,
    request: Parts,
    Form(form): Form<ForgotForm>,
) -> Result<Response, Problem> {
    let mut errors = Errors::default();
    match errors.check("email", Email::parse(&form.email)) {
        Some(email) => {
            pages.auth.accounts.forgot(email, visitor.ip).await?;
            Ok(see(&request, "/login", Some(Notice::ResetMailed), None))
        }
        None => {
            pages
                .show_refused(&request, forgot_page(&form.email, &errors))
                .await
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ResetForm {
    token: String,
    password: String,
}

fn reset_page(token: &str, errors: &Errors) -> FormPage {
    let lead = "You will be signed out everywhere.";
    FormPage::new("Set another password", lead, "/reset", "Set it")
        .inputs([Input::new_password("password", "New password", errors)])
        .hidden("token", token)
        .links([("/forgot", "Ask for another mail")])
}

pub async fn show_reset(
    State(pages): State<AccountPages>,
    Query(link): Query<Link>,
    request: Parts,
) -> Result<Response, Problem> {
    pages
        .show(&request, reset_page(&link.token, &Errors::default()))
        .await
}

pub async fn reset(
    State(pages): State<AccountPages>,
    request: Parts,
    Form(form): Form<ResetForm>,
) -> Result<Response, Problem> {
    let done = pages
        .auth
        .accounts
        .reset(&Token::shown(&form.token), &form.password)
        .await;
    match done {
        Ok(()) => Ok(see(&request, "/login", Some(Notice::PasswordChanged), None)),
        Err(error) => {
            let (errors, failure) = mended(error)?;
            let page = reset_page(&form.token, &errors).failure(failure);
            pages.show_refused(&request, page).await
        }
    }
}
