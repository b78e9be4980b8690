//! What every request passes on its way to a handler, in one place and in order.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower_http::timeout::DeadlineBody;
use tracing::Instrument;

use super::accept;
use super::cors::{self, Cors};
use super::cross_site::Senders;
use super::overload::{Place, Places};
use super::page_cache::conditions::known_tag;
use super::problem::{About, Kind, Presentation, Problem};
use super::rate_limit::{self, RateLimiter, RateLimits};
use super::server::ServerSettings;
use crate::settings::Settings;

/// Wraps the routes of the API, inside of what is around all routes.
pub fn around_api(routes: Router) -> Router {
    routes.layer(from_fn(speak_json))
}

async fn speak_json(request: Request, next: Next) -> Response {
    if let Err(problem) = accept::only_json(request.headers()) {
        return problem.into_response();
    }
    let mut known = HeaderMap::new();
    if request.method().is_safe() {
        for tags in request.headers().get_all(IF_NONE_MATCH) {
            known.append(IF_NONE_MATCH, tags.clone());
        }
    }
    let mut response = next.run(request).await;
    spare_the_body(&mut response, &known);
    // What the API says changes, and with who asks: without a word, caches would guess how long it is good for (RFC 9111,
    // section 4.2.2).
    let anew = HeaderValue::from_static("private, no-cache");
    response.headers_mut().entry(CACHE_CONTROL).or_insert(anew);
    response
}

/// Who has the version that is there gets no body again (RFC 9110, section 13.1.2).
fn spare_the_body(response: &mut Response, known: &HeaderMap) {
    let tag = response.headers().get(ETAG);
    let tag = tag.and_then(|tag| Some([tag.to_str().ok()?]));
    let has_it = tag.is_some_and(|tag| known_tag(known, &tag, 0).is_some());
    if has_it && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        for of_the_body in [CONTENT_TYPE, CONTENT_LENGTH] {
            response.headers_mut().remove(of_the_body);
        }
    }
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
    let cors = Cors::of(&settings.cors);
    let mut edge = Edge::new(&settings.server, presentation, writes);
    edge.senders.friends.clone_from(&cors);
    edge.limiter = quota.map(|quota| limits.limiter("client", quota));
    edge.places = Places::of(&settings.server);
    let routes = layered(routes, edge);
    // Around errors too: a script of another site may read those as well.
    match cors {
        Some(cors) => routes.layer(from_fn_with_state(cors, cors::share)),
        None => routes,
    }
}

/// Wraps routes that are not for strangers.
pub fn around(
    routes: Router,
    settings: &ServerSettings,
    presentation: Presentation,
    writes: TaskTracker,
) -> Router {
    layered(routes, Edge::new(settings, presentation, writes))
}

/// One function in one layer: each copies all that is inside of it for every request.
fn layered(routes: Router, edge: Edge) -> Router {
    let layers = ServiceBuilder::new()
        // Read by the extractors that take a body.
        .layer(DefaultBodyLimit::max(edge.max_body))
        .layer(from_fn_with_state(Arc::new(edge), pass));
    routes.layer(layers)
}

/// What the service knows of those who ask, and of what is done for them.
struct Edge {
    presentation: Presentation,
    /// Of a request, and of its body.
    timeout: Duration,
    max_body: usize,
    writes: TaskTracker,
    senders: Senders,
    limiter: Option<RateLimiter>,
    places: Option<Places>,
}

impl Edge {
    /// As it is for those who are no strangers.
    fn new(settings: &ServerSettings, presentation: Presentation, writes: TaskTracker) -> Self {
        Self {
            presentation,
            timeout: settings.request_timeout,
            max_body: usize::try_from(settings.max_body.as_u64()).unwrap_or(usize::MAX),
            writes,
            senders: Senders {
                own: settings.public_url.clone(),
                friends: None,
            },
            limiter: None,
            places: None,
        }
    }

    /// Lets a request through to its handler, or says why not.
    async fn admit(&self, request: Request, next: Next) -> Response {
        // Before anything is done for the request.
        if let Err(problem) = self.senders.check(&request) {
            return problem.into_response();
        }
        let path = request.uri().clone();
        let path = path.path();
        // Before the queue: nobody fills it alone.
        let client = request.extensions().get().copied();
        let standing = match rate_limit::check(self.limiter.as_ref(), client, path).await {
            Ok(standing) => standing,
            Err(exceeded) => return exceeded.into_response(),
        };
        let mut response = match self.place(path).await {
            Ok(place) => self.run(request, place, next).await,
            Err(problem) => problem.into_response(),
        };
        if let Some(standing) = standing {
            standing.tell(response.headers_mut());
        }
        response
    }

    async fn place(&self, path: &str) -> Result<Option<Place>, Problem> {
        match &self.places {
            // An instance that is busy is not ill.
            Some(places) if !super::is_health(path) => places.enter().await.map(Some),
            _ => Ok(None),
        }
    }

    /// A request that may change something goes to its end even if its client goes away. A handler is otherwise dropped
    /// where it stands, and a change in the database that neither cache nor listeners hear of would stay hidden.
    async fn run(&self, request: Request, place: Option<Place>, next: Next) -> Response {
        if request.method().is_safe() {
            let response = next.run(request).await;
            drop(place);
            return response;
        }
        // It must not wait for its body for ever, but somewhat longer than its client for an answer.
        let patience = self.timeout + Duration::from_secs(1);
        let request = request.map(|body| Body::new(DeadlineBody::new(patience, body)));
        let work = async move {
            let response = next.run(request).await;
            // Not before it is done.
            drop(place);
            response
        };
        let write = self.writes.spawn(work.in_current_span());
        write
            .await
            .unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
    }
}

/// Every answer gets its final form here, and the route by which it was made: [`super::Front`] logs and counts by it.
async fn pass(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let about = About::of(&request, edge.presentation);
    // When its time is over the handler is dropped, and so is the waiting for a place or a write, but not the write.
    let answer = timeout(edge.timeout, edge.admit(request, next));
    // A panic ends its own request only.
    let answer = match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Problem::new(Kind::Timeout).into_response(),
        Err(panic) => after_panic(&*panic),
    };
    let mut response = about.present(answer);
    if let Some(route) = about.route {
        response.extensions_mut().insert(route);
    }
    response
}

fn after_panic(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let cause = anyhow::anyhow!(
        "the handler panicked: {}",
        text.as_deref().unwrap_or("no message")
    );
    Problem::of_panic(cause).into_response()
}
