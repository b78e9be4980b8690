//! What every request passes on its way to the routes, in one place and in order.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tower_http::timeout::DeadlineBody;

use super::api::Wishes;
use super::cors::Cors;
use super::cross_site::Senders;
use super::overload::{Place, Places};
use super::problem::{self, About, Kind, Presentation, Problem};
use super::rate_limit::{self, RateLimiter, RateLimits};
use super::request_id::RequestId;
use super::routes::{Names, Routes};
use super::server::ServerSettings;
use crate::settings::Settings;
use crate::telemetry;

/// Headers that an answer gets on its way out.
const ROOM: usize = 12;

/// The routes of a listener, and what is around all of them. A cheap handle.
///
/// It is around the router and not a layer in it: axum copies a layer, and all that is inside of it, for every request.
#[derive(Clone)]
pub struct Edge(Arc<Parts>);

/// What the service knows of those who ask, and of what is done for them.
struct Parts {
    routes: Router,
    names: Names,
    presentation: Presentation,
    /// Of a request, and of its body.
    timeout: Duration,
    body_limit: DefaultBodyLimit,
    writes: TaskTracker,
    cors: Option<Cors>,
    senders: Senders,
    limiter: Option<RateLimiter>,
    places: Option<Places>,
}

/// A write is given up after so many times the time that its client waits: it must not keep its place for ever.
const LONGEST_WRITE: u32 = 2;

/// How a request is called for which there is no route.
pub(super) const UNMATCHED: &str = "unmatched";

/// How one is called with which a browser asks what it may ask.
const PREFLIGHT: &str = "preflight";

impl Edge {
    /// Around the routes that everybody reaches.
    #[must_use]
    pub fn public(
        routes: Routes,
        settings: &Settings,
        presentation: Presentation,
        writes: TaskTracker,
        limits: &RateLimits,
    ) -> Self {
        let mut parts = Parts::new(routes, &settings.server, presentation, writes);
        let quota = settings.rate_limit.quota();
        parts.cors = Cors::of(&settings.cors);
        parts.senders.friends.clone_from(&parts.cors);
        parts.limiter = quota.map(|quota| limits.limiter("client", quota));
        parts.places = Places::of(&settings.server);
        Self(Arc::new(parts))
    }

    /// Around routes that are not for strangers.
    #[must_use]
    pub fn private(
        routes: Routes,
        settings: &ServerSettings,
        presentation: Presentation,
        writes: TaskTracker,
    ) -> Self {
        Self(Arc::new(Parts::new(routes, settings, presentation, writes)))
    }

    pub async fn answer(&self, request: Request) -> Response {
        self.route(request).await.0
    }

    /// Answers, and says what the log and the metrics call the route.
    pub(super) async fn route(&self, request: Request) -> (Response, &str) {
        let parts = &*self.0;
        let route = parts.names.find(request.uri().path());
        let pass = |request| parts.pass(request, route);
        let (response, is_preflight) = match &parts.cors {
            // Around errors too: a script of another site may read those as well.
            Some(cors) => cors.share(request, pass).await,
            None => (pass(request).await, false),
        };
        let known = route.unwrap_or(UNMATCHED);
        (response, if is_preflight { PREFLIGHT } else { known })
    }

    /// What the log and the metrics call the route of a request that got no answer.
    pub(super) fn route_of(&self, path: &str) -> &str {
        self.0.names.find(path).unwrap_or(UNMATCHED)
    }
}

impl Parts {
    /// As it is for those who are no strangers.
    fn new(
        routes: Routes,
        settings: &ServerSettings,
        presentation: Presentation,
        writes: TaskTracker,
    ) -> Self {
        let max_body = usize::try_from(settings.max_body.as_u64()).unwrap_or(usize::MAX);
        let names = Names::of(routes.table());
        Self {
            routes: routes.into_router(),
            names,
            presentation,
            timeout: settings.request_timeout,
            body_limit: DefaultBodyLimit::max(max_body),
            writes,
            cors: None,
            senders: Senders {
                own: settings.public_url.clone(),
                friends: None,
            },
            limiter: None,
            places: None,
        }
    }

    /// Every answer gets its final form here.
    async fn pass(&self, mut request: Request, route: Option<&str>) -> Response {
        if !request.body().is_end_stream() {
            // Read by the extractors that take a body. Where there is none it would be noted for nothing.
            self.body_limit.apply(&mut request);
        }
        let about = About::of(&request, self.presentation);
        // When its time is over the handler is dropped, and so is the waiting for a place or a write. The write has longer.
        let answer = timeout(self.timeout, self.admit(request, about.path()));
        // A panic ends its own request only.
        let answer = match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Problem::new(Kind::Timeout).into_response(),
            Err(panic) => after_panic(&*panic),
        };
        about.present(answer, route)
    }

    /// Lets a request through to its handler, or says why not.
    async fn admit(&self, request: Request, path: &str) -> Response {
        // Before anything is done for the request.
        if let Err(problem) = self.senders.check(&request) {
            return problem.into_response();
        }
        // Before the queue: it takes a client many requests to fill it.
        let client = request.extensions().get().copied();
        let standing = match rate_limit::check(self.limiter.as_ref(), client, path).await {
            Ok(standing) => standing,
            Err(exceeded) => return exceeded.into_response(),
        };
        let answer = self.hand_on(request, path).await;
        let mut response = answer.unwrap_or_else(IntoResponse::into_response);
        if let Some(standing) = standing {
            standing.tell(response.headers_mut());
        }
        response
    }

    async fn hand_on(&self, request: Request, path: &str) -> Result<Response, Problem> {
        let wishes = Wishes::of(&request)?;
        let place = match &self.places {
            // An instance that is busy is not ill.
            Some(places) if !super::is_health(path) => Some(places.enter().await?),
            _ => None,
        };
        let mut response = self.run(request, place).await;
        // Made once for all that is said of every answer.
        response.headers_mut().reserve(ROOM);
        if let Some(wishes) = wishes {
            wishes.heed(&mut response);
        }
        Ok(response)
    }

    /// A request that may change something goes to its end even if its client goes away. A handler is otherwise dropped
    /// where it stands, and a change in the database that neither cache nor listeners hear of would stay hidden.
    async fn run(&self, request: Request, place: Option<Place>) -> Response {
        if request.method().is_safe() {
            return handle(self.routes.clone(), request, place).await;
        }
        let id = request.extensions().get::<RequestId>().cloned();
        // Half of the time is for the body: a client that is slower is told so, and the service has not failed.
        let patience = self.timeout / 2;
        let request = request.map(|body| Body::new(DeadlineBody::new(patience, body)));
        let work = handle(self.routes.clone(), request, place);
        let longest = self.timeout * LONGEST_WRITE;
        // The second half goes with whoever waits.
        let (heard, _waits) = oneshot::channel::<Infallible>();
        let work = async move {
            let Ok(response) = timeout(longest, work).await else {
                tracing::error!("a write was given up: what it changed, caches may not know");
                return Problem::new(Kind::Timeout).into_response();
            };
            if heard.is_closed() {
                problem::report_unheard(&response, id.as_ref());
            }
            response
        };
        let write = self.writes.spawn(telemetry::following(work));
        write
            .await
            .unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
    }
}

async fn handle(routes: Router, request: Request, place: Option<Place>) -> Response {
    let Ok(response) = routes.oneshot(request).await;
    // Not before it is done.
    drop(place);
    response
}

fn after_panic(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let cause = anyhow::anyhow!("the handler panicked: {}", text.unwrap_or("no message"));
    Problem::of_panic(cause).into_response()
}
