//! HTTP/2: its limits, how it is recognised, and its requests in the form that the rest of the service knows.

use std::io::{self, Cursor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::header::{COOKIE, HOST};
use axum::http::{HeaderValue, Request, Uri, Version};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::{AsyncReadExt, join, split};

use super::wire::Boxed;

/// How every connection begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Requests that one connection may have under way.
const MAX_STREAMS: u32 = 128;

/// Requests that a client may take back before they were looked at; one more ends the connection. It is the defence
/// against rapid reset (CVE-2023-44487).
const MAX_TAKEN_BACK: usize = 20;

/// Streams that we may have to reset for a client's mistakes; one more ends the connection.
const MAX_MISTAKES: usize = 128;

/// How often a client that says nothing is asked whether it is there, and how long it may take to answer.
const PING: Duration = Duration::from_secs(20);

pub(super) fn protocol(max_header_bytes: usize) -> Builder<TokioExecutor> {
    let mut protocol = Builder::new(TokioExecutor::new());
    protocol
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_TAKEN_BACK)
        .max_local_error_reset_streams(MAX_MISTAKES)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    protocol
}

/// Reads on until it is clear whether the preface is coming; what was read can be read again from the stream it gives.
pub(super) async fn speaks_http2(mut stream: Boxed) -> io::Result<(Boxed, bool)> {
    let mut begin = Vec::with_capacity(PREFACE.len());
    while begin.len() < PREFACE.len() && PREFACE.starts_with(&begin) {
        let missing = PREFACE.len() - begin.len();
        let read = (&mut stream)
            .take(missing as u64)
            .read_buf(&mut begin)
            .await?;
        if read == 0 {
            break;
        }
    }
    let is_http2 = begin == PREFACE;
    let (reader, writer) = split(stream);
    let stream = join(Cursor::new(begin).chain(reader), writer);
    Ok((Box::new(stream), is_http2))
}

/// The request as HTTP/1 would have brought it: handlers and layers look for the host among the headers, the path alone in
/// the URI, and all cookies in one header (RFC 9113, sections 8.2.3 and 8.3.1).
pub(super) fn as_http1<B>(mut request: Request<B>) -> Request<B> {
    *request.version_mut() = Version::HTTP_11;
    if let Some(authority) = request.uri().authority()
        && !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    let mut cookies = request.headers().get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let mut joined = first.as_bytes().to_vec();
        for cookie in std::iter::once(second).chain(cookies) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(cookie.as_bytes());
        }
        if let Ok(joined) = HeaderValue::from_bytes(&joined) {
            request.headers_mut().insert(COOKIE, joined);
        }
    }
    request
}

/// Tells when a connection has gone without a new request for long enough.
#[derive(Clone, Default)]
pub(super) struct Quiet(Arc<AtomicUsize>);

impl Quiet {
    /// A request has come.
    pub fn interrupt(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until none has come for `idle`, or at first for `first`; notices that up to as much later.
    pub async fn lasts(self, first: Duration, idle: Duration) {
        let mut seen = 0;
        tokio::time::sleep(first).await;
        loop {
            let requests = self.0.load(Ordering::Relaxed);
            if requests == seen {
                return;
            }
            seen = requests;
            tokio::time::sleep(idle).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_looks_like_one_of_http_1() {
        let request = Request::get("https://example.com:8443/path?query")
            .version(Version::HTTP_2)
            .header(COOKIE, "a=1")
            .header(COOKIE, "b=2")
            .header(COOKIE, "c=3")
            .body(())
            .unwrap();
        let request = as_http1(request);
        assert_eq!(request.version(), Version::HTTP_11);
        assert_eq!(request.uri(), "/path?query");
        assert_eq!(request.headers()[HOST], "example.com:8443");
        let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_quiet_when_no_request_has_come_for_a_while() {
        let (first, idle) = (Duration::from_secs(5), Duration::from_mins(1));
        let started = tokio::time::Instant::now();
        Quiet::default().lasts(first, idle).await;
        assert_eq!(started.elapsed(), first);

        let started = tokio::time::Instant::now();
        let quiet = Quiet::default();
        quiet.interrupt();
        quiet.lasts(first, idle).await;
        assert_eq!(started.elapsed(), first + idle);
    }
}
