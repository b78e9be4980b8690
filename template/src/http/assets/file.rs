//! One asset as it is sent: its encodings, the finished headers, and what of it one request gets.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use http_body_util::Full;

use super::{ROUTE, url};
use crate::http::page_cache::conditions::{self, Part};
use crate::http::page_cache::encoding::{Coding, Form};
use crate::http::page_cache::{Asked, Refused};
use crate::http::{request_id, security};
use crate::telemetry::RequestSeries;

/// Of a name that never gets other content.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// In development, where names stay and content changes.
#[cfg(not(embedded_assets))]
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// An asset in the binary.
pub struct Embedded {
    /// Under `/assets/`, as it stands in URLs.
    pub path: &'static str,
    pub content_type: &'static str,
    pub body: &'static [u8],
    /// In Brotli, zstd and gzip, as far as there is one.
    pub encoded: [Option<&'static [u8]>; Coding::ALL.len()],
}

/// The assets by their paths. A cheap handle.
#[derive(Clone, Default)]
pub struct Files(Arc<HashMap<Box<str>, Arc<File>, foldhash::fast::RandomState>>);

impl Files {
    #[must_use]
    pub fn embedded(all: &[Embedded]) -> Self {
        all.iter()
            .map(|asset| {
                let encoded = asset.encoded.map(|body| body.map(Bytes::from_static));
                let body = Bytes::from_static(asset.body);
                let file = File::new(asset.content_type, FOREVER, body, encoded);
                (asset.path.into(), Arc::new(file))
            })
            .collect()
    }

    pub(in crate::http) fn get(&self, path: &str) -> Option<Arc<File>> {
        self.0.get(path).cloned()
    }

    /// Changes with any file of this part. A source map changes only with the file that it belongs to.
    #[cfg(not(embedded_assets))]
    pub(super) fn fingerprint(&self, part: Changeable) -> u64 {
        let is_wanted = |path: &str, file: &File| {
            let is_style = file.content_type.as_bytes().starts_with(b"text/css");
            is_style == (part == Changeable::Styles) && path.strip_suffix(".map").is_none()
        };
        let all = self.0.iter();
        let mut files: Vec<_> = all.filter(|(path, file)| is_wanted(path, file)).collect();
        files.sort_by_key(|(path, _)| *path);
        let mut hasher = DefaultHasher::new();
        for (path, file) in files {
            hasher.write(path.as_bytes());
            hasher.write(&file.body);
        }
        hasher.finish()
    }
}

/// What a page does about a change: stylesheets are exchanged where they stand.
#[cfg(not(embedded_assets))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Changeable {
    Styles,
    Rest,
}

impl FromIterator<(Box<str>, Arc<File>)> for Files {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Arc<File>)>>(files: I) -> Self {
        Self(Arc::new(files.into_iter().collect()))
    }
}

pub(in crate::http) struct File {
    content_type: HeaderValue,
    cache_control: HeaderValue,
    body: Bytes,
    encoded: [Option<Bytes>; Coding::ALL.len()],
    finished: OnceLock<Finished>,
}

/// What all answers with this file have in common, made with the first one.
struct Finished {
    headers: HeaderMap,
    /// Of the body as it is, and of each encoding.
    tags: [String; Form::COUNT],
    tag_values: [HeaderValue; Form::COUNT],
    /// Of nearly all answers: `GET` with 200.
    series: &'static RequestSeries,
}

impl File {
    fn new(
        content_type: &str,
        cache_control: HeaderValue,
        body: Bytes,
        encoded: [Option<Bytes>; Coding::ALL.len()],
    ) -> Self {
        Self {
            content_type: value(content_type),
            cache_control,
            body,
            encoded,
            finished: OnceLock::new(),
        }
    }

    /// A file that may be another at the next request.
    #[cfg(not(embedded_assets))]
    pub fn changeable(content_type: &str, body: Bytes) -> Self {
        Self::new(content_type, ASK_AGAIN, body, [const { None }; 3])
    }

    /// Counts an answer with this file.
    pub fn count(
        &self,
        method: &'static str,
        status: StatusCode,
        duration: Duration,
        bytes: Option<u64>,
    ) {
        match self.finished.get() {
            Some(finished) if method == "GET" && status == StatusCode::OK => {
                finished.series.record(duration, bytes);
            }
            _ => RequestSeries::of(method, ROUTE, status.as_u16()).record(duration, bytes),
        }
    }

    /// What `asked` gets of this file.
    pub fn answer(&self, asked: Asked<'_>) -> Result<Response<Full<Bytes>>, Refused> {
        let form = asked.accepted.best(|coding| self.body_in(coding).is_some());
        let form = form.ok_or(Refused::Encoding)?;
        let finished = self.finished.get_or_init(|| self.finish());
        let mut headers = finished.headers.clone();
        if asked.has_conditions {
            let known = conditions::known_tag(asked.headers, &finished.tags, form.place());
            if let Some(known) = known {
                headers.insert(ETAG, finished.tag_values[known].clone());
                headers.remove(CONTENT_TYPE);
                headers.remove(ACCEPT_RANGES);
                return Ok(response(StatusCode::NOT_MODIFIED, headers, Bytes::new()));
            }
        }
        if let Some(range) = asked.range
            && asked.method == Method::GET
            && asked.accepted.takes_identity()
        {
            let condition = asked.headers.get(IF_RANGE);
            match conditions::part(range, condition, &finished.tags[0], self.body.len()) {
                Part::Whole => {}
                Part::Of(range) => return Ok(self.partial(headers, range)),
                Part::None => return Err(Refused::Range(self.body.len())),
            }
        }
        let mut body = self.body.clone();
        if let Form::Encoded(coding) = form
            && let Some(encoded) = self.body_in(coding)
        {
            headers.insert(ETAG, finished.tag_values[form.place()].clone());
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            body = encoded.clone();
        }
        if asked.method == Method::HEAD {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            body.clear();
        }
        Ok(response(StatusCode::OK, headers, body))
    }

    fn body_in(&self, coding: Coding) -> Option<&Bytes> {
        let place = Form::Encoded(coding).place();
        self.encoded.get(place - 1)?.as_ref()
    }

    fn partial(
        &self,
        mut headers: HeaderMap,
        range: std::ops::Range<usize>,
    ) -> Response<Full<Bytes>> {
        let last = range.end - 1;
        let place = format!("bytes {}-{last}/{}", range.start, self.body.len());
        headers.insert(CONTENT_RANGE, value(&place));
        response(StatusCode::PARTIAL_CONTENT, headers, self.body.slice(range))
    }

    fn finish(&self) -> Finished {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.body);
        let fingerprint = hasher.finish();
        let tags =
            ["", "-br", "-zstd", "-gzip"].map(|suffix| format!("\"{fingerprint:016x}{suffix}\""));
        let tag_values = tags.each_ref().map(|tag| value(tag));
        let mut headers = HeaderMap::with_capacity(24);
        headers.insert(request_id::HEADER, HeaderValue::from_static(""));
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        headers.insert(ETAG, tag_values[0].clone());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if self.encoded.iter().any(Option::is_some) {
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if url::has_origin() {
            // A host between passes these on: without them no page of this site may use what it loads from there.
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            let policy = HeaderName::from_static("cross-origin-resource-policy");
            headers.insert(policy, HeaderValue::from_static("cross-origin"));
        }
        security::protect(&mut headers, ROUTE);
        Finished {
            headers,
            tags,
            tag_values,
            series: RequestSeries::of("GET", ROUTE, StatusCode::OK.as_u16()),
        }
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Everything that goes in here is plain ASCII.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    use http_body_util::BodyExt;

    const BODY: &[u8] = b"body { color: red }";

    fn file() -> Arc<File> {
        let embedded = Embedded {
            path: "app.0123abcd.css",
            content_type: "text/css; charset=utf-8",
            body: BODY,
            encoded: [Some(b"in brotli"), None, Some(b"in gzip")],
        };
        let files = Files::embedded(&[embedded]);
        assert!(files.get("app.css").is_none());
        files.get("app.0123abcd.css").expect("it is there")
    }

    async fn ask(method: Method, headers: &[(&str, &str)]) -> (u16, HeaderMap, Bytes) {
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, value.parse().unwrap())
        });
        let headers: HeaderMap = headers.collect();
        let response = file()
            .answer(Asked::of(&method, "/", &headers))
            .expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, body)
    }

    #[tokio::test]
    async fn each_encoding_has_its_own_tag_by_which_it_is_known_again() {
        let mut tags = Vec::new();
        for (accepted, encoding, expected) in [
            ("identity", None, BODY),
            ("br, gzip", Some("br"), b"in brotli"),
            ("zstd, gzip;q=0.5", Some("gzip"), b"in gzip"),
            ("zstd", None, BODY),
        ] {
            let (status, headers, body) = ask(Method::GET, &[("accept-encoding", accepted)]).await;
            assert_eq!((status, &body[..]), (200, expected), "{accepted}");
            let found = headers
                .get(CONTENT_ENCODING)
                .map(|value| value.to_str().unwrap());
            assert_eq!(found, encoding);
            assert_eq!(headers[VARY], "accept-encoding");
            assert_eq!(
                headers[CACHE_CONTROL],
                "public, max-age=31536000, immutable"
            );
            let tag = headers[ETAG].to_str().unwrap().to_owned();
            let known = [("accept-encoding", accepted), ("if-none-match", &*tag)];
            let (status, headers, body) = ask(Method::GET, &known).await;
            assert_eq!((status, &body[..]), (304, &b""[..]));
            assert_eq!(headers[ETAG], tag.as_str());
            tags.push(tag);
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 3);
    }

    #[tokio::test]
    async fn a_part_is_one_of_the_body_as_it_is() {
        let range = [("range", "bytes=0-3"), ("accept-encoding", "br")];
        let (status, headers, body) = ask(Method::GET, &range).await;
        assert_eq!((status, &body[..]), (206, &b"body"[..]));
        assert_eq!(headers[CONTENT_RANGE], format!("bytes 0-3/{}", BODY.len()));
        assert!(headers.get(CONTENT_ENCODING).is_none());
        // Of another version, or for HEAD, there are no parts.
        let (status, ..) = ask(Method::GET, &[range[0], ("if-range", "\"other\"")]).await;
        assert_eq!(status, 200);
        let (status, headers, body) = ask(Method::HEAD, &range[..1]).await;
        assert_eq!((status, body.len()), (200, 0));
        assert_eq!(headers[CONTENT_LENGTH], BODY.len().to_string());
    }

    #[test]
    fn what_cannot_be_given_is_refused() {
        let refusal = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]);
            file().answer(Asked::of(&Method::GET, "/", &headers)).err()
        };
        assert_eq!(
            refusal("range", "bytes=99-"),
            Some(Refused::Range(BODY.len()))
        );
        assert_eq!(refusal("accept-encoding", "*;q=0"), Some(Refused::Encoding));
    }
}
