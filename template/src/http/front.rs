//! What every request meets first: it gets a name, is answered at once if it asks for a page in memory, and is logged and
//! counted.
//!
//! Everything else goes on to the routes and the layers around them. Both ways end in the same lines below, so that an
//! answer looks the same whichever it took.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, MatchedPath};
use axum::http::header::{CONTENT_LENGTH, USER_AGENT};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower::ServiceExt;
use tracing::Instrument;

use super::page_cache::{Asked, CacheStatus, PageCache, STATUS_HEADER};
use super::request_id::RequestId;
use super::security;
use super::server::Answer;
use crate::domain::clock::Clock;
use crate::telemetry::{InFlight, RequestRecord, RequestSeries};

/// The public service: pages in memory, and the routes behind them. A cheap handle.
#[derive(Clone)]
pub struct Front(Arc<Parts>);

struct Parts {
    pages: PageCache,
    routes: Router,
    clock: Clock,
}

/// What is known about a request when it arrives.
struct Arrival {
    at: Instant,
    client: SocketAddr,
    id: RequestId,
    method: &'static str,
}

/// What the log tells about an answer besides what it shows itself.
struct About<'a> {
    uri: &'a Uri,
    user_agent: Option<&'a HeaderValue>,
    route: &'a str,
    cache: &'a str,
    answered_at: i64,
    duration: Duration,
}

impl Answer for Front {
    type Body = Either<Full<Bytes>, Body>;

    fn answer(
        &self,
        client: SocketAddr,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<> {
        let arrival = Arrival {
            at: Instant::now(),
            client,
            id: RequestId::of(request.headers()),
            method: label(request.method()),
        };
        let answer = match self.page(arrival, &request) {
            Ok(page) => Ok(page),
            // In a box, because it is large, and moved even when there is nothing to wait for.
            Err(arrival) => Err(Box::pin(self.clone().route(arrival, request))),
        };
        async move {
            match answer {
                Ok(page) => page.map(Either::Left),
                Err(routes) => routes.await.map(Either::Right),
            }
        }
    }
}

impl Front {
    #[must_use]
    pub fn new(pages: PageCache, routes: Router, clock: Clock) -> Self {
        Self(Arc::new(Parts {
            pages,
            routes,
            clock,
        }))
    }

    /// The whole way of a page in memory. It never waits, so nothing on it is counted as being in flight.
    fn page<B>(
        &self,
        arrival: Arrival,
        request: &Request<B>,
    ) -> Result<Response<Full<Bytes>>, Arrival> {
        let Some(page) = self.0.pages.in_memory(request) else {
            return Err(arrival);
        };
        let now = self.0.clock.now_micros();
        let asked = Asked::at(now, request.method(), request.headers());
        let Ok(mut response) = page.answer(asked, CacheStatus::HitL1, page.stored_at()) else {
            return Err(arrival);
        };
        self.0.pages.encode_if_wanted(&page, asked);
        let duration = arrival.at.elapsed();
        page.count(arrival.method, response.status(), duration);
        let user_agent = request.headers().get(USER_AGENT);
        let about = About {
            uri: request.uri(),
            user_agent,
            route: page.route(),
            cache: CacheStatus::HitL1.as_str(),
            answered_at: now,
            duration,
        };
        arrival.finish(&mut response, &about);
        Ok(response)
    }

    async fn route(self, arrival: Arrival, mut request: Request<Incoming>) -> Response<Body> {
        let uri = request.uri().clone();
        let user_agent = request.headers().get(USER_AGENT).cloned();
        request.extensions_mut().insert(ConnectInfo(arrival.client));
        request.extensions_mut().insert(arrival.id.clone());
        let in_flight = InFlight::enter();
        let span = tracing::info_span!("request", request_id = arrival.id.as_str());
        let answer = self.0.routes.clone().oneshot(request).instrument(span);
        let Ok(mut response) = answer.await;
        drop(in_flight);
        let route = response.extensions_mut().remove::<MatchedPath>();
        let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
        if response.status() == StatusCode::NOT_MODIFIED {
            // The router says 0, but it would have to be the length of the page that is not sent (RFC 9110, section 8.6).
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        security::protect(response.headers_mut(), route);
        let duration = arrival.at.elapsed();
        let status = response.status().as_u16();
        RequestSeries::of(arrival.method, route, status).record(duration);
        let cache = response.headers().get(STATUS_HEADER).cloned();
        let about = About {
            uri: &uri,
            user_agent: user_agent.as_ref(),
            route,
            cache: text(cache.as_ref()),
            answered_at: self.0.clock.now_micros(),
            duration,
        };
        arrival.finish(&mut response, &about);
        response
    }
}

impl Arrival {
    /// Logs the answer and names it.
    fn finish<B: HttpBody>(self, response: &mut Response<B>, about: &About<'_>) {
        RequestRecord {
            at: about.answered_at,
            request_id: self.id.as_str(),
            method: self.method,
            route: about.route,
            path: about.uri.path(),
            status: response.status().as_u16(),
            duration: about.duration,
            bytes: response.body().size_hint().exact(),
            cache: about.cache,
            client: Some(self.client.ip()),
            user_agent: text(about.user_agent),
        }
        .log();
        self.id.name(response.headers_mut());
    }
}

/// A label must be bounded: any word can be a method.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

fn text(value: Option<&HeaderValue>) -> &str {
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
