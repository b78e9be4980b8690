//! The way in and out: to sign in, to sign out, and to ask for an account.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;

use super::{AccountPages, Button, FormPage, Input, Owner, mended, own_path, see};
use crate::features::auth::accounts::Registration;
use crate::features::auth::domain::{Email, Name, Password};
use crate::features::auth::guard::Visitor;
use crate::features::pages::flash::Notice;
use crate::features::pages::form::Errors;
use crate::http::Problem;
use crate::http::extract::{Form, Query};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Next {
    /// Where to go once signed in.
    next: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Login {
    email: String,
    password: String,
    next: String,
}

fn login_page(email: &str, next: &str, errors: &Errors) -> FormPage {
    FormPage::new(
        "Sign in",
        "With the address and the password of your account.",
        "/login",
        "Sign in",
    )
    .inputs([
        Input::email(email, errors),
        Input::password("password", "Password", errors),
    ])
    .hidden("next", own_path(next))
    .links([
        ("/register", "Ask for an account"),
        ("/forgot", "Forgotten the password?"),
    ])
}

pub async fn show_login(
    State(pages): State<AccountPages>,
    Query(Next { next }): Query<Next>,
    request: Parts,
) -> Result<Response, Problem> {
    pages
        .show(&request, login_page("", &next, &Errors::default()))
        .await
}

pub async fn log_in(
    State(pages): State<AccountPages>,
    visitor: Visitor,
    request: Parts,
    Form(form): Form<Login>,
) -> Result<Response, Problem> {
    let auth = &pages.auth;
    let user = match auth
        .accounts
        .authenticate(&form.email, &form.password, visitor.ip)
        .await
    {
        Ok(user) => user,
        Err(error) => {
            let (errors, failure) = mended(error)?;
            let page = login_page(&form.email, &form.next, &errors).failure(failure);
            return pages.show_refused(&request, page).await;
        }
    };
    let cookie = pages.sign_in(&request, &visitor, user.id).await?;
    Ok(see(&request, own_path(&form.next), None, Some(cookie)))
}

/// Whether or not somebody is signed in: afterwards nobody is.
pub async fn log_out(
    State(pages): State<AccountPages>,
    owner: Result<Owner, Response>,
    request: Parts,
    form: Result<Form<Button>, Problem>,
) -> Result<Response, Problem> {
    let auth = &pages.auth;
    if let Ok(Owner(caller)) = owner {
        form?;
        auth.sessions.end(caller.user.id, caller.session).await?;
    }
    let cookie = auth.cookie.forget();
    Ok(see(
        &request,
        "/login",
        Some(Notice::SignedOut),
        Some(cookie),
    ))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RegistrationForm {
    email: String,
    name: String,
    password: String,
}

impl RegistrationForm {
    fn registration(&self) -> Result<Registration, Errors> {
        let mut errors = Errors::default();
        let email = errors.check("email", Email::parse(&self.email));
        let name = errors.check("name", Name::parse(&self.name));
        let (Some(email), Some(name)) = (email, name) else {
            return Err(errors);
        };
        match errors.check("password", Password::parse(&self.password, &email, &name)) {
            Some(password) => Ok(Registration {
                email,
                name,
                password,
            }),
            None => Err(errors),
        }
    }
}

fn registration_page(form: &RegistrationForm, errors: &Errors) -> FormPage {
    FormPage::new(
        "Ask for an account",
        "A mail follows, to confirm your address.",
        "/register",
        "Register",
    )
    .inputs([
        Input::email(&form.email, errors),
        Input::name(&form.name, errors),
        Input::new_password("password", "Password", errors),
    ])
    .links([("/login", "Sign in with the account you have")])
}

pub async fn show_registration(
    State(pages): State<AccountPages>,
    request: Parts,
) -> Result<Response, Problem> {
    let page = registration_page(&RegistrationForm::default(), &Errors::default());
    pages.show(&request, page).await
}

pub async fn register(
    State(pages): State<AccountPages>,
    visitor: Visitor,
    request: Parts,
    Form(form): Form<RegistrationForm>,
) -> Result<Response, Problem> {
    match form.registration() {
        Ok(new) => {
            pages.auth.accounts.register(new, visitor.ip).await?;
            Ok(see(&request, "/login", Some(Notice::Registered), None))
        }
        Err(errors) => {
            pages
                .show_refused(&request, registration_page(&form, &errors))
                .await
        }
    }
}
