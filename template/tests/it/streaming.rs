//! An answer that comes in parts reaches its client in parts, whatever is around the handler.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use app::component::Routes;
use app::http::page_cache::PageCache;
use app::http::problem::Presentation;
use app::http::{self, Edge, Front};
use app::infra::cache::Store;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::{fixed_clock, request, settings_alone};

#[tokio::test]
async fn an_answer_is_sent_while_the_rest_of_it_is_being_made() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    let body = Arc::new(Mutex::new(Some(Body::new(body))));
    let handler = async move || body.lock().expect("no panic").take().expect("one request");
    let routes = Routes::new().get("/", handler);
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
    let _stop = stop.drop_guard();

    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
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
