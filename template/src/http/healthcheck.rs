//! The question a container asks: is the service on this machine well?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Body;
use axum::http::Request;
use axum::http::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::server::{ServerSettings, trusting_only};

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks `/health` of the service that runs with these settings.
///
/// # Errors
/// If it does not answer 200 within three seconds.
pub async fn healthcheck(settings: &ServerSettings) -> anyhow::Result<()> {
    let place = match &settings.unix_socket {
        Some(path) => path.display().to_string(),
        None => SocketAddr::new(reachable(settings.host), settings.port).to_string(),
    };
    let asked = tokio::time::timeout(PATIENCE, connect_and_ask(settings, &place)).await;
    asked.with_context(|| format!("{place} did not answer within {PATIENCE:?}"))?
}

async fn connect_and_ask(settings: &ServerSettings, place: &str) -> anyhow::Result<()> {
    let nobody = || format!("nothing listens on {place}");
    if settings.unix_socket.is_some() {
        let stream = UnixStream::connect(place).await.with_context(nobody)?;
        return encrypt_and_ask(settings, stream).await;
    }
    let stream = TcpStream::connect(place).await.with_context(nobody)?;
    encrypt_and_ask(settings, stream).await
}

async fn encrypt_and_ask(
    settings: &ServerSettings,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> anyhow::Result<()> {
    let Some(tls) = &settings.tls else {
        return ask(stream).await;
    };
    let connector = TlsConnector::from(Arc::new(trusting_only(&tls.cert)?));
    let stream = connector.connect(Ipv4Addr::LOCALHOST.into(), stream).await;
    ask(stream.context("the service shows another certificate than server.tls.cert")?).await
}

/// A service that listens everywhere is asked on the loopback address.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> anyhow::Result<()> {
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/health")
        .header(HOST, "localhost")
        .body(Body::empty())?;
    let status = client.send_request(request).await?.status();
    if !status.is_success() {
        bail!("the service is not well: /health answered {status}");
    }
    Ok(())
}
