//! The layers every request passes on its way to a handler, in one place and in order.

use std::any::Any;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::time::Instant;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use metrics::{Gauge, counter, gauge, histogram};
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::{RequestBodyDeadlineLayer, TimeoutLayer};
use tracing::Instrument;

use super::page_cache;
use super::problem::{self, Kind, Presentation, Problem};
use super::request_id::{self, RequestId};
use super::server::ServerSettings;

/// Wraps the public routes. The first layer is the outermost.
pub fn around(
    routes: Router,
    settings: &ServerSettings,
    presentation: Presentation,
    writes: TaskTracker,
) -> Router {
    let max_body = usize::try_from(settings.max_body.as_u64()).unwrap_or(usize::MAX);
    let layers = ServiceBuilder::new()
        // First, because the log line and the problem both name the request.
        .layer(from_fn(request_id::assign))
        // Around everything that can change the status it reports.
        .layer(from_fn(observe))
        // Around every source of errors below.
        .layer(from_fn_with_state(presentation, problem::respond))
        // A panic ends its own request only.
        .layer(CatchPanicLayer::custom(after_panic))
        // Inside the panic guard: the handler is dropped when its time is over.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            settings.request_timeout,
        ))
        // Inside the timeout: it ends the waiting for a write, not the write.
        .layer(from_fn_with_state(writes, finish_writes))
        // Read by the extractors that take a body.
        .layer(DefaultBodyLimit::max(max_body))
        // A write that nobody waits for any more must not wait for its body either.
        .layer(RequestBodyDeadlineLayer::new(settings.request_timeout));
    routes
        .fallback(async || Problem::new(Kind::NotFound))
        .layer(layers)
}

/// A request that may change something goes to its end even if its client goes away. A handler is otherwise dropped
/// where it stands, and a change in the database that neither cache nor listeners hear of would stay hidden.
async fn finish_writes(
    State(writes): State<TaskTracker>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let write = writes.spawn(next.run(request).in_current_span());
    write
        .await
        .unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
}

/// One log line and the request metrics, when the answer is ready.
async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(&request);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let path = request.uri().path().to_owned();
    let client = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip().to_string());
    let user_agent = text(request.headers().get(USER_AGENT)).to_owned();
    let id = request
        .extensions()
        .get::<RequestId>()
        .map_or("", RequestId::as_str)
        .to_owned();

    let in_flight = InFlight::enter();
    let span = tracing::info_span!("request", request_id = id);
    let response = next.run(request).instrument(span.clone()).await;
    drop(in_flight);

    let duration = started.elapsed();
    let status = response.status().as_u16();
    let labels = [
        ("method", method.to_owned()),
        ("route", route.clone()),
        ("status", status.to_string()),
    ];
    counter!("http_requests_total", &labels).increment(1);
    histogram!("http_request_duration_seconds", &labels).record(duration);
    span.in_scope(|| {
        tracing::info!(
            method,
            route,
            path,
            status,
            duration_ms = duration.as_secs_f64() * 1000.0,
            bytes = response.body().size_hint().exact(),
            cache = text(response.headers().get(page_cache::STATUS_HEADER)),
            client,
            user_agent,
            "request"
        );
    });
    response
}

/// Counts a request until it is dropped, which happens in the middle when the client goes away.
struct InFlight(Gauge);

impl InFlight {
    fn enter() -> Self {
        let gauge = gauge!("http_requests_in_flight");
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// A label must be bounded: any word can be a method.
fn method_label(request: &Request) -> &'static str {
    match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

fn text(value: Option<&HeaderValue>) -> &str {
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature tower-http asks for"
)]
fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let cause = anyhow::anyhow!(
        "the handler panicked: {}",
        text.as_deref().unwrap_or("no message")
    );
    Problem::new(Kind::Internal).cause(cause).into_response()
}
