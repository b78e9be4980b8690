//! What is particular to the API: it answers in JSON, and nobody is sent again what they have.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use super::accept;
use super::page_cache::conditions::known_tag;
use super::problem::Problem;

/// Where its routes are.
pub const PREFIX: &str = "/api/v1";

/// Where the document about it is.
pub const DOCUMENT: &str = "/api/openapi.json";

/// Where the page is that shows the document, and what belongs to the page.
pub const VIEWER: &str = "/api/docs";

/// What a request to the API says of its answer.
pub(super) struct Wishes {
    /// The versions that the client has, as `If-None-Match` names them.
    known: HeaderMap,
}

impl Wishes {
    /// `None` if it is not the API that is asked.
    ///
    /// # Errors
    /// If the client can do nothing with JSON.
    pub fn of(request: &Request) -> Result<Option<Self>, Problem> {
        let below = request.uri().path().strip_prefix(PREFIX);
        if !below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Ok(None);
        }
        accept::only_json(request.headers())?;
        let mut known = HeaderMap::new();
        if request.method().is_safe() {
            for tags in request.headers().get_all(IF_NONE_MATCH) {
                known.append(IF_NONE_MATCH, tags.clone());
            }
        }
        Ok(Some(Self { known }))
    }

    pub fn heed(&self, response: &mut Response) {
        self.spare_the_body(response);
        // What the API says changes, and with who asks: without a word, caches would guess how long it is good for (RFC 9111,
        // section 4.2.2).
        let anew = HeaderValue::from_static("private, no-cache");
        response.headers_mut().entry(CACHE_CONTROL).or_insert(anew);
    }

    /// Who has the version that is there gets no body again (RFC 9110, section 13.1.2).
    fn spare_the_body(&self, response: &mut Response) {
        let tag = response.headers().get(ETAG);
        let tag = tag.and_then(|tag| Some([tag.to_str().ok()?]));
        let has_it = tag.is_some_and(|tag| known_tag(&self.known, &tag, 0).is_some());
        if has_it && response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
            for of_the_body in [CONTENT_TYPE, CONTENT_LENGTH] {
                response.headers_mut().remove(of_the_body);
            }
        }
    }
}
