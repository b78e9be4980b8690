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
use axum::http::header::USER_AGENT;
use axum::http::{HeaderValue, Method, Request, Response, Uri};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower::ServiceExt;
use tracing::Instrument;

use super::page_cache::{Asked, CacheStatus, PageCache, STATUS_HEADER};
use super::request_id::{self, RequestId};
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

impl Answer for Front {
    type Body = Either<Full<Bytes>, Body>;

    async fn answer(self, client: SocketAddr, request: Request<Incoming>) -> Response<Self::Body> {
        let arrival = Arrival {
            at: Instant::now(),
            client,
            id: RequestId::of(request.headers()),
            method: label(request.method()),
        };
        match self.from_memory(&arrival, &request) {
            Some(page) => page.map(Either::Left),
            None => self.from_routes(arrival, request).await.map(Either::Right),
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

    /// The whole way of a hit in memory. It never waits, so nothing of it is counted as being in flight.
    fn from_memory(
        &self,
        arrival: &Arrival,
        request: &Request<Incoming>,
    ) -> Option<Response<Full<Bytes>>> {
        let page = self.0.pages.in_memory(request)?;
        let now = self.0.clock.now();
        let asked = Asked {
            method: request.method(),
            headers: request.headers(),
            now: now.timestamp_micros(),
        };
        let mut response = page
            .answer(asked, CacheStatus::HitL1, page.stored_at())
            .ok()?;
        self.0.pages.encode_if_wanted(&page, request.headers());
        let duration = arrival.at.elapsed();
        page.count(arrival.method, response.status(), duration);
        let user_agent = request.headers().get(USER_AGENT);
        let about = (request.uri(), user_agent, page.route());
        arrival.finish(&mut response, about, now, duration);
        Some(response)
    }

    async fn from_routes(
        &self,
        arrival: Arrival,
        mut request: Request<Incoming>,
    ) -> Response<Body> {
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
        security::protect(response.headers_mut(), route);
        let duration = arrival.at.elapsed();
        let status = response.status().as_u16();
        RequestSeries::of(arrival.method, route, status).record(duration);
        let about = (&uri, user_agent.as_ref(), route);
        arrival.finish(&mut response, about, self.0.clock.now(), duration);
        response
    }
}

impl Arrival {
    /// Names the answer and logs it.
    fn finish<B: HttpBody>(
        &self,
        response: &mut Response<B>,
        (uri, user_agent, route): (&Uri, Option<&HeaderValue>, &str),
        now: DateTime<Utc>,
        duration: Duration,
    ) {
        let headers = response.headers_mut();
        headers.insert(request_id::HEADER, self.id.value());
        RequestRecord {
            at: now,
            request_id: self.id.as_str(),
            method: self.method,
            route,
            path: uri.path(),
            status: response.status().as_u16(),
            duration,
            bytes: response.body().size_hint().exact(),
            cache: text(response.headers().get(STATUS_HEADER)),
            client: Some(self.client.ip()),
            user_agent: text(user_agent),
        }
        .log();
    }
}

/// A label must be bounded: any word can be a method.
fn label(method: &Method) -> &'static str {
    match method.as_str() {
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
