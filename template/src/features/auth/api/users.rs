//! What users see and change of themselves, and administrators of others.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::documents::{
    AccessBody, ChangePasswordBody, ProfileBody, SessionDocument, SessionList, UserDocument,
    UserList,
};
use crate::features::auth::Auth;
use crate::features::auth::accounts::PER_PAGE;
use crate::features::auth::guard::{ManageUsers, Require, SignedIn};
use crate::features::auth::responses::{Guarded, Limited};
use crate::http::Problem;
use crate::http::extract::{Json, Path, Query};
use crate::http::problem::ProblemDocument;
use crate::http::responses::WithBody;

pub fn routes() -> OpenApiRouter<Auth> {
    OpenApiRouter::new()
        .routes(routes!(get_me, update_me))
        .routes(routes!(change_my_password))
        .routes(routes!(list_my_sessions, end_my_other_sessions))
        .routes(routes!(end_my_session))
        .routes(routes!(list_users))
        .routes(routes!(update_user))
}

/// Who asks
#[utoipa::path(
    get, path = "/users/me", tag = "accounts", security(("bearer" = []), ("session" = [])),
    responses((status = 200, description = "The user", body = UserDocument), Guarded)
)]
async fn get_me(SignedIn(caller): SignedIn) -> axum::Json<UserDocument> {
    axum::Json(caller.user.into())
}

/// Changes who asks
///
/// Another address takes the current password, and counts when the link is opened that is mailed there; the old one is told.
#[utoipa::path(
    patch, path = "/users/me", tag = "accounts", request_body = ProfileBody,
    security(("bearer" = []), ("session" = [])),
    responses((status = 200, description = "The user", body = UserDocument), Guarded, WithBody, Limited)
)]
async fn update_me(
    State(auth): State<Auth>,
    SignedIn(caller): SignedIn,
    Json(body): Json<ProfileBody>,
) -> Result<axum::Json<UserDocument>, Problem> {
    let (name, email) = (body.name()?, body.email()?);
    if let Some((email, password)) = email {
        auth.accounts.change_email(&caller, email, password).await?;
    }
    let user = match name {
        Some(name) => auth.accounts.rename(caller.user.id, &name).await?,
        None => caller.user,
    };
    Ok(axum::Json(user.into()))
}

/// Changes the password
///
/// And ends all other sessions.
#[utoipa::path(
    put, path = "/users/me/password", tag = "accounts", request_body = ChangePasswordBody,
    security(("bearer" = []), ("session" = [])),
    responses((status = 204, description = "It is changed"), Guarded, WithBody, Limited)
)]
async fn change_my_password(
    State(auth): State<Auth>,
    SignedIn(caller): SignedIn,
    Json(body): Json<ChangePasswordBody>,
) -> Result<StatusCode, Problem> {
    let (current, new) = (&body.current_password, &body.new_password);
    auth.accounts.change_password(&caller, current, new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where one is signed in
#[utoipa::path(
    get, path = "/users/me/sessions", tag = "accounts", security(("bearer" = []), ("session" = [])),
    responses((status = 200, description = "The sessions, the last used first", body = SessionList), Guarded)
)]
async fn list_my_sessions(
    State(auth): State<Auth>,
    SignedIn(caller): SignedIn,
) -> Result<axum::Json<SessionList>, Problem> {
    let sessions = auth.sessions.list(caller.user.id).await?;
    let items = sessions
        .into_iter()
        .map(|session| SessionDocument::new(session, &caller));
    Ok(axum::Json(SessionList {
        items: items.collect(),
    }))
}

/// Ends all sessions but the one that asks
#[utoipa::path(
    delete, path = "/users/me/sessions", tag = "accounts", security(("bearer" = []), ("session" = [])),
    responses((status = 204, description = "They are ended"), Guarded)
)]
async fn end_my_other_sessions(
    State(auth): State<Auth>,
    SignedIn(caller): SignedIn,
) -> Result<StatusCode, Problem> {
    auth.sessions
        .end_all(caller.user.id, Some(caller.session))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a session
#[utoipa::path(
    delete, path = "/users/me/sessions/{id}", tag = "accounts", params(("id" = Uuid, Path)),
    security(("bearer" = []), ("session" = [])),
    responses(
        (status = 204, description = "It is ended"),
        (status = 404, description = "There is no such session", body = ProblemDocument, content_type = "application/problem+json"),
        Guarded,
    )
)]
async fn end_my_session(
    State(auth): State<Auth>,
    SignedIn(caller): SignedIn,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    auth.sessions.end(caller.user.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// The `next` of the page before.
    after: Option<Uuid>,
}

/// The users
///
/// In the order they came; for administrators. Follow `next` to go on.
#[utoipa::path(
    get, path = "/users", tag = "accounts", params(ListParams), security(("bearer" = []), ("session" = [])),
    responses(
        (status = 200, description = "One page of the list", body = UserList),
        (status = 400, description = "The request cannot be read", body = ProblemDocument, content_type = "application/problem+json"),
        Guarded,
    )
)]
async fn list_users(
    State(auth): State<Auth>,
    _: Require<ManageUsers>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<UserList>, Problem> {
    let users = auth.accounts.list(params.after).await?;
    let is_full = users.len() == usize::from(PER_PAGE);
    let next = users.last().filter(|_| is_full).map(|user| user.id);
    let items = users.into_iter().map(UserDocument::from).collect();
    Ok(axum::Json(UserList { items, next }))
}

/// Decides what a user may do
///
/// For administrators, about everybody but themselves.
#[utoipa::path(
    patch, path = "/users/{id}", tag = "accounts", request_body = AccessBody, params(("id" = Uuid, Path)),
    security(("bearer" = []), ("session" = [])),
    responses(
        (status = 200, description = "The user", body = UserDocument),
        (status = 404, description = "There is no such user", body = ProblemDocument, content_type = "application/problem+json"),
        Guarded, WithBody,
    )
)]
async fn update_user(
    State(auth): State<Auth>,
    Require { caller, .. }: Require<ManageUsers>,
    Path(id): Path<Uuid>,
    Json(body): Json<AccessBody>,
) -> Result<axum::Json<UserDocument>, Problem> {
    let user = auth
        .accounts
        .set_access(&caller, id, body.role()?, body.is_active)
        .await?;
    Ok(axum::Json(user.into()))
}
