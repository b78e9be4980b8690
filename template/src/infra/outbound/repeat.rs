//! Which calls may be made again, and when.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderName, RETRY_AFTER};
use reqwest::{Method, Request, Response, StatusCode};

/// With it the other service recognises a request that it has had before.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether doing it twice is as good as once (RFC 9110, section 9.2.2).
pub(super) fn may_repeat(request: &Request) -> bool {
    matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    ) || request.headers().contains_key(IDEMPOTENCY_KEY)
}

/// Whether another attempt may end better. Where no connection was made, nothing was sent that could happen twice.
pub(super) fn is_worth_it(result: &reqwest::Result<Response>, may_repeat: bool) -> bool {
    match result {
        Ok(response) => may_repeat && is_temporary(response.status()),
        Err(error) if super::guard::has_refused(error) => false,
        Err(error) if error.is_connect() => true,
        Err(error) => may_repeat && (error.is_timeout() || error.is_request()),
    }
}

fn is_temporary(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// How long the other service wants to be left alone: seconds, or until a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    parse(value, SystemTime::now())
}

fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 02 Jan 2026 03:04:05 GMT").unwrap();
        let seconds = |value| parse(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("Fri, 02 Jan 2026 03:05:05 GMT"), Some(60));
        assert_eq!(seconds("Fri, 02 Jan 2026 03:00:00 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1"), None);
    }

    #[test]
    fn what_changes_something_is_sent_once_unless_it_carries_a_key() {
        let request = |method| Request::new(method, "https://example.com".parse().unwrap());
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            assert!(may_repeat(&request(method)));
        }
        for method in [Method::POST, Method::PATCH] {
            let mut request = request(method);
            assert!(!may_repeat(&request));
            let key = reqwest::header::HeaderValue::from_static("one");
            request.headers_mut().insert(IDEMPOTENCY_KEY, key);
            assert!(may_repeat(&request));
        }
    }
}
