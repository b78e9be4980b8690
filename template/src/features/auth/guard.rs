//! Who may pass: what a handler asks for in its arguments.

use std::marker::PhantomData;
use std::net::IpAddr;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue};

use super::Auth;
use super::domain::Permission;
use super::error::AuthError;
use super::sessions::Caller;
use crate::http::csrf;
use crate::http::{ClientAddress, Problem};
use crate::telemetry;

/// A permission in the type of a handler's argument.
pub trait Needs {
    const PERMISSION: Permission;
}

/// Reading and changing what others have accounts for.
pub struct ManageUsers;

impl Needs for ManageUsers {
    const PERMISSION: Permission = Permission::ManageUsers;
}

/// Whoever is signed in.
pub struct SignedIn(pub Caller);

/// Whoever is signed in and may do what `N` says.
pub struct Require<N> {
    pub caller: Caller,
    needs: PhantomData<N>,
}

impl<S> FromRequestParts<S> for SignedIn
where
    Auth: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let auth = Auth::from_ref(state);
        Ok(Self(auth.caller(&parts.headers, &parts.extensions).await?))
    }
}

impl<N, S> FromRequestParts<S> for Require<N>
where
    N: Needs,
    Auth: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let SignedIn(caller) = SignedIn::from_request_parts(parts, state).await?;
        let caller = permitted(caller, N::PERMISSION)?;
        Ok(Self {
            caller,
            needs: PhantomData,
        })
    }
}

/// Where a request comes from, as far as it says.
pub struct Visitor {
    pub ip: IpAddr,
    pub agent: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let client = ClientAddress::from_request_parts(parts, state).await?;
        let agent = parts.headers.get(USER_AGENT);
        Ok(Self {
            ip: client.ip,
            agent: agent
                .map_or("", |agent| agent.to_str().unwrap_or_default())
                .to_owned(),
        })
    }
}

pub(super) fn permitted(caller: Caller, permission: Permission) -> Result<Caller, AuthError> {
    if caller.user.role.may(permission) {
        Ok(caller)
    } else {
        Err(AuthError::Forbidden)
    }
}

impl Caller {
    /// Notes who it is for what comes after. The tokens of forms are from then on those of this session.
    pub(super) fn enter(self, extensions: &mut Extensions) {
        let session = self.session.to_string();
        extensions.insert(csrf::Session(session.into()));
        extensions.insert(self);
    }
}

impl Auth {
    /// Who sends a request with these headers: by an access token or, without one, by a cookie. Counts it for them.
    pub(super) async fn caller(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Caller, AuthError> {
        // A fence on the way here has asked already.
        if let Some(caller) = extensions.get::<Caller>() {
            return Ok(caller.clone());
        }
        let caller = self.find(headers).await?;
        let user = caller.user.id.to_string();
        telemetry::set_user(&user);
        if let Some(limiter) = &self.limiter {
            let taken = limiter.check(user.as_str()).await;
            taken.map_err(AuthError::TooMany)?;
        }
        Ok(caller)
    }

    async fn find(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            let token = bearer(value).ok_or(AuthError::TokenInvalid)?;
            return self.sessions.of_access_token(token).await;
        }
        let cookie = self
            .cookie
            .find(headers)
            .ok_or(AuthError::Unauthenticated)?;
        self.sessions.of_cookie(&cookie).await
    }
}

/// The token of `Bearer <token>` (RFC 6750, section 2.1).
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}
