//! The listeners: accepting connections within limits, and letting go of them in order.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use bytesize::ByteSize;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use validator::{Validate, ValidationError};

use crate::settings::{Secret, limited, some_time};

/// `[server]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    pub host: IpAddr,
    pub port: u16,
    /// How long a connection may take to send the headers of a request.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub read_header_timeout: Duration,
    /// How long a handler may take.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub request_timeout: Duration,
    /// How long a stop waits for the requests in flight.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub shutdown_grace: Duration,
    pub max_body: ByteSize,
    #[validate(custom(function = large_enough_for_headers))]
    pub max_header_bytes: ByteSize,
    #[validate(range(min = 1, message = "must be at least 1"))]
    pub max_connections: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature validator asks for"
)]
/// The least that the HTTP parser works with.
fn large_enough_for_headers(size: &ByteSize) -> Result<(), ValidationError> {
    if size.as_u64() >= 8192 {
        return Ok(());
    }
    Err(ValidationError::new("size").with_message("must be at least 8KiB".into()))
}

/// `[operator]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct OperatorSettings {
    pub host: IpAddr,
    pub port: u16,
    /// Opens `/admin`; absent: it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = a_bearer_token))]
    pub token: Option<Secret>,
}

/// What can be sent as one (RFC 6750, section 2.1).
fn a_bearer_token(token: &Secret) -> Result<(), ValidationError> {
    let token = token.expose().trim_end_matches('=');
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if !token.is_empty() && token.bytes().all(may_stand) {
        return Ok(());
    }
    let rule = "must be letters, digits and any of -._~+/, with = at the end only";
    Err(ValidationError::new("token").with_message(rule.into()))
}

/// The open ports of the service.
pub struct Listeners {
    pub public: TcpListener,
    pub operator: TcpListener,
}

impl Listeners {
    /// # Errors
    /// If one of the addresses is taken or not ours.
    pub async fn bind(
        server: &ServerSettings,
        operator: &OperatorSettings,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            public: bind("server", (server.host, server.port).into()).await?,
            operator: bind("operator", (operator.host, operator.port).into()).await?,
        })
    }
}

async fn bind(section: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}; set {section}.host and {section}.port to a free address"
        )
    })
}

/// What answers the requests of a listener.
pub trait Answer: Clone + Send + 'static {
    type Body: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    fn answer(
        self,
        client: SocketAddr,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Routes and the layers that belong to them.
impl Answer for Router {
    type Body = Body;

    async fn answer(self, client: SocketAddr, mut request: Request<Incoming>) -> Response {
        request.extensions_mut().insert(ConnectInfo(client));
        let Ok(response) = self.oneshot(request).await;
        response
    }
}

/// Lets `service` answer on `listener` until `stop`, then lets the requests in flight finish, for at most
/// `shutdown_grace`.
pub async fn serve(
    listener: TcpListener,
    service: impl Answer,
    settings: ServerSettings,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(settings.max_connections as usize));
    let protocol = protocol(&settings);
    // Every connection holds a receiver until it is done.
    let (stopping, _) = watch::channel(());
    let cut_off = CancellationToken::new();
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &places)).await {
        match accepted {
            Ok((stream, client, place)) => {
                let connection = serve_connection(
                    &protocol,
                    stream,
                    client,
                    service.clone(),
                    stopping.subscribe(),
                );
                let cut_off = cut_off.clone();
                tokio::spawn(async move {
                    cut_off.run_until_cancelled(connection).await;
                    drop(place);
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
    // From here on a new connection is refused by the system.
    drop(listener);
    let in_flight = stopping.receiver_count();
    stopping.send_replace(());
    if tokio::time::timeout(settings.shutdown_grace, stopping.closed())
        .await
        .is_err()
    {
        tracing::warn!(
            in_flight,
            "requests were cut off: they took longer than server.shutdown_grace"
        );
        // Their handlers end with them, and let go of what they hold.
        cut_off.cancel();
    }
}

fn protocol(settings: &ServerSettings) -> http1::Builder {
    let max_header_bytes =
        usize::try_from(settings.max_header_bytes.as_u64()).unwrap_or(usize::MAX);
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(settings.read_header_timeout)
        .max_buf_size(max_header_bytes);
    protocol
}

/// A connection, taken only when there is a place for it; the others wait in the system's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, client) = listener.accept().await?;
    // A connection that has gone again says so when it is read.
    let _ = stream.set_nodelay(true);
    Ok((stream, client, place))
}

/// A connection that broke before it was accepted is no reason to wait; running out of file descriptors is.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::error!(%error, "cannot accept connections; trying again in a second");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Answers the requests of one connection; when `stopping` changes, the one that is being answered is the last.
fn serve_connection<S: Answer>(
    protocol: &http1::Builder,
    stream: TcpStream,
    client: SocketAddr,
    service: S,
    mut stopping: watch::Receiver<()>,
) -> impl Future<Output = ()> + Send + 'static {
    let service = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(client, request).await) }
    });
    let connection = protocol.serve_connection(TokioIo::new(stream), service);
    async move {
        let mut connection = pin!(connection.with_upgrades());
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            _ = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%client, %error, "the connection ended early");
        }
    }
}
