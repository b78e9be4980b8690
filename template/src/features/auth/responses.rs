//! What the routes of accounts may answer besides what they are for, as the OpenAPI document says it.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi, RefOr, Response};

use crate::http::responses::problems;

type Responses = BTreeMap<String, RefOr<Response>>;

/// Of a route that wants to know who asks.
pub struct Guarded;

/// Of a route that may be tried only so often.
pub struct Limited;

impl Guarded {
    pub fn all() -> Responses {
        problems(&[
            ("401", "Sign in first, or again"),
            ("403", "This account may not"),
        ])
    }
}

impl IntoResponses for Guarded {
    fn responses() -> Responses {
        Self::all()
    }
}

impl IntoResponses for Limited {
    fn responses() -> Responses {
        problems(&[
            ("429", "Too many tries; `Retry-After` says how long to wait"),
            ("503", "Too many passwords are being checked"),
        ])
    }
}

/// Either of the two will do.
pub fn requirements() -> Vec<SecurityRequirement> {
    let none: [&str; 0] = [];
    ["bearer", "session"]
        .map(|scheme| SecurityRequirement::new(scheme, none))
        .into()
}

/// Neither is needed, and either shows more.
pub fn optional_requirements() -> Vec<SecurityRequirement> {
    let mut requirements = requirements();
    requirements.insert(0, SecurityRequirement::default());
    requirements
}

/// Tells the document by what callers are known.
pub fn add_security_schemes(document: &mut OpenApi) {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    let session = ApiKey::Cookie(ApiKeyValue::new("__Host-session"));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("session", SecurityScheme::ApiKey(session));
}
