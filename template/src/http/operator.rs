//! The layers of the operator's listener: all but the metrics wants the token, and leaves a line in the log.

use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use metrics::counter;
use subtle::ConstantTimeEq;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::middleware::around;
use super::problem::{Kind, Presentation, Problem};
use super::request_id::{self, RequestId};
use crate::settings::{Secret, Settings};

/// The only route that is open to everybody who reaches this listener.
const OPEN: &str = "/metrics";

/// Wraps the operator's routes. Without a token in the settings all that want one refuse everything.
pub fn around_operator(routes: Router, settings: &Settings, writes: TaskTracker) -> Router {
    let presentation = Presentation {
        page: None,
        development: settings.environment.is_development(),
    };
    let token = settings.operator.token.clone();
    let nothing = async || Problem::new(Kind::NotFound);
    let routes = routes
        // Below them nobody learns without the token what there is.
        .route("/admin/{*path}", any(nothing))
        .route("/debug/{*path}", any(nothing))
        .route_layer(from_fn_with_state(token, admit));
    around(routes, &settings.server, presentation, writes).layer(from_fn(observe))
}

async fn admit(
    State(token): State<Option<Secret>>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    if route.as_str() == OPEN {
        return next.run(request).await;
    }
    let (challenge, detail) = match (token, bearer(request.headers())) {
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

/// Names the request; unless it only reads the metrics, also logs and counts it.
async fn observe(route: Option<MatchedPath>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers().get(request_id::HEADER));
    request.extensions_mut().insert(id.clone());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let client = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip().to_string());

    let span = tracing::info_span!("operator", request_id = id.as_str());
    let mut response = next.run(request).instrument(span.clone()).await;
    id.name(response.headers_mut());
    let Some(route) = route.filter(|route| route.as_str() != OPEN) else {
        return response;
    };
    let (path, status) = (uri.path(), response.status());
    let labels = [
        ("route", route.as_str().to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    counter!("operator_requests_total", &labels).increment(1);
    let (method, status_code) = (method.as_str(), status.as_u16());
    let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
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
