//! Serving: connections are accepted within limits, answered, and let go of in order.

mod connection;
mod express;
mod head;
mod http2;
mod listener;
mod settings;
mod timer;
mod tls;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use axum::body::HttpBody;
use axum::http::Request;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use metrics::{Gauge, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use self::connection::{Connections, Phase};
pub use self::head::Plain;
use self::listener::Accepted;
pub use self::listener::{Listener, Listeners};
pub(super) use self::settings::an_origin;
pub use self::settings::{OperatorSettings, ServerSettings, TlsSettings};
pub(super) use self::tls::trusting_only;

/// Who is at the other end of a connection.
pub struct Client {
    /// Of a client at a Unix socket, which has none, the loopback address.
    pub address: SocketAddr,
    /// Written for the log, once.
    pub ip: String,
    /// Whether nobody in between could read or change what was sent.
    pub is_tls: bool,
}

/// What answers the requests of a listener.
pub trait Answer: Clone + Send + Unpin + 'static {
    /// What its listener is called in metrics.
    const LISTENER: &'static str = "public";

    type Body: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// The answer that can be given without waiting, if there is one; otherwise the request comes to [`answer`](Self::answer).
    fn at_hand(&self, _client: &Client, _request: &Plain<'_>) -> Option<Response<Full<Bytes>>> {
        None
    }

    fn answer(
        &self,
        client: &Arc<Client>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<Self>;
}

/// Lets `service` answer on `listener` until `stop`, then lets the requests in flight finish, for at most
/// `shutdown_grace`.
pub async fn serve<S: Answer>(
    listener: impl Into<Listener>,
    service: S,
    settings: ServerSettings,
    stop: CancellationToken,
) {
    let listener = listener.into();
    let places = Arc::new(Semaphore::new(settings.max_connections as usize));
    let open = gauge!("http_connections", "listener" => S::LISTENER);
    gauge!("http_connections_max", "listener" => S::LISTENER).set(settings.max_connections);
    let connections = Arc::new(Connections::new(&settings));
    let certificates = listener.watch_certificates();
    // Every connection holds a receiver until it is done.
    let (phase, _) = watch::channel(Phase::Serving);
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &places)).await {
        match accepted {
            Ok((accepted, place)) => {
                let (connections, phase) = (Arc::clone(&connections), phase.subscribe());
                let service = service.clone();
                let place = Place::take(place, open.clone());
                tokio::spawn(async move {
                    connections.serve(accepted, service, phase).await;
                    drop(place);
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
    // From here on a new connection is refused by the system.
    drop((listener, certificates));
    phase.send_replace(Phase::Ending);
    if tokio::time::timeout(settings.shutdown_grace, phase.closed())
        .await
        .is_err()
    {
        let connections = phase.receiver_count();
        tracing::warn!(
            connections,
            "requests were cut off: they took longer than server.shutdown_grace"
        );
        // Their handlers end with them, and let go of what they hold.
        phase.send_replace(Phase::CutOff);
    }
}

/// The place of a connection, counted until it is dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
    open: Gauge,
}

impl Place {
    fn take(permit: OwnedSemaphorePermit, open: Gauge) -> Self {
        open.increment(1);
        Self {
            _permit: permit,
            open,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}

/// A connection, taken only when there is a place for it; the others wait in the system's queue.
async fn accept(
    listener: &Listener,
    places: &Arc<Semaphore>,
) -> io::Result<(Accepted, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    Ok((listener.accept().await?, place))
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
