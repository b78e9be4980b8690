//! The name of one request, the same in its logs, its answer and the services it came through.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request id as sent: up to 128 letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Anything else could forge log lines.
    fn from_client(value: &HeaderValue) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let good = (1..=128).contains(&value.len()) && value.as_bytes().iter().all(allowed);
        good.then(|| Self(value.clone()))
    }

    fn generate() -> Self {
        let id = Uuid::now_v7().to_string();
        Self(HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }
}

/// Keeps a good id that came in, makes one otherwise, and sends it back.
pub(super) async fn assign(mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(HEADER)
        .and_then(RequestId::from_client);
    let id = id.unwrap_or_else(RequestId::generate);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(HEADER, id.0);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_ids_are_kept() {
        let kept =
            |id: &[u8]| RequestId::from_client(&HeaderValue::from_bytes(id).unwrap()).is_some();
        assert!(kept(b"abc-DEF_1.2"));
        assert!(kept(&[b'a'; 128]));
        for bad in [&b""[..], b"a b", b"a\"b", b"\xff", &[b'a'; 129]] {
            assert!(!kept(bad));
        }
    }
}
