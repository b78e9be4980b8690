//! Accounts as a JSON API: `/api/v1/auth/…` to get in, `/api/v1/users/…` once inside.

mod documents;
mod users;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::documents::{
    Credentials, EmailBody, RefreshBody, RegistrationBody, ResetBody, TokenDocument, VerifyBody,
};
use super::Auth;
use super::guard::{SignedIn, Visitor};
use super::responses::{Guarded, Limited, add_security_schemes};
use super::token::Token;
use crate::http::Problem;
use crate::http::extract::Json;
use crate::http::problem::ProblemDocument;
use crate::http::responses::WithBody;

pub fn routes(auth: Auth) -> OpenApiRouter {
    let router = OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(verify_email))
        .routes(routes!(log_in))
        .routes(routes!(log_in_browser))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(forgot_password))
        .routes(routes!(reset_password));
    let router = router.merge(users::routes()).with_state(auth);
    let mut router = router.route_layer(map_response(keep_nowhere));
    add_security_schemes(router.get_openapi_mut());
    router
}

/// Answers hold secrets (RFC 6749, section 5.1), or tell who somebody is.
async fn keep_nowhere(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// Asks for an account
///
/// A mail follows, with a link that confirms the address. The answer does not tell whether there is an account already;
/// the mail does.
#[utoipa::path(
    post, path = "/auth/register", tag = "accounts", request_body = RegistrationBody,
    responses((status = 202, description = "A mail is on its way"), WithBody, Limited)
)]
async fn register(
    State(auth): State<Auth>,
    visitor: Visitor,
    Json(body): Json<RegistrationBody>,
) -> Result<StatusCode, Problem> {
    auth.accounts.register(body.try_into()?, visitor.ip).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Confirms an address
///
/// With the password too, so that nobody's click confirms an account that somebody else has asked for.
#[utoipa::path(
    post, path = "/auth/verify", tag = "accounts", request_body = VerifyBody,
    responses((status = 204, description = "It is confirmed"), WithBody, Limited)
)]
async fn verify_email(
    State(auth): State<Auth>,
    Json(body): Json<VerifyBody>,
) -> Result<StatusCode, Problem> {
    auth.accounts
        .verify(&Token::shown(&body.token), &body.password)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs a program in
#[utoipa::path(
    post, path = "/auth/login", tag = "accounts", request_body = Credentials,
    responses(
        (status = 200, description = "An access token and a refresh token", body = TokenDocument),
        (status = 401, description = "The address or the password is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The address is not confirmed, or the account is switched off", body = ProblemDocument, content_type = "application/problem+json"),
        WithBody, Limited,
    )
)]
async fn log_in(
    State(auth): State<Auth>,
    visitor: Visitor,
    Json(body): Json<Credentials>,
) -> Result<axum::Json<TokenDocument>, Problem> {
    let user = auth
        .accounts
        .authenticate(&body.email, &body.password, visitor.ip)
        .await?;
    let tokens = auth
        .sessions
        .open_for_program(user.id, &visitor.agent)
        .await?;
    Ok(axum::Json(tokens.into()))
}

/// Signs a browser in
///
/// For applications that run in one: they get a cookie that no script can read, instead of tokens.
#[utoipa::path(
    post, path = "/auth/session", tag = "accounts", request_body = Credentials,
    responses(
        (status = 204, description = "Signed in", headers(("Set-Cookie" = String, description = "The session"))),
        (status = 401, description = "The address or the password is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The address is not confirmed, or the account is switched off", body = ProblemDocument, content_type = "application/problem+json"),
        WithBody, Limited,
    )
)]
async fn log_in_browser(
    State(auth): State<Auth>,
    visitor: Visitor,
    headers: HeaderMap,
    Json(body): Json<Credentials>,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1]), Problem> {
    let user = auth
        .accounts
        .authenticate(&body.email, &body.password, visitor.ip)
        .await?;
    let before = auth.cookie.find(&headers);
    let token = auth
        .sessions
        .open_for_browser(user.id, &visitor.agent, before.as_ref())
        .await?;
    let cookie = auth.cookie.set(&token, auth.sessions.ttl());
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]))
}

/// Gives the next pair of tokens
///
/// A refresh token works once. Used again, it ends the session: somebody has a copy.
#[utoipa::path(
    post, path = "/auth/refresh", tag = "accounts", request_body = RefreshBody,
    responses((status = 200, description = "The next pair", body = TokenDocument), Guarded, WithBody)
)]
async fn refresh(
    State(auth): State<Auth>,
    Json(body): Json<RefreshBody>,
) -> Result<axum::Json<TokenDocument>, Problem> {
    let tokens = auth
        .sessions
        .refresh(&Token::shown(&body.refresh_token))
        .await?;
    Ok(axum::Json(tokens.into()))
}

/// Ends the session that asks
#[utoipa::path(
    post, path = "/auth/logout", tag = "accounts", security(("bearer" = []), ("session" = [])),
    responses((status = 204, description = "Signed out"), Guarded)
)]
async fn log_out(
    State(auth): State<Auth>,
    SignedIn(caller): SignedIn,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1]), Problem> {
    auth.sessions.end(caller.user.id, caller.session).await?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, auth.cookie.forget())]))
}

/// Sends a link to set another password
///
/// If there is an account with this address; the answer does not tell.
#[utoipa::path(
    post, path = "/auth/forgot", tag = "accounts", request_body = EmailBody,
    responses((status = 202, description = "If there is an account, a mail is on its way"), WithBody, Limited)
)]
async fn forgot_password(
    State(auth): State<Auth>,
    visitor: Visitor,
    Json(body): Json<EmailBody>,
) -> Result<StatusCode, Problem> {
    auth.accounts.forgot(body.email()?, visitor.ip).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Sets another password
///
/// And ends all sessions.
#[utoipa::path(
    post, path = "/auth/reset", tag = "accounts", request_body = ResetBody,
    responses((status = 204, description = "It is set"), WithBody, Limited)
)]
async fn reset_password(
    State(auth): State<Auth>,
    Json(body): Json<ResetBody>,
) -> Result<StatusCode, Problem> {
    auth.accounts
        .reset(&Token::shown(&body.token), &body.password)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
