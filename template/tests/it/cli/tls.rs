//! HTTPS, HTTP/2, and the sockets that are not ports.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http;
use super::process::{PATIENCE, Place, Service, block_on, through_shell};

/// Where the files of a certificate are.
const TLS: [(&str, &str); 2] = [
    ("APP__SERVER__TLS__CERT", "tls.crt"),
    ("APP__SERVER__TLS__KEY", "tls.key"),
];

/// Puts a new certificate into the files and gives it.
fn certify(place: &Place) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = self_signed();
    place.write("tls.key", signing_key.serialize_pem());
    place.write("tls.crt", cert.pem());
    cert.der().clone()
}

fn self_signed() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

/// A connection to a service whose certificate is `trusted`, that speaks one of `protocols`.
async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().into())
        .collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

fn request(path: &str) -> Request<Body> {
    let request = Request::get(format!("https://localhost{path}"));
    request.body(Body::empty()).expect("a request")
}

#[test]
fn https_speaks_http_2_and_http_1() {
    let place = Place::new();
    let trusted = certify(&place);
    let service = place.serve_with(&TLS);
    assert!(
        service
            .log
            .last()
            .expect("a log")
            .contains("https://127.0.0.1")
    );
    block_on(async {
        let stream = connect(service.address(), &trusted, &["h2", "http/1.1"])
            .await
            .expect("a connection");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        for path in ["/health/live", "/api/v1/articles", "/api/openapi.json"] {
            let answer = client.send_request(request(path)).await.expect("an answer");
            assert_eq!(answer.status(), 200, "{path}");
        }

        let stream = connect(service.address(), &trusted, &["http/1.1"])
            .await
            .expect("a connection");
        let (mut client, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/1.1");
        tokio::spawn(connection);
        let mut request = request("/health/live");
        let host = "localhost".parse().expect("a header");
        request.headers_mut().insert("host", host);
        let answer = client.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
    });
    let port = service.address().port().to_string();
    let asked = [TLS[0], TLS[1], ("PORT", &port)];
    place.run_with(&["healthcheck"], &asked).ok();
    service.stop();
}

#[test]
fn plain_http_and_silence_at_an_https_port_hurt_nobody() {
    let place = Place::new();
    let trusted = certify(&place);
    let settings = [
        TLS[0],
        TLS[1],
        ("APP__SERVER__READ_HEADER_TIMEOUT", "1s"),
        ("APP__SERVER__MAX_CONNECTIONS", "2"),
    ];
    let service = place.serve_with(&settings);
    let mut plain = http::connect(service.address());
    http::write_get(&mut plain, "/");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    // They hold both places until their time is over.
    let _silent = [
        http::connect(service.address()),
        http::connect(service.address()),
    ];
    block_on(async {
        let connected = connect(service.address(), &trusted, &["h2"]).await;
        connected.expect("a connection");
    });
}

#[test]
fn a_new_certificate_is_used_and_a_broken_one_is_not() {
    let place = Place::new();
    let first = certify(&place);
    let mut service = place.serve_with(&TLS);
    let shows = |trusted: &CertificateDer<'static>| {
        block_on(async { connect(service.address(), trusted, &["h2"]).await.is_ok() })
    };
    assert!(shows(&first));
    let second = certify(&place);
    let deadline = Instant::now() + PATIENCE;
    while !shows(&second) {
        assert!(Instant::now() < deadline, "the new one is never used");
    }
    assert!(!shows(&first));
    place.write("tls.crt", "no certificate");
    service.wait_for("the new certificate cannot be used; the old one stays");
    let shows_second =
        block_on(async { connect(service.address(), &second, &["h2"]).await.is_ok() });
    assert!(shows_second);
    service.stop();
}

#[test]
fn the_metrics_say_until_when_the_certificate_is_good() {
    let place = Place::new();
    let key = KeyPair::generate().expect("a key");
    let mut certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    certificate.not_after = rcgen::date_time_ymd(2030, 1, 2);
    let certificate = certificate.self_signed(&key).expect("a certificate");
    place.write("tls.key", key.serialize_pem());
    place.write("tls.crt", certificate.pem());
    let service = place.serve_with(&TLS);
    let deadline = Instant::now() + PATIENCE;
    let until = "\ntls_certificate_expires_timestamp_seconds 1893542400\n";
    while !http::get(service.operator(), "/metrics")
        .body
        .contains(until)
    {
        assert!(Instant::now() < deadline, "the metrics never say it");
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_at_the_start() {
    let place = Place::new();
    let error = || place.run_with(&["serve"], &TLS).error().to_owned();
    assert!(
        error().starts_with("server.tls.cert tls.crt cannot be read: "),
        "{}",
        error()
    );
    place.write("tls.crt", "");
    assert_eq!(error(), "server.tls.cert tls.crt holds no certificate");
    certify(&place);
    place.write("tls.key", "no key");
    assert!(
        error().starts_with("server.tls.key tls.key cannot be read: "),
        "{}",
        error()
    );
    place.write("tls.key", self_signed().signing_key.serialize_pem());
    assert!(
        error().starts_with("server.tls.cert and server.tls.key do not belong together"),
        "{}",
        error()
    );
}

async fn speak_http2(address: SocketAddr) -> Option<u16> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("a preface is sent");
    tokio::spawn(connection);
    let answer = client.send_request(request("/health/live")).await.ok()?;
    Some(answer.status().as_u16())
}

#[test]
fn http_2_without_tls_is_spoken_only_where_the_settings_say_so() {
    let place = Place::new();
    let service = place.serve();
    assert_eq!(block_on(speak_http2(service.address())), None);
    assert_eq!(service.get("/health/live").status, 200);
    service.stop();
    let service = place.serve_with(&[("APP__SERVER__H2C", "true")]);
    assert_eq!(block_on(speak_http2(service.address())), Some(200));
    assert_eq!(service.get("/health/live").status, 200);
    let mut kept = http::connect(service.address());
    for _ in 0..3 {
        assert_eq!(http::ask(&mut kept, "/health/live"), 200);
    }
    drop(kept);
    service.stop();
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short frame")
        .to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[test]
fn a_client_that_takes_back_request_after_request_is_cut_off() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__SERVER__H2C", "true")]);
    let mut hostile = http::connect(service.address());
    hostile
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .expect("the preface");
    hostile.write_all(&frame(4, 0, 0, &[])).expect("settings");
    // GET http:/ from the static table (RFC 7541, appendix A), and CANCEL.
    let (headers, cancel) = ([0x82, 0x86, 0x84], 8_u32.to_be_bytes());
    let mut cut_off = false;
    for stream in (1..200_000).step_by(2) {
        let mut both = frame(1, 0x5, stream, &headers);
        both.extend(frame(3, 0, stream, &cancel));
        if hostile.write_all(&both).is_err() {
            cut_off = true;
            break;
        }
        if stream % 20_001 == 1 {
            assert_eq!(service.get("/health/live").status, 200);
        }
    }
    assert!(cut_off, "it may go on forever");
    assert_eq!(service.get("/health/live").status, 200);
}

fn ask_at(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
        .write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_service_listens_on_a_file() {
    let place = Place::new();
    let socket = place.path("app.sock");
    let settings = [("APP__SERVER__UNIX_SOCKET", "app.sock")];
    for _ in 0..2 {
        let mut service = place.start_with(&settings);
        let line = service.wait_for("serving");
        assert!(line.contains("http+unix:app.sock"), "{line}");
        assert!(ask_at(&socket).starts_with("HTTP/1.1 200"));
        place.run_with(&["healthcheck"], &settings).ok();
        let second = place.run_with(&["serve"], &settings);
        assert_eq!(
            second.error(),
            "cannot listen on app.sock: another process does; set server.unix_socket"
        );
        // What it leaves behind is in nobody's way.
        service.kill();
        assert!(socket.exists());
    }
    fs::remove_file(&socket).expect("the socket");
    fs::write(&socket, "mine").expect("a file");
    let refused = place.run_with(&["serve"], &settings);
    assert!(
        refused
            .error()
            .starts_with("cannot listen on app.sock; set server.unix_socket")
    );
    assert_eq!(fs::read(&socket).expect("the file"), b"mine");
}

/// A service that finds `socket` open when it starts, as systemd leaves it there.
fn inherit(place: &Place, socket: impl Into<OwnedFd>) -> Service {
    let command = place.command(&["serve"], &[]);
    let preparation = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$";
    let mut command = through_shell(preparation, &command);
    command.stdin(Stdio::from(socket.into()));
    Service::spawn_with_input(command)
}

#[test]
fn a_socket_that_systemd_has_opened_is_used() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut service = inherit(&place, listener.try_clone().expect("a handle"));
    service.wait_until_it_serves();
    assert_eq!(service.address(), address);
    assert_eq!(service.get("/health/live").status, 200);
    service.stop();
    drop(listener);

    let path = place.path("systemd.sock");
    let mut service = inherit(&place, UnixListener::bind(&path).expect("a socket"));
    service.wait_for("serving");
    assert!(ask_at(&path).starts_with("HTTP/1.1 200"));
    service.stop();
    assert!(path.exists(), "it belongs to systemd");
}
