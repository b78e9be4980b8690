//! What can go wrong with an account, and the problem each becomes.

use crate::domain::error::{Invalid, StoreError};
use crate::http::rate_limit::Exceeded;
use crate::http::{FieldError, Kind, Problem};

#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("sign in first")]
    Unauthenticated,
    #[error("the e-mail address or the password is wrong")]
    InvalidCredentials,
    /// With the right password, so this tells nobody else anything.
    #[error("confirm the address first: open the link in the mail we have sent")]
    Unverified,
    #[error("the account is switched off")]
    Inactive,
    #[error("the access token has expired")]
    TokenExpired,
    #[error("the token is not valid")]
    TokenInvalid,
    #[error("the account may not do this")]
    Forbidden,
    #[error("the link has been used, replaced by another, or is too old")]
    LinkInvalid,
    #[error("there is no such thing")]
    NotFound,
    /// A value that the caller can mend, by its name.
    #[error("{0} {1}")]
    Wrong(&'static str, Invalid),
    #[error("too many tries")]
    TooMany(Exceeded),
    #[error("too many passwords are being checked")]
    Busy,
    #[error("internal")]
    Broken(anyhow::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthError {
    /// For the person who reads it.
    pub fn sentence(&self) -> String {
        let text = self.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).chain(['.']).collect()
    }

    /// Why somebody may not see something: never that the server could not find out.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TokenExpired => Kind::TokenExpired,
            Self::TokenInvalid => Kind::TokenInvalid,
            Self::Forbidden => Kind::Forbidden,
            _ => Kind::Unauthenticated,
        }
    }

    /// For the metric: a fixed, short list.
    pub fn label(&self) -> &'static str {
        match self {
            Self::InvalidCredentials => "invalid",
            Self::Unverified => "unverified",
            Self::Inactive => "inactive",
            Self::TooMany(_) => "limited",
            Self::TokenExpired | Self::TokenInvalid => "token",
            _ => "error",
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let detail = error.sentence();
        match error {
            AuthError::Unauthenticated => Problem::new(Kind::Unauthenticated).detail(detail),
            AuthError::InvalidCredentials => Problem::new(Kind::InvalidCredentials).detail(detail),
            AuthError::Unverified | AuthError::Inactive => {
                Problem::new(Kind::AccountInactive).detail(detail)
            }
            AuthError::TokenExpired => Problem::new(Kind::TokenExpired).detail(detail),
            AuthError::TokenInvalid => Problem::new(Kind::TokenInvalid).detail(detail),
            AuthError::Forbidden => Problem::new(Kind::Forbidden).detail(detail),
            AuthError::LinkInvalid => Problem::invalid(vec![FieldError::new("/token", detail)]),
            AuthError::NotFound => Problem::new(Kind::NotFound),
            AuthError::Wrong(field, rule) => {
                Problem::invalid(vec![FieldError::new(format!("/{field}"), rule.to_string())])
            }
            AuthError::TooMany(exceeded) => exceeded.into(),
            AuthError::Busy => Problem::new(Kind::Overloaded).retry_after_seconds(1),
            AuthError::Broken(cause) => Problem::new(Kind::Internal).cause(cause),
            AuthError::Store(error) => error.into(),
        }
    }
}
