//! An HTTP client of the plainest kind: one connection, one request, the whole answer.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue, Request};
use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn of(response: axum::http::Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: to_bytes(body, usize::MAX).await.expect("the whole body"),
        }
    }

    /// The text of a header; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The same of what may be no JSON.
    pub fn json_or_null(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

pub async fn send(address: SocketAddr, mut request: Request<Body>) -> Answer {
    let host = HeaderValue::from_str(&address.to_string()).expect("an address is ASCII");
    request.headers_mut().insert(HOST, host);
    let stream = TcpStream::connect(address).await.expect("the app listens");
    let (mut client, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .expect("the app speaks HTTP/1.1");
    tokio::spawn(connection);
    let response = client.send_request(request).await.expect("an answer");
    Answer::of(response.map(Body::new)).await
}
