//! The question a container asks: is the service on this machine well?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Body;
use axum::http::Request;
use axum::http::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::server::ServerSettings;

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks `/health` of the service that runs with these settings.
///
/// # Errors
/// If it does not answer 200 within three seconds.
pub async fn healthcheck(settings: &ServerSettings) -> anyhow::Result<()> {
    let address = SocketAddr::new(reachable(settings.host), settings.port);
    let answer = tokio::time::timeout(PATIENCE, ask(address)).await;
    answer.with_context(|| format!("{address} did not answer within {PATIENCE:?}"))?
}

/// A service that listens everywhere is asked on the loopback address.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}

async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("nothing listens on {address}"))?;
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/health")
        .header(HOST, address.to_string())
        .body(Body::empty())?;
    let status = client.send_request(request).await?.status();
    if !status.is_success() {
        bail!("the service is not well: /health answered {status}");
    }
    Ok(())
}
