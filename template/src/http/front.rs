//! What every request meets first: a name, an answer if it asks for something in memory, a line in the log.{% capture body %}
//!
//! Everything else goes on to the edge and the routes in it. Nobody can tell from an answer, its line in the log or
//! the metrics which way it went; tests hold the two equal.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::header::{ALLOW, CONTENT_LENGTH, STRICT_TRANSPORT_SECURITY, USER_AGENT};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;

use super::client_address::{ClientAddress, TrustedProxies};
use super::edge::Edge;
use super::page_cache::{Asked, CacheStatus, PageCache, STATUS_HEADER, StoredPage};
use super::request_id::RequestId;
use super::security::{self, SecuritySettings};
use super::server::{Answer, Client, Plain, ServerSettings};
use crate::domain::clock::Clock;
use crate::infra::cache::Cached;
use crate::telemetry::{
    CurrentRequest, InFlight, RequestRecord, RequestSeries, RequestSpan, in_request,
};

/// The public service: pages in memory, and the routes behind them. A cheap handle.
#[derive(Clone)]
pub struct Front(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    pages: PageCache,
    routes: Edge,
    proxies: TrustedProxies,
    /// For those who come by https.
    strict_transport: Option<HeaderValue>,
    clock: Clock, //~{% if frontend == "pages" %}
    /// Those that are in memory too.
    assets: Option<super::assets::Assets>, //~{% endif %}
}

/// A request that has just come.
struct Arrival {
    at: Instant,
    client: ClientAddress,
    id: RequestId, //~{% if features contains "otel" %}
    /// If it is traced.
    trace: super::trace::Trace, //~{% endif %}
}

impl Arrival {
    fn of(at: Instant, client: ClientAddress, asked: Asked<'_>) -> Self {
        let id = RequestId::of(asked.request_id); //~{% if features contains "otel" %}
        // Decided once, whichever way it goes.
        let trace = super::trace::Trace::begin(at, asked, id.as_str()); //~{% endif %}
        Self {
            at,
            client,
            // Its own, or the one that it came with.
            id, //~{% if features contains "otel" %}
            // For as long as the answer takes.
            trace, //~{% endif %}
        }
    }

    /// Tells the log how it was answered.
    fn log(&self, record: &RequestRecord<'_>) {
        record.log(RequestSpan {
            request_id: self.id.as_str(), //~{% if features contains "otel" %}
            // As the answer has it.
            trace: self.trace.ids(), //~{% endif %}
        }); //~{% if features contains "otel" %}
        self.trace.end(record, self.client.is_https); //~{% endif %}
    }

    /// Names it in its answer.
    fn name(self, answer: &mut HeaderMap) {
        self.id.name(answer); //~{% if features contains "otel" %}
        self.trace.name(answer); //~{% endif %}
    }
}

/// The address for the log. That of the peer is written already.
fn name_of(client: ClientAddress, connection: &Client) -> Cow<'_, str> {
    if client.ip == connection.address.ip().to_canonical() {
        Cow::Borrowed(&connection.ip)
    } else {
        Cow::Owned(client.ip.to_string())
    }
}

/// What is in memory, finished.
enum Kept {
    Page(Cached<StoredPage>), //~{% if frontend == "pages" %}
    /// In the binary.
    Asset(Arc<super::assets::File>), //~{% endif %}
}

impl Kept {
    /// What of it is sent `now`, if anything is. A page may be encoded after that.
    fn answer(
        &self,
        asked: Asked<'_>,
        now: i64,
        pages: &PageCache,
    ) -> Option<Response<Full<Bytes>>> {
        match self {
            Self::Page(page) => {
                if !page.is_for(asked) {
                    return None;
                }
                let answer = page.answer(asked, CacheStatus::HitL1, page.stored_at(), now);
                let answer = answer.ok()?;
                pages.count_use(page);
                pages.encode_if_wanted(page, asked);
                Some(answer)
            } //~{% if frontend == "pages" %}
            Self::Asset(asset) => asset.answer(asked).ok(), //~{% endif %}
        }
    }

    fn count(&self, method: &'static str, status: StatusCode, duration: Duration, bytes: u64) {
        match self {
            Self::Page(page) => page.count(method, status, duration, Some(bytes)), //~{% if frontend == "pages" %}
            Self::Asset(asset) => asset.count(method, status, duration, Some(bytes)), //~{% endif %}
        }
    }

    fn route(&self) -> &str {
        match self {
            Self::Page(page) => page.route(), //~{% if frontend == "pages" %}
            Self::Asset(_) => super::assets::ROUTE, //~{% endif %}
        }
    }

    fn cache(&self) -> &'static str {
        match self {
            Self::Page(_) => CacheStatus::HitL1.as_str(), //~{% if frontend == "pages" %}
            // It is no page.
            Self::Asset(_) => "", //~{% endif %}
        }
    }
}

/// An answer out of memory.
struct Found {
    kept: Kept,
    answer: Response<Full<Bytes>>,
    /// When it was made, in microseconds since the Unix epoch.
    at: i64,
}

impl Answer for Front {
    type Body = Either<Full<Bytes>, Body>;

    fn at_hand(&self, connection: &Client, request: &Plain<'_>) -> Option<Response<Full<Bytes>>> {
        let at = Instant::now();
        let kept = self.find(request.target, true)?;
        let headers = request.headers()?;
        let asked = Asked::of(&request.method, path_of(request.target), &headers);
        let found = self.take(kept, asked)?;
        let client = self.0.proxies.client(connection, &headers);
        let arrival = Arrival::of(at, client, asked);
        Some(self.send(found, arrival, connection, asked))
    }

    fn answer(
        &self,
        connection: &Arc<Client>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<> {
        let at = Instant::now();
        let asked = Asked::of(request.method(), request.uri().path(), request.headers());
        let client = self.0.proxies.client(connection, request.headers());
        let arrival = Arrival::of(at, client, asked);
        let target = request.uri().path_and_query().map(PathAndQuery::as_str);
        let kept = target.and_then(|target| self.find(target, asked.is_plain()));
        let answer = if let Some(found) = kept.and_then(|kept| self.take(kept, asked)) {
            let answer = self.send(found, arrival, connection, asked);
            Ok(answer.map(Either::Left))
        } else {
            let connection = Arc::clone(connection);
            // In a box: it is large, and would be moved even if there were nothing to wait for.
            Err(Box::pin(self.clone().route(arrival, connection, request)))
        };
        async move {
            match answer {
                Ok(found) => found,
                Err(routes) => routes.await.map(Either::Right),
            }
        }
    }
}

impl Front {
    #[must_use]
    pub fn new(pages: PageCache, routes: Edge, clock: Clock) -> Self {
        Self(Arc::new(Parts {
            pages,
            routes,
            proxies: TrustedProxies::default(),
            strict_transport: None,
            clock, //~{% if frontend == "pages" %}
            // Pages can do without.
            assets: None, //~{% endif %}
        }))
    }

    /// Heeds what the settings say about proxies and encryption; without, none is believed, and nobody is held to https.
    #[must_use]
    pub fn with_settings(self, server: &ServerSettings, security: &SecuritySettings) -> Self {
        let mut parts = Arc::unwrap_or_clone(self.0);
        parts.proxies = server.into();
        parts.strict_transport = security::strict_transport(security);
        Self(Arc::new(parts))
    } //~{% if frontend == "pages" %}

    /// Answers with these too.
    #[must_use]
    pub fn with_assets(self, assets: super::assets::Assets) -> Self {
        let mut parts = Arc::unwrap_or_clone(self.0);
        parts.assets = Some(assets);
        Self(Arc::new(parts))
    } //~{% endif %}

    /// What is kept for `target`, path and query: a page if the request `is_plain`, or an asset.
    fn find(&self, target: &str, is_plain: bool) -> Option<Kept> {
        if is_plain && let Some(page) = self.0.pages.in_memory(target) {
            return Some(Kept::Page(page));
        } //~{% if frontend == "pages" %}
        if let Some(assets) = &self.0.assets
            && let Some(asset) = assets.at_hand(path_of(target))
        {
            return Some(Kept::Asset(asset));
        } //~{% endif %}
        None
    }

    /// The way of what is in memory, if it is an answer to what is asked. It never waits, so nothing on it is counted as
    /// being in flight.
    fn take(&self, kept: Kept, asked: Asked<'_>) -> Option<Found> {
        if !matches!(*asked.method, Method::GET | Method::HEAD) {
            return None;
        }
        let at = self.0.clock.now_micros();
        let answer = kept.answer(asked, at, &self.0.pages)?;
        Some(Found { kept, answer, at })
    }

    /// Counts and logs an answer out of memory.
    fn send(
        &self,
        found: Found,
        arrival: Arrival,
        connection: &Client,
        asked: Asked<'_>,
    ) -> Response<Full<Bytes>> {
        let Found {
            kept,
            mut answer,
            at,
        } = found;
        let client = arrival.client;
        let (method, status, duration) =
            (label(asked.method), answer.status(), arrival.at.elapsed());
        let bytes = answer.body().size_hint().lower();
        kept.count(method, status, duration, bytes);
        arrival.log(&RequestRecord {
            at,
            method,
            route: kept.route(),
            path: asked.path,
            status: status.as_u16(),
            duration,
            bytes: Some(bytes),
            cache: kept.cache(),
            client: &name_of(client, connection),
            user_agent: text(asked.user_agent),
            // What is in memory is for everybody.
            user: "",
        });
        arrival.name(answer.headers_mut());
        self.hold_to_https(client, answer.headers_mut());
        answer
    }

    /// The way of everything else.
    async fn route(
        self,
        arrival: Arrival,
        connection: Arc<Client>,
        mut request: Request<Incoming>,
    ) -> Response<Body> {
        let client = arrival.client;
        let (method, uri) = (label(request.method()), request.uri().clone());
        let user_agent = request.headers().get(USER_AGENT).cloned();
        let sent = request.body().size_hint().exact().filter(|sent| *sent > 0);
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(arrival.id.clone());
        let in_flight = InFlight::enter();
        let answer = self.0.routes.route(request.map(Body::new));
        let is_in_span = false; //~{% if features contains "otel" %}
        // Of a request that is traced its span says which it is.
        let span = arrival.trace.span();
        let is_in_span = is_in_span || span.is_some();
        let span = span.unwrap_or_else(tracing::Span::none);
        let answer = tracing::Instrument::instrument(answer, span); //~{% endif %}
        let current = CurrentRequest::new(arrival.id.as_str(), is_in_span);
        let mut pending = Pending {
            front: &self,
            arrival: &arrival,
            connection: &connection,
            method,
            uri: &uri,
            user_agent: text(user_agent.as_ref()),
            sent,
            current: current.clone(),
            is_told: false,
        };
        let (mut response, route) = in_request(Some(current), answer).await;
        drop(in_flight);
        let status = response.status();
        if status == StatusCode::NOT_MODIFIED {
            // The router says 0, but it would be the length of the page that is not sent (RFC 9110, section 8.6).
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            sort_allowed(response.headers_mut());
        }
        security::protect(response.headers_mut(), route);
        let bytes = response.body().size_hint().exact();
        let cache = text(response.headers().get(STATUS_HEADER));
        pending.tell(route, status.as_u16(), bytes, cache);
        drop(pending);
        arrival.name(response.headers_mut());
        self.hold_to_https(client, response.headers_mut());
        response
    }

    /// Over http the header would mean nothing (RFC 6797, section 7.2).
    fn hold_to_https(&self, client: ClientAddress, headers: &mut HeaderMap) {
        if client.is_https
            && let Some(value) = &self.0.strict_transport
        {
            headers.insert(STRICT_TRANSPORT_SECURITY, value.clone());
        }
    }
}

/// As nginx has it in its log: the client went away before there was an answer.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request on its way to an answer, of which log and metrics hear whatever becomes of it.
struct Pending<'a> {
    front: &'a Front,
    arrival: &'a Arrival,
    connection: &'a Client,
    method: &'static str,
    uri: &'a Uri,
    user_agent: &'a str,
    /// The length of its body, if that is known.
    sent: Option<u64>,
    current: CurrentRequest,
    is_told: bool,
}

impl Pending<'_> {
    fn tell(&mut self, route: &str, status: u16, bytes: Option<u64>, cache: &str) {
        self.is_told = true;
        let duration = self.arrival.at.elapsed();
        let series = RequestSeries::of(self.method, route, status);
        series.record(duration, bytes);
        if let Some(sent) = self.sent {
            series.record_request_size(self.method, route, sent);
        }
        self.arrival.log(&RequestRecord {
            at: self.front.0.clock.now_micros(),
            method: self.method,
            route,
            path: self.uri.path(),
            status,
            duration,
            bytes,
            cache,
            client: &name_of(self.arrival.client, self.connection),
            user_agent: self.user_agent,
            user: self.current.user().unwrap_or_default(),
        });
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            let route = self.front.0.routes.route_of(self.uri.path());
            self.tell(route, CLIENT_CLOSED_REQUEST, None, "");
        }
    }
}

/// Puts the methods that a route has in order: the router lists them as they were added.
fn sort_allowed(headers: &mut HeaderMap) {
    if let Some(allow) = headers.get_mut(ALLOW) {
        let mut methods: Vec<&str> = allow.to_str().unwrap_or_default().split(',').collect();
        methods.sort_unstable();
        if let Ok(sorted) = HeaderValue::try_from(methods.join(", ")) {
            *allow = sorted;
        }
    }
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// A label must be bounded: any word can be a method.
pub(super) fn label(method: &Method) -> &'static str {
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
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
