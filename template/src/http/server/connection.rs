//! One connection: which protocol it speaks, and its life from the first byte to the last.

use std::convert::Infallible;
use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::BoxError;
use axum::body::HttpBody;
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::express::Express;
use super::http2::{Quiet, Taken, as_http1, speaks_http2};
use super::listener::{Accepted, Stream};
use super::timer::{ConnectionTimer, Ending, Watched};
use super::wire::{Boxed, Duplex, Wire};
use super::{Answer, Client, ServerSettings};
use crate::http::pieces::Pieces;

/// What connections are told, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// The request that is being answered is the last.
    Ending,
    /// The time for that is over.
    CutOff,
}

/// What all connections of a listener have in common.
pub(super) struct Connections {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    settings: ServerSettings,
}

impl Connections {
    pub fn new(settings: &ServerSettings) -> Self {
        let max_header_bytes =
            usize::try_from(settings.max_header_bytes.as_u64()).unwrap_or(usize::MAX);
        let mut http1 = http1::Builder::new();
        http1
            .header_read_timeout(settings.read_header_timeout)
            .max_buf_size(max_header_bytes)
            // See `pieces`.
            .writev(false);
        Self {
            http1,
            http2: super::http2::protocol(max_header_bytes),
            settings: settings.clone(),
        }
    }

    /// Answers the requests of one connection until it ends or `phase` says so.
    pub async fn serve<S: Answer>(
        &self,
        accepted: Accepted,
        service: S,
        mut phase: watch::Receiver<Phase>,
    ) {
        let address = accepted.address();
        // A listener for both versions says `::ffff:` before an IPv4 address.
        let ip = accepted.address.map_or_else(
            || "unix".to_owned(),
            |address| address.ip().to_canonical().to_string(),
        );
        let is_tls = accepted.certificates.is_some();
        let client = Arc::new(Client {
            address,
            ip,
            is_tls,
        });
        // Before the first request there is nothing to finish: a stop ends it here.
        let opened = tokio::select! {
            biased;
            opened = timeout(self.settings.read_header_timeout, self.open(accepted)) => opened,
            _ = phase.changed() => return,
        };
        match opened {
            Ok(Ok(Opened::Http1(stream))) => self.http1(stream, client, service, phase).await,
            Ok(Ok(Opened::Http1Boxed(stream))) => self.http1(stream, client, service, phase).await,
            Ok(Ok(Opened::Http2(stream))) => self.http2(stream, client, service, phase).await,
            Ok(Err(error)) => tracing::debug!(%address, %error, "the connection was not opened"),
            Err(_) => tracing::debug!(%address, "the connection was not opened in time"),
        }
    }

    /// Finds out what is spoken. Plain TCP is HTTP/1 unless the settings say otherwise, and nothing is waited for.
    async fn open(&self, accepted: Accepted) -> std::io::Result<Opened> {
        let stream: Boxed = match (accepted.stream, accepted.certificates) {
            (stream, Some(certificates)) => {
                let stream: Boxed = match stream {
                    Stream::Tcp(stream) => Box::new(stream),
                    Stream::Unix(stream) => Box::new(stream),
                };
                let stream = certificates.acceptor().accept(stream).await?;
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let stream: Boxed = Box::new(stream);
                return Ok(if is_http2 {
                    Opened::Http2(stream)
                } else {
                    Opened::Http1Boxed(stream)
                });
            }
            (Stream::Tcp(stream), None) if !self.settings.h2c => return Ok(Opened::Http1(stream)),
            (Stream::Tcp(stream), None) => Box::new(stream),
            (Stream::Unix(stream), None) => Box::new(stream),
        };
        if !self.settings.h2c {
            return Ok(Opened::Http1Boxed(stream));
        }
        let (stream, is_http2) = speaks_http2(stream).await?;
        Ok(if is_http2 {
            Opened::Http2(stream)
        } else {
            Opened::Http1Boxed(stream)
        })
    }

    pub(super) async fn http1<S: Answer>(
        &self,
        stream: impl Duplex + 'static,
        client: Arc<Client>,
        service: S,
        phase: watch::Receiver<Phase>,
    ) {
        let watched = Arc::new(Watched::default());
        let stream = Wire::new(stream, Arc::clone(&watched), self.settings.idle_timeout);
        let (caller, short) = (Arc::clone(&client), Arc::clone(&watched));
        let stream = Express::new(stream, caller, service.clone(), short);
        let (caller, ends) = (Arc::clone(&client), Arc::clone(&watched));
        let service = service_fn(move |request| {
            let answer = service.answer(&caller, request);
            let end = Ending(Arc::clone(&ends));
            async move {
                let answer = answer.await;
                Ok::<_, Infallible>(answer.map(|body| Pieces::of(body, end)))
            }
        });
        let mut protocol = self.http1.clone();
        protocol.timer(ConnectionTimer {
            watched,
            head: self.settings.read_header_timeout,
            idle: self.settings.idle_timeout,
        });
        let connection = protocol.serve_connection(TokioIo::new(stream), service);
        drive(connection.with_upgrades(), &client, phase, pending()).await;
    }

    pub(super) async fn http2<S: Answer>(
        &self,
        stream: Boxed,
        client: Arc<Client>,
        service: S,
        phase: watch::Receiver<Phase>,
    ) {
        let caller = Arc::clone(&client);
        let quiet = Quiet::default();
        let requests = quiet.clone();
        let service = service_fn(move |request| {
            requests.interrupt();
            let answer = service.answer(&caller, as_http1(request));
            let quiet = requests.clone();
            async move {
                let answer = answer.await;
                Ok::<_, Infallible>(answer.map(|body| Taken::of(body, quiet)))
            }
        });
        let stream = Wire::new(stream, Arc::default(), self.settings.idle_timeout);
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        let (first, idle) = (
            self.settings.read_header_timeout,
            self.settings.idle_timeout,
        );
        let stalled = quiet.clone().stalls(idle);
        let served = drive(connection, &client, phase, quiet.lasts(first, idle));
        tokio::select! {
            () = served => {}
            () = stalled => tracing::debug!(%client.address, "a client takes nothing of its answers"),
        }
    }
}

enum Opened {
    Http1(TcpStream),
    Http1Boxed(Boxed),
    Http2(Boxed),
}

/// A connection that can be told to end after what it is at.
trait Ends: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

impl<I, B, S> Ends for http1::UpgradeableConnection<I, S>
where
    S: HttpService<Incoming, ResBody = B, Error: Into<BoxError>>,
    I: Read + Write + Unpin + Send + 'static,
    B: HttpBody<Error: Into<BoxError>> + 'static,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, B, S> Ends for http2::Connection<I, S, TokioExecutor>
where
    S: HttpService<Incoming, ResBody = B, Error: Into<BoxError>>,
    I: Read + Write + Unpin + 'static,
    B: HttpBody<Error: Into<BoxError>> + 'static,
    TokioExecutor: Http2ServerConnExec<S::Future, B>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection to its end, which begins when `phase` says so or `idle` is over.
async fn drive(
    connection: impl Ends,
    client: &Client,
    mut phase: watch::Receiver<Phase>,
    idle: impl Future<Output = ()>,
) {
    let (mut connection, mut idle) = (pin!(connection), pin!(idle));
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(client = %client.address, %error, "the connection ended early");
                }
                return;
            }
            changed = phase.changed() => match *phase.borrow_and_update() {
                Phase::Ending if changed.is_ok() => connection.as_mut().end(),
                _ => return,
            },
            () = idle.as_mut(), if !is_ending => {
                is_ending = true;
                connection.as_mut().end();
            }
        }
    }
}
