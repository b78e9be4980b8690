//! Which other sites' scripts may use the API (the CORS protocol of <https://fetch.spec.whatwg.org>): none by default.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, COOKIE, ETAG, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LINK, LOCATION, ORIGIN, RETRY_AFTER,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};
use validator::{Validate, ValidationError};

use super::{request_id, server};
use crate::settings::limited;

/// Everybody.
const ANY: &str = "*";

/// `[cors]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[validate(schema(function = not_everybody_with_credentials))]
pub struct CorsSettings {
    /// Sites like `https://app.example.com`, or `*` alone for all of them.
    #[validate(custom(function = origins))]
    pub allow_origins: Vec<String>,
    /// Whether browsers send cookies along.
    pub allow_credentials: bool,
    /// How long a browser remembers what it may do.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub max_age: Duration,
}

fn origins(origins: &[String]) -> Result<(), ValidationError> {
    let is_good = |origin: &String| origin == ANY || server::an_origin(origin).is_ok();
    let is_mixed = origins.len() > 1 && origins.iter().any(|origin| origin == ANY);
    if origins.iter().all(is_good) && !is_mixed {
        return Ok(());
    }
    let rule = r#"must be sites like "https://app.example.com", or "*" alone"#;
    Err(ValidationError::new("origins").with_message(rule.into()))
}

/// Every site could act for a visitor who is logged in here.
fn not_everybody_with_credentials(settings: &CorsSettings) -> Result<(), ValidationError> {
    if settings.allow_credentials && settings.allow_origins.iter().any(|origin| origin == ANY) {
        let rule = r#"must list its origins instead of "*", or not allow credentials"#;
        return Err(ValidationError::new("credentials").with_message(rule.into()));
    }
    Ok(())
}

/// What the settings allow. A cheap handle.
#[derive(Clone)]
pub(super) struct Cors {
    /// `None`: all.
    origins: Option<Vec<HeaderValue>>,
    layer: CorsLayer,
}

impl Cors {
    /// `None` if nobody is allowed.
    pub fn of(settings: &CorsSettings) -> Option<Self> {
        let listed = settings.allow_origins.iter();
        let listed: Vec<_> = listed
            .filter_map(|origin| {
                let origin = origin.trim_end_matches('/').to_ascii_lowercase();
                HeaderValue::try_from(origin).ok()
            })
            .collect();
        let origins = match settings.allow_origins.as_slice() {
            [] => return None,
            [origin] if origin == ANY => None,
            _ => Some(listed),
        };
        let allowed = match origins.clone() {
            None => AllowOrigin::any(),
            Some(origins) => AllowOrigin::list(origins),
        };
        let limit = ["limit", "remaining", "reset"].map(|name| format!("x-ratelimit-{name}"));
        let told = limit
            .iter()
            .filter_map(|name| name.parse::<HeaderName>().ok());
        let told = told.chain([ETAG, LINK, LOCATION, RETRY_AFTER, request_id::HEADER]);
        let layer = CorsLayer::new()
            .allow_origin(allowed)
            .allow_credentials(settings.allow_credentials)
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                IF_MATCH,
                IF_MODIFIED_SINCE,
                IF_NONE_MATCH,
                request_id::HEADER,
            ])
            .expose_headers(told.collect::<Vec<_>>())
            .max_age(settings.max_age)
            .vary([ORIGIN]);
        Some(Self { origins, layer })
    }

    /// Whether `request` is one that the settings let another site send. Everybody may, but not with a visitor's cookies.
    pub fn allows(&self, request: &Request) -> bool {
        let headers = request.headers();
        let is_allowed = match (&self.origins, headers.get(ORIGIN)) {
            (_, None) => false,
            (None, Some(_)) => !headers.contains_key(COOKIE),
            (Some(origins), Some(origin)) => origins.contains(origin),
        };
        is_allowed && super::is_api(request.uri().path())
    }

    /// Answers, and tells browsers that they may show another site what the API says; pages are not touched. Also says
    /// whether the browser has only asked if it may ask.
    pub async fn share<F>(
        &self,
        request: Request,
        answer: impl Fn(Request) -> F,
    ) -> (Response, bool)
    where
        F: Future<Output = Response>,
    {
        let is_options = request.method() == Method::OPTIONS;
        let asked = ACCESS_CONTROL_REQUEST_METHOD;
        let is_preflight = is_options && request.headers().contains_key(asked);
        // To the layer every OPTIONS is a preflight.
        if !super::is_api(request.uri().path()) || is_options && !is_preflight {
            return (answer(request).await, false);
        }
        let service = service_fn(|request| answer(request).map(Ok::<_, Infallible>));
        let Ok(mut response) = self.layer.layer(service).oneshot(request).await;
        if is_preflight {
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        (response, is_preflight)
    }
}
