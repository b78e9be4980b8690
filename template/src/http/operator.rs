//! The operator's listener: all but the metrics wants the token, and leaves a line in the log.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use metrics::counter;
use subtle::ConstantTimeEq;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::client_address::ClientAddress;
use super::edge::Edge;
use super::problem::{Kind, Presentation, Problem};
use super::rate_limit::{Quota, RateLimiter, RateLimits};
use super::request_id::{self, RequestId};
use super::routes::Routes;
use super::server::{Answer, Client};
use crate::settings::{Secret, Settings};

/// The only route that is open to everybody who reaches this listener.
const OPEN: &str = "/metrics";

/// How many requests with a token one client may send in a minute, whether it is right or not: otherwise it could be guessed.
const TRIES: u32 = 60;

/// What answers operators. A cheap handle.
#[derive(Clone)]
pub struct Operator(Edge);

impl Operator {
    /// Without a token in the settings all routes that want one refuse everything.
    #[must_use]
    pub fn new(
        routes: Routes,
        settings: &Settings,
        limits: &RateLimits,
        writes: TaskTracker,
    ) -> Self {
        let presentation = Presentation {
            page: None,
            development: settings.environment.is_development(),
        };
        let gate = Gate {
            token: settings.operator.token.clone(),
            tries: limits.limiter("operator", Quota::new(TRIES, Duration::from_mins(1))),
        };
        let routes = routes
            // Below them nobody learns without the token what there is.
            .any("/admin/{*path}", nothing)
            .any("/debug/{*path}", nothing)
            .wrap(|routes| routes.route_layer(from_fn_with_state(gate, admit)));
        let server = &settings.server;
        Self(Edge::private(routes, server, presentation, writes))
    }

    /// Names the request; unless it only reads the metrics, also logs and counts it.
    pub async fn respond(&self, mut request: Request, client: Option<IpAddr>) -> Response {
        let started = Instant::now();
        let id = RequestId::of(request.headers().get(request_id::HEADER));
        request.extensions_mut().insert(id.clone());
        if let Some(ip) = client {
            let is_https = false;
            request
                .extensions_mut()
                .insert(ClientAddress { ip, is_https });
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        // Named on lines of any level.
        let span = tracing::error_span!("operator", request_id = id.as_str());
        let answer = self.0.route(request).instrument(span.clone());
        let (mut response, route) = answer.await;
        id.name(response.headers_mut());
        if route == OPEN {
            return response;
        }
        let (path, status) = (uri.path(), response.status());
        let labels = [
            ("route", route.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        counter!("operator_requests_total", &labels).increment(1);
        let (method, status_code) = (method.as_str(), status.as_u16());
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        let client = client.map(|ip| ip.to_string());
        span.in_scope(|| {
            if status == StatusCode::UNAUTHORIZED {
                // Without the query, in case the token is there.
                tracing::warn!(method, path, client, "an operator's request was refused");
            } else {
                let query = uri.query();
                tracing::info!(
                    method,
                    path,
                    query,
                    status = status_code,
                    duration_ms,
                    client,
                    "an operator's request"
                );
            }
        });
        response
    }
}

impl Answer for Operator {
    const LISTENER: &'static str = "operator";

    type Body = Body;

    fn answer(
        &self,
        client: &Arc<Client>,
        request: HttpRequest<Incoming>,
    ) -> impl Future<Output = Response> + Send + use<> {
        let (operator, client) = (self.clone(), client.address.ip().to_canonical());
        Box::pin(async move { operator.respond(request.map(Body::new), Some(client)).await })
    }
}

async fn nothing() -> Problem {
    Problem::new(Kind::NotFound)
}

/// What there is to pass.
#[derive(Clone)]
struct Gate {
    token: Option<Secret>,
    tries: RateLimiter,
}

async fn admit(
    State(Gate { token, tries }): State<Gate>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    if route.as_str() == OPEN {
        return next.run(request).await;
    }
    let sent = bearer(request.headers());
    if sent.is_some()
        && let Some(client) = request.extensions().get::<ClientAddress>()
        && let Err(exceeded) = tries.check(client.ip).await
    {
        return exceeded.into_response();
    }
    let (challenge, detail) = match (token, sent) {
        (Some(token), Some(sent)) if is_same(&token, sent) => return next.run(request).await,
        (Some(_), Some(_)) => (
            r#"Bearer realm="operator", error="invalid_token""#,
            "This is not the token of this service.",
        ),
        (Some(_), None) => (
            r#"Bearer realm="operator""#,
            "Send the token as Authorization: Bearer TOKEN.",
        ),
        (None, _) => (
            r#"Bearer realm="operator""#,
            "This service has no token, so nobody gets in; set operator.token.",
        ),
    };
    let problem = Problem::new(Kind::Unauthenticated).detail(detail);
    ([(WWW_AUTHENTICATE, challenge)], problem).into_response()
}

/// The token that was sent (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim_ascii())
}

/// Takes as long for a token that is nearly right as for any other of its length.
fn is_same(token: &Secret, sent: &str) -> bool {
    token.expose().as_bytes().ct_eq(sent.as_bytes()).into()
}
