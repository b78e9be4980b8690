//! The name of one request, the same in its logs, its answer and the services it came through.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request id as sent: up to 128 letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// A good id that came in is kept; without one the request gets its own.
    pub(super) fn of(sent: Option<&HeaderValue>) -> Self {
        let kept = sent.and_then(Self::from_client);
        kept.unwrap_or_else(Self::generate)
    }

    /// Adds it to an answer. A finished page has the place for it in front of all others, where it is found quicker than
    /// by its name.
    pub(super) fn name(self, answer: &mut HeaderMap) {
        match answer.iter_mut().next() {
            Some((name, value)) if *name == HEADER => *value = self.0,
            _ => {
                answer.insert(HEADER, self.0);
            }
        }
    }

    /// Anything else could forge log lines.
    fn from_client(value: &HeaderValue) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let good = (1..=128).contains(&value.len()) && value.as_bytes().iter().all(allowed);
        good.then(|| Self(value.clone()))
    }

    /// The name of this process, random, and the number of the request. It is unique and no secret: who has seen one can
    /// guess the next.
    fn generate() -> Self {
        static PROCESS: LazyLock<[u8; 16]> =
            LazyLock::new(|| hexadecimal(RandomState::new().build_hasher().finish()));
        static REQUESTS: AtomicU64 = AtomicU64::new(0);
        let mut id = [0; 32];
        let (process, request) = id.split_at_mut(16);
        process.copy_from_slice(&*PROCESS);
        request.copy_from_slice(&hexadecimal(REQUESTS.fetch_add(1, Ordering::Relaxed)));
        Self(HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }
}

fn hexadecimal(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        let value = (number >> (4 * place)) & 15;
        *digit = b"0123456789abcdef"[value as usize];
    }
    digits
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

    #[test]
    fn every_request_without_an_id_gets_another() {
        let ids: Vec<_> = (0..100).map(|_| RequestId::of(None)).collect();
        for (n, id) in ids.iter().enumerate() {
            let id = id.as_str();
            assert!(
                id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{id}"
            );
            assert!(ids[..n].iter().all(|other| other.as_str() != id));
        }
    }

    #[test]
    fn numbers_are_written_in_hexadecimal() {
        assert_eq!(&hexadecimal(0x0123_4567_89ab_cdef), b"0123456789abcdef");
    }
}
