//! Answers that take their time: what comes in parts is sent in parts, and whoever goes away before is counted.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::component::Routes;
use app::http::page_cache::PageCache;
use app::http::problem::Presentation;
use app::http::{self, Edge, Front, Problem};
use app::infra::cache::Store;
use app::telemetry::Exporter;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::support::{fixed_clock, request, settings_alone};

/// Serves `routes` until it is dropped.
async fn serve(routes: Routes) -> (SocketAddr, DropGuard) {
    let settings = settings_alone(&[]);
    let edge = Edge::private(
        routes,
        &settings.server,
        Presentation::default(),
        TaskTracker::new(),
    );
    let clock = fixed_clock();
    let store = Store::in_memory(settings.cache, clock.clone());
    let front = Front::new(PageCache::new(&store, clock.clone()), edge, clock);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    tokio::spawn(http::serve(listener, front, settings.server, stop.clone()));
    (address, stop.drop_guard())
}

async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (client, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn a_client_that_goes_away_before_its_answer_is_counted() {
    let exporter = Exporter::install().expect("nothing else records");
    let series = r#"http_requests_total{method="GET",route="/endless",status="499"} 1"#;
    let (arrived, mut arrival) = mpsc::channel(1);
    let endless = async move || {
        arrived.send(()).await.expect("the test waits");
        pending::<Problem>().await
    };
    let (address, _stop) = serve(Routes::new().get("/endless", endless)).await;
    let mut client = connect(address).await;
    let asking = tokio::spawn(async move {
        client
            .send_request(request("GET", "/endless", &[], Body::empty()))
            .await
    });
    arrival.recv().await.expect("the handler runs");
    asking.abort();
    let seen = async {
        while !exporter.render().contains(series) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
    assert!(seen.is_ok(), "nobody has counted it");
}

#[tokio::test]
async fn an_answer_is_sent_while_the_rest_of_it_is_being_made() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    let body = Arc::new(Mutex::new(Some(Body::new(body))));
    let handler = async move || body.lock().expect("no panic").take().expect("one request");
    let routes = Routes::new().get("/", handler);
    let (address, _stop) = serve(routes).await;
    let mut client = connect(address).await;
    let answer = client.send_request(request("GET", "/", &[], Body::empty()));
    let mut answer = answer.await.expect("an answer").into_body();
    for part in ["one", "two", "three"] {
        // Nothing of the next part exists yet when this one arrives.
        sender.send_data(part.into()).await.expect("it is wanted");
        let frame = answer.frame().await.expect("a part").expect("no error");
        assert_eq!(frame.into_data().expect("data"), part);
    }
    drop(sender);
    assert!(answer.frame().await.is_none());
}
