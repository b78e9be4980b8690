//! The kinds of problem: for each its name, its status and its title.

use axum::http::StatusCode;

/// The kinds of problem there are; clients tell them apart by `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Malformed,
    Unauthenticated,
    InvalidCredentials,
    TokenExpired,
    TokenInvalid,
    Forbidden,
    AccountInactive,
    CrossSite,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    Conflict,
    PreconditionFailed,
    BodyTooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    Invalid,
    RateLimited,
    Internal,
    Unavailable,
    Overloaded,
    Timeout,
}

impl Kind {
    pub(super) const ALL: [Self; 23] = [
        Self::Malformed,
        Self::Unauthenticated,
        Self::InvalidCredentials,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::Forbidden,
        Self::AccountInactive,
        Self::CrossSite,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::RangeNotSatisfiable,
        Self::Invalid,
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
        Self::Overloaded,
        Self::Timeout,
    ];

    /// The last part of `type`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::InvalidCredentials => "invalid-credentials",
            Self::TokenExpired => "token-expired",
            Self::TokenInvalid => "token-invalid",
            Self::Forbidden => "forbidden",
            Self::AccountInactive => "account-inactive",
            Self::CrossSite => "csrf",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NotAcceptable => "not-acceptable",
            Self::RequestTimeout | Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition-failed",
            Self::BodyTooLarge => "body-too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::RangeNotSatisfiable => "range-not-satisfiable",
            Self::Invalid => "invalid",
            Self::RateLimited => "rate-limited",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
        }
    }

    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated
            | Self::InvalidCredentials
            | Self::TokenExpired
            | Self::TokenInvalid => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::AccountInactive | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request cannot be read",
            Self::Unauthenticated => "Authentication is required",
            Self::InvalidCredentials => "The e-mail address or the password is wrong",
            Self::TokenExpired => "The token has expired",
            Self::TokenInvalid => "The token is not valid",
            Self::Forbidden => "Not permitted",
            Self::AccountInactive => "The account is not active",
            Self::CrossSite => "Sent from another site",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::NotAcceptable => "No acceptable form",
            Self::RequestTimeout => "The request took too long to arrive",
            Self::Conflict => "Conflict",
            Self::PreconditionFailed => "It has changed since",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::RangeNotSatisfiable => "The range lies behind the end",
            Self::Invalid => "Some values are not valid",
            Self::RateLimited => "Too many requests",
            Self::Internal => "Something went wrong",
            Self::Unavailable => "Temporarily unavailable",
            Self::Overloaded => "Too busy at the moment",
            Self::Timeout => "The answer took too long",
        }
    }

    /// How to authenticate, which every 401 has to say (RFC 9110, section 15.5.2; RFC 6750, section 3).
    pub(super) fn challenge(self) -> Option<&'static str> {
        match self {
            Self::TokenExpired | Self::TokenInvalid => Some("Bearer error=\"invalid_token\""),
            Self::Unauthenticated | Self::InvalidCredentials => Some("Bearer"),
            _ => None,
        }
    }

    /// For an error answer that some layer gave without saying more.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let fallback = if status.is_server_error() {
            Self::Internal
        } else {
            Self::Malformed
        };
        Self::ALL
            .into_iter()
            .find(|kind| kind.status() == status)
            .unwrap_or(fallback)
    }
}
