//! A page as the cache keeps it: the finished answer, its encodings, and what of it one request gets.

use std::hash::{DefaultHasher, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::Full;
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::conditions::{self, Part};
use super::encoding::{self, Coding, Form};
use super::page::Page;
use super::policy::CachePolicy;
use super::{CacheStatus, STATUS_HEADER};
use crate::http::problem::{Kind, Problem};
use crate::http::{cookies, number, request_id, security};
use crate::infra::cache::Weigh;
use crate::telemetry::RequestSeries;

/// Smaller bodies fit into one packet anyway.
const WORTH_ENCODING: usize = 1024;

/// From here on a page is encoded as soon as it is made, and clients are told that they may ask for parts of it. Smaller
/// ones are encoded when the first client asks for that.
const LARGE: usize = 16 * 1024;

/// What the finished headers of a page take, in bytes, roughly.
const FINISHED: usize = 4096;

/// For the one client who asked.
const PRIVATE: &str = "private, no-store";

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::http) struct StoredPage {
    status: u16,
    content_type: String,
    cache_control: String,
    vary: String,
    /// What the handler has added.
    headers: Vec<(String, Bytes)>,
    /// The template of the route that it was made for.
    route: String,
    /// The cookies that make a page for one; `None`: every cookie does.
    heeded_cookies: Option<Vec<String>>,
    /// Whether anybody but the client who asked may see it.
    is_shared: bool,
    /// Of the body as it is, and of each encoding, whether that is made or not.
    tags: [String; Form::COUNT],
    body: Bytes,
    encoded: Vec<(Coding, Bytes)>,
    /// Whether there are none and it is worth making some.
    may_be_encoded: bool,
    /// Whether that has begun.
    #[serde(skip)]
    is_encoding: AtomicBool,
    #[serde(skip)]
    finished: OnceLock<Finished>,
}

/// What all answers with this page have in common, made with the first one.
#[derive(Debug)]
struct Finished {
    /// Whatever differs from one answer to the next is there already, with another value.
    headers: HeaderMap,
    tags: [HeaderValue; Form::COUNT],
    /// Of nearly all answers: `GET` with the page's own status.
    series: &'static RequestSeries,
}

/// Why a page is not sent although it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Refused {
    /// The client takes none of the encodings that are made.
    Encoding,
    /// The range lies behind the end of the body, which is that long.
    Range(usize),
}

impl IntoResponse for Refused {
    fn into_response(self) -> axum::response::Response {
        match self {
            Self::Encoding => Problem::new(Kind::NotAcceptable)
                .detail("There is none of the encodings in Accept-Encoding.")
                .into_response(),
            Self::Range(length) => {
                let length = value(format!("bytes */{length}").as_bytes());
                let headers = [(CONTENT_RANGE, length)];
                (headers, Problem::new(Kind::RangeNotSatisfiable)).into_response()
            }
        }
    }
}

impl Weigh for StoredPage {
    fn weight(&self) -> usize {
        let encoded = self.encoded.iter().map(|(_, body)| body.len());
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len());
        let heap = self.body.len() + encoded.sum::<usize>() + 2 * headers.sum::<usize>();
        size_of::<Self>() + FINISHED + heap
    }
}

impl StoredPage {
    /// A page for everybody, unless it says itself that it is not.
    pub fn new(page: Page, route: &str, policy: &CachePolicy) -> Self {
        let is_shared = !page.is_for_one(policy);
        Self::of(page, route, policy, is_shared)
    }

    /// A page for the client who asked.
    pub fn private(page: Page, route: &str, policy: &CachePolicy) -> Self {
        Self::of(page, route, policy, false)
    }

    fn of(page: Page, route: &str, policy: &CachePolicy, is_shared: bool) -> Self {
        let cache_control = match page.cache_control() {
            Some(own) if is_shared || page.forbids_keeping() => own,
            _ if is_shared => policy.cache_control_for_clients().to_owned(),
            _ => PRIVATE.to_owned(),
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(&page.body);
        let fingerprint = hasher.finish();
        let tag = |suffix: &str| format!("\"{fingerprint:016x}{suffix}\"");
        Self {
            status: page.status.as_u16(),
            content_type: page.content_type.to_owned(),
            cache_control,
            vary: page.vary(policy),
            headers: page.other_headers(),
            route: route.to_owned(),
            heeded_cookies: policy.heeded_cookies(),
            is_shared,
            tags: [tag(""), tag("-br"), tag("-zstd"), tag("-gzip")],
            may_be_encoded: page.body.len() >= WORTH_ENCODING
                && encoding::compresses(page.content_type),
            body: page.body,
            encoded: Vec::new(),
            is_encoding: AtomicBool::default(),
            finished: OnceLock::new(),
        }
    }

    pub fn route(&self) -> &str {
        &self.route
    }

    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether none of the cookies of a request make a difference to this page.
    pub fn is_for(&self, asked: Asked<'_>) -> bool {
        let heeds = |name: &String| cookies::find(asked.headers, name).is_some();
        let ignores = |heeded: &Vec<String>| !heeded.iter().any(heeds);
        asked.cookie.is_none() || self.heeded_cookies.as_ref().is_some_and(ignores)
    }

    /// Counts an answer with this page.
    pub fn count(
        &self,
        method: &'static str,
        status: StatusCode,
        duration: Duration,
        bytes: Option<u64>,
    ) {
        match self.finished.get() {
            Some(finished) if method == "GET" && status == self.status => {
                finished.series.record(duration, bytes);
            }
            _ => RequestSeries::of(method, &self.route, status.as_u16()).record(duration, bytes),
        }
    }

    /// What `asked` gets of this page `now`. Times are in microseconds since the Unix epoch.
    pub fn answer(
        &self,
        asked: Asked<'_>,
        cache: CacheStatus,
        stored_at: i64,
        now: i64,
    ) -> Result<Response<Full<Bytes>>, Refused> {
        let form = asked.accepted.best(|coding| self.body_in(coding).is_some());
        let form = form.ok_or(Refused::Encoding)?;
        let finished = self.finished.get_or_init(|| self.finish(stored_at));
        let mut headers = finished.headers.clone();
        if cache != CacheStatus::HitL1 {
            headers.insert(STATUS_HEADER, HeaderValue::from_static(cache.as_str()));
        }
        let age = seconds(now.saturating_sub(stored_at)).max(0).unsigned_abs();
        if cache != CacheStatus::Bypass {
            headers.insert(AGE, number::header(age));
        }
        if self.status == StatusCode::OK {
            let selected = form.place();
            if asked.has_conditions
                && let Some(known) = self.known_to(asked.headers, selected, stored_at)
            {
                headers.insert(ETAG, finished.tags[known].clone());
                return Ok(not_modified(headers));
            }
            if let Some(range) = asked.range
                && asked.method == Method::GET
                && asked.accepted.takes_identity()
            {
                let condition = asked.headers.get(IF_RANGE);
                match conditions::part(range, condition, &self.tags[0], self.body.len()) {
                    Part::Whole => {}
                    Part::Of(range) => return Ok(self.partial(headers, range)),
                    Part::None => return Err(Refused::Range(self.body.len())),
                }
            }
            if selected > 0 {
                headers.insert(ETAG, finished.tags[selected].clone());
            }
        }
        Ok(self.whole(asked.method, headers, form))
    }

    /// Which tag of this page the client has, if it has one or asks for changes only.
    fn known_to(&self, request: &HeaderMap, selected: usize, stored_at: i64) -> Option<usize> {
        if request.contains_key(IF_NONE_MATCH) {
            return conditions::known_tag(request, &self.tags, selected);
        }
        conditions::has_not_changed(request, seconds(stored_at)).then_some(selected)
    }

    fn whole(&self, method: &Method, mut headers: HeaderMap, form: Form) -> Response<Full<Bytes>> {
        let encoded = match form {
            Form::AsItIs => None,
            Form::Encoded(coding) => self.body_in(coding).map(|body| (coding, body)),
        };
        let mut body = match encoded {
            Some((coding, body)) => {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
                body.clone()
            }
            None => self.body.clone(),
        };
        if method == Method::HEAD {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            body.clear();
        }
        response(self.status(), headers, body)
    }

    fn partial(
        &self,
        mut headers: HeaderMap,
        range: std::ops::Range<usize>,
    ) -> Response<Full<Bytes>> {
        let last = range.end - 1;
        let place = format!("bytes {}-{last}/{}", range.start, self.body.len());
        if let Ok(place) = HeaderValue::from_str(&place) {
            headers.insert(CONTENT_RANGE, place);
        }
        response(StatusCode::PARTIAL_CONTENT, headers, self.body.slice(range))
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn body_in(&self, coding: Coding) -> Option<&Bytes> {
        let found = self.encoded.iter().find(|(made, _)| *made == coding);
        found.map(|(_, body)| body)
    }

    fn finish(&self, stored_at: i64) -> Finished {
        let tags = self.tags.each_ref().map(|tag| value(tag.as_bytes()));
        let mut headers = HeaderMap::with_capacity(24);
        headers.insert(request_id::HEADER, HeaderValue::from_static(""));
        headers.insert(
            STATUS_HEADER,
            HeaderValue::from_static(CacheStatus::HitL1.as_str()),
        );
        headers.insert(AGE, HeaderValue::from_static("0"));
        headers.insert(CONTENT_TYPE, value(self.content_type.as_bytes()));
        headers.insert(CACHE_CONTROL, value(self.cache_control.as_bytes()));
        headers.insert(VARY, value(self.vary.as_bytes()));
        if self.status == StatusCode::OK {
            headers.insert(ETAG, tags[0].clone());
            if self.body.len() >= LARGE {
                headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
        }
        if self.is_shared {
            let modified = conditions::http_date(seconds(stored_at));
            headers.insert(LAST_MODIFIED, value(modified.as_bytes()));
        } else {
            headers.remove(AGE);
        }
        for (name, content) in &self.headers {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                headers.append(name, value(content));
            }
        }
        security::protect(&mut headers, &self.route);
        Finished {
            headers,
            tags,
            series: RequestSeries::of("GET", &self.route, self.status),
        }
    }

    /// Whether the page is to be encoded before anybody asks for that. True once.
    pub fn wants_encoding_now(&self) -> bool {
        self.may_be_encoded && self.body.len() >= LARGE && self.begin_encoding()
    }

    /// Whether this client would get an encoding if there were one. True once.
    pub fn wants_encoding_for(&self, asked: Asked<'_>) -> bool {
        self.may_be_encoded
            && !self.is_encoding.load(Ordering::Relaxed)
            && asked.accepted.prefers_encoding()
            && self.begin_encoding()
    }

    pub fn may_be_encoded(&self) -> bool {
        self.may_be_encoded
    }

    fn begin_encoding(&self) -> bool {
        !self.is_encoding.swap(true, Ordering::Relaxed)
    }

    /// The same page in these encodings too, as far as they are smaller. Takes milliseconds.
    pub fn encoded(&self, codings: &[Coding]) -> Self {
        let encode = |coding: &Coding| {
            let encoded = coding.encode(&self.body);
            let encoded = encoded.inspect_err(|error| {
                tracing::warn!(%error, coding = coding.name(), "a page cannot be encoded");
            });
            Some((*coding, encoded.ok()?))
        };
        let all = codings.iter().filter_map(encode);
        let smaller = all.filter(|(_, encoded)| encoded.len() < self.body.len());
        Self {
            content_type: self.content_type.clone(),
            cache_control: self.cache_control.clone(),
            vary: self.vary.clone(),
            headers: self.headers.clone(),
            route: self.route.clone(),
            heeded_cookies: self.heeded_cookies.clone(),
            tags: self.tags.clone(),
            body: self.body.clone(),
            encoded: smaller.collect(),
            may_be_encoded: false,
            is_encoding: AtomicBool::default(),
            finished: OnceLock::new(),
            ..*self
        }
    }
}

fn not_modified(mut headers: HeaderMap) -> Response<Full<Bytes>> {
    headers.remove(CONTENT_TYPE);
    headers.remove(ACCEPT_RANGES);
    response(StatusCode::NOT_MODIFIED, headers, Bytes::new())
}

fn response(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Everything that goes in here came out of a header, or is plain ASCII.
fn value(content: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(content).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn seconds(micros: i64) -> i64 {
    micros.div_euclid(1_000_000)
}
