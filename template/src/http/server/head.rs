//! The head of an HTTP/1 request, read only as far as it takes to know where the request ends and whether it is a plain one.

use std::mem::MaybeUninit;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use httparse::{Header, Request, Status};

/// Requests with more headers are left to hyper.
const MOST: usize = 64;

/// Digits of a length that is counted along; what to make of more is left to hyper.
const LONGEST_NUMBER: usize = 15;

/// Room for the headers of a request while it is looked at.
pub(super) type Room<'a> = [MaybeUninit<Header<'a>>; MOST];

pub(super) fn room<'a>() -> Room<'a> {
    [const { MaybeUninit::uninit() }; MOST]
}

/// A request for something, without a body, a range, credentials, or a wish about its connection.
pub struct Plain<'a> {
    /// `GET` or `HEAD`.
    pub method: Method,
    /// Path and query, as they were sent.
    pub target: &'a str,
    fields: &'a [Header<'a>],
}

impl Plain<'_> {
    /// As hyper has them; none if one of them is not as it may be.
    #[must_use]
    pub fn headers(&self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for field in self.fields {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
        }
        Some(headers)
    }
}

/// What the beginning of a message says of the message.
pub(super) struct Head<'a> {
    /// Bytes of the whole message, head and body.
    pub length: u64,
    pub plain: Option<Plain<'a>>,
}

impl<'a> Head<'a> {
    /// Reads what comes after the end of another message. `None`: it is not whole, or hyper alone is to say where it ends.
    pub fn read(bytes: &'a [u8], room: &'a mut Room<'a>) -> Option<Self> {
        let mut request = Request::new(&mut []);
        let Ok(Status::Complete(head)) = request.parse_with_uninit_headers(bytes, room) else {
            return None;
        };
        let (method, target, fields) = (request.method?, request.path?, request.headers);
        if request.version != Some(1) || method == "CONNECT" {
            return None;
        }
        // The characters are those that httparse takes and hyper does not.
        let is_plain = target.starts_with('/') && !target.contains(['"', '<', '>']);
        let (mut body, mut is_plain) = (None, is_plain);
        for field in &*fields {
            match field.name.len() {
                5 if is(field, "range") => is_plain = false,
                6 if is(field, "expect") => return None,
                7 if is(field, "upgrade") => return None,
                10 if is(field, "connection") && !is_alive(field.value) => return None,
                13 if is(field, "authorization") => is_plain = false,
                // Twice the same is once, says RFC 9112 (section 6.3); hyper is to judge.
                14 if is(field, "content-length") && body.is_some() => return None,
                14 if is(field, "content-length") => body = Some(number(field.value)?),
                17 if is(field, "transfer-encoding") => return None,
                _ => {}
            }
        }
        let method = match method {
            "GET" => Some(Method::GET),
            "HEAD" => Some(Method::HEAD),
            _ => None,
        };
        let plain = method.filter(|_| is_plain && body.is_none());
        Some(Self {
            length: head as u64 + body.unwrap_or(0),
            plain: plain.map(|method| Plain {
                method,
                target,
                fields,
            }),
        })
    }
}

fn is(field: &Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

fn is_alive(connection: &[u8]) -> bool {
    connection.eq_ignore_ascii_case(b"keep-alive")
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = digits.len() <= LONGEST_NUMBER && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    text.parse().ok()
}
