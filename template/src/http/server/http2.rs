//! HTTP/2: its limits, how it is recognised, and its requests in the form that the rest of the service knows.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use axum::http::header::{COOKIE, HOST};
use axum::http::{HeaderValue, Request, Uri, Version};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::wire::Boxed;
use crate::http::pieces::Pieces;

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
    let begin = begin.into();
    Ok((Box::new(Begun { begin, stream }), is_http2))
}

/// A stream of which the first bytes have been read, and can be read again.
struct Begun {
    begin: Bytes,
    stream: Boxed,
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.begin.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.begin.len().min(buffer.remaining());
        buffer.put_slice(&self.begin.split_to(length));
        if buffer.remaining() > 0 {
            // With all else that has come: what is read at once can be answered at once. Nothing more is no end.
            let _ = Pin::new(&mut self.stream).poll_read(context, buffer)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
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

/// Tells when nothing has happened on a connection for long enough.
#[derive(Clone, Default)]
pub(super) struct Quiet(Arc<Happened>);

#[derive(Default)]
struct Happened {
    /// Requests that came, and pieces of answers that their client had room for.
    steps: AtomicUsize,
    /// Answers that wait for their client to make room for more of them.
    waiting: AtomicUsize,
}

impl Quiet {
    /// A request has come, or a piece of an answer gone.
    pub fn interrupt(&self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until nothing has happened for `idle`, or at first for `first`; notices that up to as much later.
    pub async fn lasts(self, first: Duration, idle: Duration) {
        let mut seen = 0;
        tokio::time::sleep(first).await;
        loop {
            let steps = self.0.steps.load(Ordering::Relaxed);
            if steps == seen {
                return;
            }
            seen = steps;
            tokio::time::sleep(idle).await;
        }
    }

    /// Waits until nothing has happened for `patience`, although there are answers to take; notices that up to as much later.
    pub async fn stalls(self, patience: Duration) {
        let mut seen = None;
        loop {
            let is_waiting = self.0.waiting.load(Ordering::Relaxed) > 0;
            let steps = is_waiting.then(|| self.0.steps.load(Ordering::Relaxed));
            if is_waiting && steps == seen {
                return;
            }
            seen = steps;
            tokio::time::sleep(patience).await;
        }
    }
}

/// The body of an answer. It is asked for a piece when its client has room for one, which HTTP/2 lets the client decide.
pub(super) struct Taken<B> {
    pieces: Pieces<B, ()>,
    quiet: Quiet,
    /// Whether the client has not made room since the last piece.
    waits: bool,
}

impl<B> Taken<B> {
    pub fn of(body: B, quiet: Quiet) -> Self {
        let mut taken = Self {
            pieces: Pieces::of(body, ()),
            quiet,
            waits: false,
        };
        taken.set_waiting(true);
        taken
    }

    fn set_waiting(&mut self, waits: bool) {
        let waiting = &self.quiet.0.waiting;
        match (self.waits, waits) {
            (false, true) => waiting.fetch_add(1, Ordering::Relaxed),
            (true, false) => waiting.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
        self.waits = waits;
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Taken<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.quiet.interrupt();
        let polled = Pin::new(&mut self.pieces).poll_frame(context);
        // Otherwise it is the handler who is waited for.
        self.set_waiting(matches!(polled, Poll::Ready(Some(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.pieces.size_hint()
    }
}

impl<B> Drop for Taken<B> {
    fn drop(&mut self) {
        self.set_waiting(false);
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Mutex;

    use axum::body::Body;
    use axum::http::Response;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;
    use http_body_util::channel::Channel;
    use hyper::body::Incoming;
    use hyper::client::conn::http2 as client;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::watch;
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;
    use crate::http::server::connection::{Connections, Phase};
    use crate::http::server::express::tests::settings;
    use crate::http::server::{Answer, Client, ServerSettings};

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

    /// Whoever asks it gets its one answer.
    #[derive(Clone)]
    struct Says(Arc<Mutex<Option<Body>>>);

    impl Answer for Says {
        type Body = Body;

        fn answer(
            &self,
            _client: &Arc<Client>,
            _request: Request<Incoming>,
        ) -> impl Future<Output = Response<Body>> + Send + use<> {
            let body = self.0.lock().unwrap().take().unwrap();
            ready(Response::new(body))
        }
    }

    /// A client that would ask again, and the end of its connection.
    struct Connected(client::SendRequest<Body>, JoinHandle<()>);

    /// The client's end of a connection, and what serves it.
    fn serve(settings: &ServerSettings, says: Body) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(1 << 16);
        let client = Arc::new(Client {
            address: ([127, 0, 0, 1], 1).into(),
            ip: "127.0.0.1".into(),
            is_tls: false,
        });
        let connections = Connections::new(settings);
        let serving = tokio::spawn(async move {
            let (_phase, phases) = watch::channel(Phase::Serving);
            let says = Says(Arc::new(Mutex::new(Some(says))));
            connections.http2(Box::new(far), client, says, phases).await;
        });
        (near, serving)
    }

    /// The answer to the first request on a connection whose client has room for `window` bytes, and the connection.
    async fn ask(window: u32, says: Body) -> (Response<Incoming>, Connected, ServerSettings) {
        let settings = settings();
        let (near, _) = serve(&settings, says);
        let (mut sender, connection) = client::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .handshake(TokioIo::new(near))
            .await
            .unwrap();
        let connection = tokio::spawn(connection.map(drop));
        let request = Request::get("http://x/").body(Body::empty()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        (answer, Connected(sender, connection), settings)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_makes_no_room_for_its_answer_is_given_up() {
        let begun = Instant::now();
        let (_answer, Connected(_sender, connection), settings) =
            ask(0, Body::from(vec![b'x'; 100])).await;
        connection.await.unwrap();
        let (waited, idle) = (begun.elapsed(), settings.idle_timeout);
        assert!(waited >= idle && waited <= 3 * idle, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_for_an_answer_and_hears_no_ping_is_given_up() {
        let (_sender, body) = Channel::<Bytes>::new(1);
        let (mut client, serving) = serve(&settings(), Body::new(body));
        let begun = Instant::now();
        let no_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        // `GET http: /` (RFC 7541, appendix A).
        let request = [0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84];
        let sent = [PREFACE, &no_settings, &request].concat();
        client.write_all(&sent).await.unwrap();
        serving.await.unwrap();
        let waited = begun.elapsed();
        assert!(
            waited >= 2 * PING && waited < 2 * PING + Duration::from_secs(1),
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_not_given_up_for_a_handler_that_says_nothing() {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        let (answer, _connection, settings) = ask(1 << 20, Body::new(body)).await;
        tokio::spawn(async move {
            for word in ["one ", "two"] {
                tokio::time::sleep(5 * settings.idle_timeout).await;
                sender.send(Frame::data(word.into())).await.unwrap();
            }
        });
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "one two");
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
