//! What a request says, as far as it matters for pages.

use axum::http::{HeaderMap, HeaderValue, Method};

use super::encoding::Accepted;

/// Read in one pass over the headers: to look each of these up would take as long as the rest of the way of a page in
/// memory.
#[derive(Clone, Copy)]
pub(in crate::http) struct Asked<'a> {
    pub method: &'a Method,
    /// Without the query.
    pub path: &'a str,
    pub headers: &'a HeaderMap,
    pub authorization: Option<&'a HeaderValue>,
    pub cookie: Option<&'a HeaderValue>,
    pub range: Option<&'a HeaderValue>,
    pub request_id: Option<&'a HeaderValue>,
    pub user_agent: Option<&'a HeaderValue>,
    /// Whether there is an `If-None-Match` or `If-Modified-Since`.
    pub has_conditions: bool,
    pub accepted: Accepted,
}

impl<'a> Asked<'a> {
    pub fn of(method: &'a Method, path: &'a str, headers: &'a HeaderMap) -> Self {
        let mut asked = Self {
            method,
            path,
            headers,
            authorization: None,
            cookie: None,
            range: None,
            request_id: None,
            user_agent: None,
            has_conditions: false,
            accepted: Accepted::SILENT,
        };
        let mut says_encodings = false;
        for (name, value) in headers {
            match name.as_str() {
                "accept-encoding" => says_encodings = true,
                "authorization" => asked.authorization = Some(value),
                "cookie" => asked.cookie = Some(value),
                "if-modified-since" | "if-none-match" => asked.has_conditions = true,
                "range" => asked.range = Some(value),
                "user-agent" => asked.user_agent = Some(value),
                "x-request-id" => asked.request_id = Some(value),
                _ => {}
            }
        }
        if says_encodings {
            // Once: it reads all lines of them, of which there may be many.
            asked.accepted = Accepted::of(headers);
        }
        asked
    }

    /// Whether a page that everybody may see is the answer, as it stands in memory.
    pub fn is_plain(&self) -> bool {
        matches!(*self.method, Method::GET | Method::HEAD)
            && self.authorization.is_none()
            && self.range.is_none()
    }
}
