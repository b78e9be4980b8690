//! What another service is told, and what a span says of the call.

use app::domain::clock::Clock;
use app::infra::outbound::Outbound;
use app::settings::Environment;
use app::telemetry::traces::{self, spans};
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::{Method, Request, Url};
use tokio::net::TcpListener;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

use super::collector::{Collector, attribute, hex};
use crate::support::settings_alone;

/// Answers with the headers it was asked with.
async fn mirror() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = async |headers: HeaderMap| format!("{headers:?}");
    let routes = Router::new().route("/path", get(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Url::parse(&format!("http://{address}/path")).expect("a URL")
}

#[tokio::test]
async fn a_call_to_another_service_carries_the_trace() {
    let mut collector = Collector::http();
    let endpoint = collector.endpoint();
    let settings = settings_alone(&[
        ("APP__OTEL__ENDPOINT", &endpoint),
        // The other tests of this process are not meant.
        ("APP__OTEL__SAMPLE_RATIO", "0"),
    ]);
    traces::init(&settings.otel, Environment::Test).expect("it starts");
    let subscriber = tracing_subscriber::registry().with(traces::layer());
    let _guard = tracing::subscriber::set_default(subscriber);
    let outbound = Outbound::new(&settings.outbound, Clock::system());
    let other = mirror().await;

    let request = Request::new(Method::GET, other.clone());
    let answer = outbound.send(request).await.expect("an answer");
    let told = answer.text().await.expect("text");
    assert!(!told.contains("traceparent"), "{told}");

    let (span, ids) = spans::request("r-1", "GET", "/", None).expect("a span");
    let request = Request::new(Method::GET, other.clone());
    let answer = outbound.send(request).instrument(span.clone()).await;
    let told = answer.expect("an answer").text().await.expect("text");
    drop(span);
    traces::close().await;

    let call = collector.wait_for(|span| span.kind() == SpanKind::Client);
    assert_eq!(call.name, "GET");
    assert_eq!(hex(&call.trace_id), ids.trace.to_string());
    assert_eq!(hex(&call.parent_span_id), ids.span.to_string());
    let port = other.port().map(|port| port.to_string());
    for (key, value) in [
        ("http.request.method", Some("GET".to_owned())),
        ("http.response.status_code", Some("200".to_owned())),
        ("server.address", Some("127.0.0.1".to_owned())),
        ("server.port", port),
    ] {
        assert_eq!(attribute(&call, key), value, "{key}");
    }
    let parent = format!("00-{}-{}-01", ids.trace, hex(&call.span_id));
    assert!(told.contains(&parent), "{told} without {parent}");
}
