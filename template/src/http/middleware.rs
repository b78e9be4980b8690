//! The layers every request passes on its way to a handler, in one place and in order.

use std::any::Any;
use std::panic::resume_unwind;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::{RequestBodyDeadlineLayer, TimeoutLayer};
use tracing::Instrument;

use super::accept;
use super::cors::{self, Cors};
use super::cross_site::{self, Senders};
use super::overload::{self, Place, Places};
use super::page_cache::conditions::known_tag;
use super::problem::{self, Presentation, Problem};
use super::rate_limit::{self, RateLimiter, RateLimits};
use super::server::ServerSettings;
use crate::settings::Settings;

/// What only strangers need.
#[derive(Default)]
struct Guards {
    cors: Option<Cors>,
    limiter: Option<RateLimiter>,
    places: Option<Places>,
}

/// Wraps the routes of the API, inside of what is around all routes.
pub fn around_api(routes: Router) -> Router {
    routes
        .layer(from_fn(spare_the_body))
        .layer(map_response(ask_anew))
        .layer(from_fn(accept::only_json))
}

/// Who has the version that is there gets no body again (RFC 9110, section 13.1.2).
async fn spare_the_body(request: Request, next: Next) -> Response {
    let mut known = HeaderMap::new();
    if request.method().is_safe() {
        for tags in request.headers().get_all(IF_NONE_MATCH) {
            known.append(IF_NONE_MATCH, tags.clone());
        }
    }
    let mut response = next.run(request).await;
    let tag = response.headers().get(ETAG);
    let tag = tag.and_then(|tag| Some([tag.to_str().ok()?.to_owned()]));
    let has_it = tag.is_some_and(|tag| known_tag(&known, &tag, 0).is_some());
    if has_it && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        for of_the_body in [CONTENT_TYPE, CONTENT_LENGTH] {
            response.headers_mut().remove(of_the_body);
        }
    }
    response
}

/// What an answer of the API says changes, and with who asks: without a word, caches would guess how long it is good for
/// (RFC 9111, section 4.2.2).
async fn ask_anew(mut response: Response) -> Response {
    let anew = HeaderValue::from_static("private, no-cache");
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(anew);
    response
}

/// Wraps the routes that everybody reaches.
pub fn around_public(
    routes: Router,
    settings: &Settings,
    presentation: Presentation,
    writes: TaskTracker,
    limits: &RateLimits,
) -> Router {
    let quota = settings.rate_limit.quota();
    let guards = Guards {
        cors: Cors::of(&settings.cors),
        limiter: quota.map(|quota| limits.limiter("client", quota)),
        places: Places::of(&settings.server),
    };
    layered(routes, &settings.server, presentation, writes, guards)
}

/// Wraps routes that are not for strangers.
pub fn around(
    routes: Router,
    settings: &ServerSettings,
    presentation: Presentation,
    writes: TaskTracker,
) -> Router {
    layered(routes, settings, presentation, writes, Guards::default())
}

/// The first layer is the outermost.
fn layered(
    routes: Router,
    settings: &ServerSettings,
    presentation: Presentation,
    writes: TaskTracker,
    guards: Guards,
) -> Router {
    let senders = Senders {
        own: settings.public_url.clone(),
        friends: guards.cors.clone(),
    };
    let max_body = usize::try_from(settings.max_body.as_u64()).unwrap_or(usize::MAX);
    let layers = ServiceBuilder::new()
        // First, so that it speaks for every answer.
        .layer(from_fn(name_route))
        // Around errors too: a script of another site may read those as well.
        .option_layer(
            guards
                .cors
                .map(|cors| from_fn_with_state(cors, cors::share)),
        )
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
        .layer(from_fn_with_state(senders, cross_site::refuse))
        // Before the queue: nobody fills it alone.
        .option_layer(
            guards
                .limiter
                .map(|limiter| from_fn_with_state(limiter, rate_limit::refuse)),
        )
        // Inside the timeout, which counts the wait; around the writes, which begin in their place.
        .option_layer(
            guards
                .places
                .map(|places| from_fn_with_state(places, overload::shed)),
        )
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
    mut request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    // It keeps its place until it is done.
    let place = request.extensions_mut().remove::<Place>();
    let write = async move {
        let response = next.run(request).await;
        drop(place);
        response
    };
    let write = writes.spawn(write.in_current_span());
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
