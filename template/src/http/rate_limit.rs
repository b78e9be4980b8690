//! How often one client may ask: the layer around the routes, and what it tells of quotas.
//!
//! Pages and assets in memory are answered before this layer, and do not count: to send one costs less than to refuse it.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use validator::Validate;

use super::client_address::ClientAddress;
use super::problem::{Kind, Problem};
pub use crate::infra::rate_limit::{Exceeded, Key, Quota, RateLimiter, RateLimits, Standing};
use crate::settings::some_time;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// `[rate_limit]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSettings {
    /// Whether there is a limit for each client; those of single features stay.
    pub enabled: bool,
    /// What a client may ask in a `window`, for as long as it likes.
    #[validate(range(min = 1, message = "must be at least 1"))]
    pub requests: u32,
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub window: Duration,
    /// What it may ask at once.
    #[validate(range(min = 1, message = "must be at least 1"))]
    pub burst: u32,
}

impl RateLimitSettings {
    pub(super) fn quota(&self) -> Option<Quota> {
        let quota = Quota::new(self.requests, self.window).burst(self.burst);
        self.enabled.then_some(quota)
    }
}

/// Refuses a client that asks too often. Health is for everybody; a visit from inside has no client.
pub(super) async fn refuse(
    State(limiter): State<RateLimiter>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let client = request.extensions().get::<ClientAddress>();
    let Some(client) = client.filter(|_| !super::is_health(path)) else {
        return next.run(request).await;
    };
    // Browsers make nothing of the headers, and pages in memory do not have them.
    let is_told = super::is_api(path);
    match limiter.check(client.ip).await {
        Ok(standing) => {
            let mut response = next.run(request).await;
            if is_told {
                tell(standing, response.headers_mut());
            }
            response
        }
        Err(exceeded) => {
            let mut response = Problem::from(exceeded).into_response();
            tell(exceeded.standing, response.headers_mut());
            response
        }
    }
}

fn tell(standing: Standing, headers: &mut HeaderMap) {
    headers.insert(LIMIT, HeaderValue::from(standing.limit));
    headers.insert(REMAINING, HeaderValue::from(standing.remaining));
    headers.insert(RESET, HeaderValue::from(seconds(standing.full_in)));
}

/// Rounded up: a client that comes back then is not too early.
fn seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        let seconds = seconds(exceeded.retry_after).max(1);
        Self::new(Kind::RateLimited)
            .detail(format!("Try again in {seconds} s."))
            .retry_after_seconds(seconds)
    }
}
