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
use axum::http::uri::Authority;
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use bytesize::ByteSize;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use validator::{Validate, ValidationError};

use super::client_address::ForwardedHeader;
use super::pieces::Pieces;
use super::timer::ConnectionTimer;
use crate::settings::{Secret, limited, some_time};

/// `[server]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    pub host: IpAddr,
    pub port: u16,
    /// Where visitors find the service, such as `https://example.com`; absent: at `host` and `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = an_origin))]
    pub public_url: Option<String>,
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
    /// How many requests are answered at the same time; 0: as many as come.
    pub concurrency: u32,
    /// How many may wait for that.
    pub queue_depth: u32,
    /// How long they may wait.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub queue_timeout: Duration,
    /// The networks of the proxies that are believed when they say who sent a request.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they say it.
    pub forwarded_header: ForwardedHeader,
}

impl ServerSettings {
    /// What an address of this service begins with where it has to be whole, without a slash at its end.
    #[must_use]
    pub fn public_url(&self) -> String {
        if let Some(url) = &self.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        if self.host.is_unspecified() {
            return format!("http://localhost:{}", self.port);
        }
        format!("http://{}", SocketAddr::new(self.host, self.port))
    }
}

/// A scheme, a host, perhaps a port, and no more.
pub(super) fn an_origin(url: &str) -> Result<(), ValidationError> {
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let is_host = |host: &str| {
        host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && host.bytes().all(is_plain)
            && host.parse::<Authority>().is_ok()
    };
    if host.is_some_and(is_host) {
        return Ok(());
    }
    Err(ValidationError::new("url").with_message("must be like https://example.com".into()))
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

/// Who is at the other end of a connection.
pub struct Client {
    pub address: SocketAddr,
    /// Written for the log, once.
    pub ip: String,
    /// Whether nobody in between could read or change what was sent.
    pub is_tls: bool,
}

/// What answers the requests of a listener.
pub trait Answer: Clone + Send + 'static {
    type Body: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    fn answer(
        &self,
        client: &Arc<Client>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<Self>;
}

/// Routes and the layers that belong to them.
impl Answer for Router {
    type Body = Body;

    fn answer(
        &self,
        client: &Arc<Client>,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Response> + Send + use<> {
        request.extensions_mut().insert(ConnectInfo(client.address));
        let answer = self.clone().oneshot(request);
        async move {
            let Ok(response) = answer.await;
            response
        }
    }
}

/// What connections are told, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// The request that is being answered is the last.
    Ending,
    /// The time for that is over.
    CutOff,
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
    let (phase, _) = watch::channel(Phase::Serving);
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &places)).await {
        match accepted {
            Ok((stream, client, place)) => {
                let connection = serve_connection(
                    &protocol,
                    stream,
                    client,
                    service.clone(),
                    phase.subscribe(),
                );
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
    // From here on a new connection is refused by the system.
    drop(listener);
    let in_flight = phase.receiver_count();
    phase.send_replace(Phase::Ending);
    if tokio::time::timeout(settings.shutdown_grace, phase.closed())
        .await
        .is_err()
    {
        tracing::warn!(
            in_flight,
            "requests were cut off: they took longer than server.shutdown_grace"
        );
        // Their handlers end with them, and let go of what they hold.
        phase.send_replace(Phase::CutOff);
    }
}

fn protocol(settings: &ServerSettings) -> http1::Builder {
    let max_header_bytes =
        usize::try_from(settings.max_header_bytes.as_u64()).unwrap_or(usize::MAX);
    let mut protocol = http1::Builder::new();
    protocol
        .header_read_timeout(settings.read_header_timeout)
        .max_buf_size(max_header_bytes)
        // See `pieces`.
        .writev(false);
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

/// Answers the requests of one connection until it ends or `phase` says so.
fn serve_connection<S: Answer>(
    protocol: &http1::Builder,
    stream: TcpStream,
    client: SocketAddr,
    service: S,
    mut phase: watch::Receiver<Phase>,
) -> impl Future<Output = ()> + Send + 'static {
    let caller = Arc::new(Client {
        address: client,
        // A listener for both versions says `::ffff:` before an IPv4 address.
        ip: client.ip().to_canonical().to_string(),
        is_tls: false,
    });
    let service = service_fn(move |request| {
        let answer = service.answer(&caller, request);
        async move { Ok::<_, Infallible>(answer.await.map(Pieces::of)) }
    });
    let mut protocol = protocol.clone();
    protocol.timer(ConnectionTimer::default());
    let connection = protocol.serve_connection(TokioIo::new(stream), service);
    async move {
        let mut connection = pin!(connection.with_upgrades());
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%client, %error, "the connection ended early");
                    }
                    return;
                }
                changed = phase.changed() => match *phase.borrow_and_update() {
                    Phase::Ending if changed.is_ok() => connection.as_mut().graceful_shutdown(),
                    _ => return,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::an_origin;

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        for good in [
            "https://example.com",
            "https://example.com/",
            "http://localhost:8080",
            "http://[::1]:80",
            "https://10.0.0.1",
        ] {
            assert!(an_origin(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https:///",
            "https://example.com/blog",
            "https://example.com?x",
            "https://user@example.com",
            "https://exa mple.com",
            "https://example.com\"><x",
            "https://:80",
        ] {
            assert!(an_origin(bad).is_err(), "{bad}");
        }
    }
}
