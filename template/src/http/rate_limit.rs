//! How often one client may ask, and what it is told of that.
//!
//! Pages and assets in memory are answered before this layer, and do not count: to send one costs less than to refuse it.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use validator::Validate;

use super::client_address::ClientAddress;
use super::number;
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
    /// Whether there is a limit for each client and user; those of single features stay.
    pub enabled: bool,
    /// What each may ask in a `window`, for as long as it likes.
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
    /// `None` if there is no limit.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        let quota = Quota::new(self.requests, self.window).burst(self.burst);
        self.enabled.then_some(quota)
    }
}

/// Counts a request. Health is for everybody, and a visit from inside has no client.
///
/// # Errors
/// If the client asks too often.
pub(super) async fn check(
    limiter: Option<&RateLimiter>,
    client: Option<ClientAddress>,
    path: &str,
) -> Result<Option<Standing>, Exceeded> {
    let (Some(limiter), Some(client), false) = (limiter, client, super::is_health(path)) else {
        return Ok(None);
    };
    let standing = limiter.check(client.ip).await?;
    // Browsers make nothing of the headers, and pages in memory do not have them.
    Ok(super::is_api(path).then_some(standing))
}

impl Standing {
    /// What a narrower limit has said before stays.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        if headers.contains_key(&LIMIT) {
            return;
        }
        headers.insert(LIMIT, number::header(self.limit.into()));
        headers.insert(REMAINING, number::header(self.remaining.into()));
        headers.insert(RESET, number::header(seconds(self.full_in).into()));
    }
}

impl IntoResponse for Exceeded {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
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
            .standing(exceeded.standing)
    }
}
