//! The layers every request passes on its way to a handler, in one place and in order.

use std::any::Any;
use std::panic::resume_unwind;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::{RequestBodyDeadlineLayer, TimeoutLayer};
use tracing::Instrument;

use super::cross_site;
use super::problem::{self, Presentation, Problem};
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
        // First, so that it speaks for every answer.
        .layer(from_fn(name_route))
        // Around every source of errors below.
        .layer(from_fn_with_state(presentation, problem::respond))
        // A panic ends its own request only.
        .layer(CatchPanicLayer::custom(after_panic))
        // Inside the panic guard: the handler is dropped when its time is over.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            settings.request_timeout,
        ))
        // Before anything is done for the request.
        .layer(from_fn_with_state(
            settings.public_url.clone(),
            cross_site::refuse,
        ))
        // Inside the timeout: it ends the waiting for a write, not the write.
        .layer(from_fn_with_state(writes, finish_writes))
        // Read by the extractors that take a body.
        .layer(DefaultBodyLimit::max(max_body))
        // A write that nobody waits for any more must not wait for its body either.
        .layer(RequestBodyDeadlineLayer::new(settings.request_timeout));
    routes.layer(layers)
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

/// Tells [`super::Front`], which logs and counts, by which route the request was answered.
async fn name_route(route: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
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
    Problem::of_panic(cause).into_response()
}
