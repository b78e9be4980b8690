//! A page as a handler makes it.

use axum::http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED,
    SET_COOKIE, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::Bytes;

use super::policy::CachePolicy;

/// What is said about every page in its own way.
const OWN: [HeaderName; 8] = [
    AGE,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    ETAG,
    LAST_MODIFIED,
    VARY,
];

/// A finished page: the whole answer, and what it was made of.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) tags: Vec<String>,
    pub(super) kept: bool,
}

impl Page {
    #[must_use]
    pub fn html(mut body: String) -> Self {
        // It may be half empty, and stays in memory for a while.
        body.shrink_to_fit();
        Self::new("text/html; charset=utf-8", body)
    }

    #[must_use]
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            body: body.into(),
            headers: HeaderMap::new(),
            tags: Vec::new(),
            kept: true,
        }
    }

    /// A page with another status than 200 is kept only if its policy says so.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header. A page with `Set-Cookie`, a `Cache-Control` that forbids keeping it or a `Vary` that its policy does
    /// not declare goes to the one client who asked.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Names something the page was made of: when it changes, the page is made anew.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// The page is made anew for the next request.
    #[must_use]
    pub fn not_kept(mut self) -> Self {
        self.kept = false;
        self
    }

    /// What the handler has added, without what is said about every page anyway.
    pub(super) fn other_headers(&self) -> Vec<(String, Bytes)> {
        let others = self.headers.iter().filter(|(name, _)| !OWN.contains(name));
        others
            .map(|(name, value)| (name.to_string(), Bytes::copy_from_slice(value.as_bytes())))
            .collect()
    }

    /// The page's own `Cache-Control`.
    pub(super) fn cache_control(&self) -> Option<String> {
        let own: Vec<_> = members(&self.headers, &CACHE_CONTROL).collect();
        (!own.is_empty()).then(|| own.join(", "))
    }

    /// The headers that decide which page of an address is sent.
    pub(super) fn vary(&self, policy: &CachePolicy) -> String {
        let own = members(&self.headers, &VARY).filter(|name| !policy.declares(name));
        own.fold(policy.vary(), |vary, name| {
            if vary
                .split(", ")
                .any(|known| known.eq_ignore_ascii_case(name))
            {
                return vary;
            }
            format!("{vary}, {name}")
        })
    }

    pub(super) fn forbids_keeping(&self) -> bool {
        members(&self.headers, &CACHE_CONTROL).any(forbids_keeping)
    }

    /// Whether nobody but the client who asked may see it.
    pub(super) fn is_for_one(&self, policy: &CachePolicy) -> bool {
        self.headers.contains_key(SET_COOKIE)
            || self.forbids_keeping()
            || members(&self.headers, &VARY).any(|name| !policy.declares(name))
    }
}

/// What is listed in all the headers of one name.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter();
    // A line that cannot be read forbids everything.
    lines
        .flat_map(|line| line.to_str().unwrap_or("no-store").split(','))
        .map(str::trim)
}

fn forbids_keeping(directive: &str) -> bool {
    let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
    match name.trim().to_ascii_lowercase().as_str() {
        "private" | "no-store" | "no-cache" => true,
        "max-age" | "s-maxage" => value
            .trim()
            .trim_matches('"')
            .trim_start_matches('0')
            .is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: CachePolicy = CachePolicy::new().varying_on(&["accept-language"]);

    fn is_for_one(name: HeaderName, value: &'static str) -> bool {
        let page = Page::html(String::new()).header(name, HeaderValue::from_static(value));
        page.is_for_one(&POLICY)
    }

    #[test]
    fn a_page_that_must_not_be_shared_says_so() {
        for value in [
            "private",
            "no-store",
            "no-cache",
            "max-age=0",
            "max-age=00",
            "public, Max-Age=0",
            "max-age=60, s-maxage=0",
            "private=\"set-cookie\", max-age=60",
        ] {
            assert!(is_for_one(CACHE_CONTROL, value), "{value}");
        }
        for value in [
            "public",
            "max-age=60",
            "max-age=10, must-revalidate",
            "s-maxage=1",
        ] {
            assert!(!is_for_one(CACHE_CONTROL, value), "{value}");
        }
        assert!(is_for_one(SET_COOKIE, "a=1"));
        assert!(is_for_one(VARY, "accept-language, cookie"));
        assert!(is_for_one(VARY, "*"));
        assert!(!is_for_one(VARY, "Accept-Language, Accept-Encoding"));
    }
}
