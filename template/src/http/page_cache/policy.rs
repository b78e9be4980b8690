//! How a page may be cached: for how long, for whom, with which status.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use axum::http::header::{ACCEPT_ENCODING, AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use sha2::{Digest, Sha256};

use crate::http::cookies;
use crate::infra::cache::Policy;

/// Browsers keep a page but ask every time whether it is still the same, so a change shows at once.
const REVALIDATE: &str = "public, max-age=0, must-revalidate";

/// A constant for each route. What it does not say is as in `[cache]` of the settings.
#[derive(Clone, Copy, Debug)]
pub struct CachePolicy {
    ttl: Option<Duration>,
    stale_for: Option<Duration>,
    ignores_cookies: bool,
    heeds: &'static [&'static str],
    varies_on: &'static [&'static str],
    keeping: &'static [StatusCode],
    cache_control: &'static str,
}

impl CachePolicy {
    /// A page for everybody who shows neither a cookie nor other credentials.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ttl: None,
            stale_for: None,
            ignores_cookies: false,
            heeds: &[],
            varies_on: &[],
            keeping: &[],
            cache_control: REVALIDATE,
        }
    }

    /// How long the page is valid unless a tag of it is invalidated.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long after that it is still shown, while a new one is made in the background.
    #[must_use]
    pub const fn stale_for(mut self, window: Duration) -> Self {
        self.stale_for = Some(window);
        self
    }

    /// The page never looks at cookies, so that a visitor who has some gets the same one.
    #[must_use]
    pub const fn ignoring_cookies(mut self) -> Self {
        self.ignores_cookies = true;
        self
    }

    /// The page looks at these cookies and at no others: who has one gets a page for themselves alone, made anew.
    #[must_use]
    pub const fn ignoring_cookies_but(mut self, heeded: &'static [&'static str]) -> Self {
        self.heeds = heeded;
        self.ignoring_cookies()
    }

    /// The request headers that the page is made of, `Cookie` and `Authorization` among them if it looks at those: there
    /// is a page for each of their values.
    #[must_use]
    pub const fn varying_on(mut self, headers: &'static [&'static str]) -> Self {
        self.varies_on = headers;
        self
    }

    /// What is kept besides pages with status 200.
    #[must_use]
    pub const fn keeping(mut self, statuses: &'static [StatusCode]) -> Self {
        self.keeping = statuses;
        self
    }

    /// The `Cache-Control` that browsers and proxies get, for a page that has none of its own. They cannot be told of a
    /// change, so the default makes them ask.
    #[must_use]
    pub const fn cache_control(mut self, value: &'static str) -> Self {
        self.cache_control = value;
        self
    }

    pub(super) fn lifetime(&self) -> Policy {
        let mut policy = Policy::new();
        if let Some(ttl) = self.ttl {
            policy = policy.ttl(ttl);
        }
        if let Some(window) = self.stale_for {
            policy = policy.stale_for(window);
        }
        policy
    }

    pub(super) fn keeps(&self, status: StatusCode) -> bool {
        status == StatusCode::OK || self.keeping.contains(&status)
    }

    /// The cookies that count; `None` if all do.
    pub(super) fn heeded_cookies(&self) -> Option<Vec<String>> {
        let heeded = self.heeds.iter().map(ToString::to_string);
        self.ignores_cookies.then(|| heeded.collect())
    }

    fn heeds_cookies_of(&self, request: &HeaderMap) -> bool {
        let mut heeded = self.heeds.iter();
        !self.ignores_cookies || heeded.any(|name| cookies::find(request, name).is_some())
    }

    /// Whether everybody may have a page made with this policy, or only who sends the same credentials.
    pub(super) fn cache_control_for_clients(&self) -> &'static str {
        if self.varies_on(&AUTHORIZATION) || self.varies_on(&COOKIE) {
            return "private, max-age=0, must-revalidate";
        }
        self.cache_control
    }

    fn varies_on(&self, header: &HeaderName) -> bool {
        let mut declared = self.varies_on.iter();
        declared.any(|name| name.eq_ignore_ascii_case(header.as_str()))
    }

    /// Whether the page may depend on this request header.
    pub(super) fn declares(&self, header: &str) -> bool {
        let own = ACCEPT_ENCODING;
        let mut declared = self.varies_on.iter().copied().chain([own.as_str()]);
        declared.any(|name| header.eq_ignore_ascii_case(name))
    }

    /// The headers that decide which page of an address is sent.
    pub(super) fn vary(&self) -> String {
        let mut vary = "accept-encoding".to_owned();
        // Who shows one gets a page of his own, of which caches on the way know nothing.
        if !self.ignores_cookies && !self.varies_on(&COOKIE) {
            vary.push_str(", cookie");
        }
        for header in self.varies_on {
            vary.push_str(", ");
            vary.push_str(header);
        }
        vary
    }

    /// The key of the page at `address` for this request; `None` if the request shows credentials that the page does not
    /// know what to do with.
    pub(super) fn key<'a>(&self, address: &'a str, request: &HeaderMap) -> Option<Cow<'a, str>> {
        let shows = |name: HeaderName| request.contains_key(&name) && !self.varies_on(&name);
        if shows(AUTHORIZATION) || shows(COOKIE) && self.heeds_cookies_of(request) {
            return None;
        }
        if self.varies_on.is_empty() {
            return Some(Cow::Borrowed(address));
        }
        // A digest: the values may be secrets, and are as long as clients like.
        let mut digest = Sha256::new();
        for name in self.varies_on {
            let values = request.get_all(*name);
            digest.update(values.iter().count().to_le_bytes());
            for value in values {
                digest.update(value.len().to_le_bytes());
                digest.update(value);
            }
        }
        let mut key = "vary:".to_owned();
        for byte in digest.finalize() {
            // Writing to memory does not fail.
            let _ = write!(key, "{byte:02x}");
        }
        key.push_str(address);
        Some(Cow::Owned(key))
    }
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use axum::http::HeaderValue;

    const PLAIN: CachePolicy = CachePolicy::new();
    const BLIND: CachePolicy = CachePolicy::new().ignoring_cookies();
    const BY_LANGUAGE: CachePolicy = CachePolicy::new().varying_on(&["accept-language"]);
    const BY_COOKIE: CachePolicy = CachePolicy::new().varying_on(&["cookie"]);

    fn key(policy: CachePolicy, headers: &[(HeaderName, &'static str)]) -> Option<String> {
        let mut request = HeaderMap::new();
        for (name, value) in headers {
            request.append(name, HeaderValue::from_static(value));
        }
        policy.key("/page", &request).map(Cow::into_owned)
    }

    #[test]
    fn credentials_have_no_key_unless_the_page_knows_them() {
        let everybody = Some("/page".to_owned());
        assert_eq!(key(PLAIN, &[]), everybody);
        assert_eq!(key(PLAIN, &[(COOKIE, "a=1")]), None);
        assert_eq!(key(PLAIN, &[(AUTHORIZATION, "Bearer x")]), None);
        assert_eq!(key(BLIND, &[(COOKIE, "a=1")]), everybody);
        assert_eq!(key(BLIND, &[(AUTHORIZATION, "Bearer x")]), None);
        assert_eq!(key(BY_LANGUAGE, &[(COOKIE, "a=1")]), None);
        assert_eq!(
            key(BY_COOKIE, &[(COOKIE, "a=1"), (AUTHORIZATION, "Bearer x")]),
            None
        );
        assert!(key(BY_COOKIE, &[(COOKIE, "a=1")]).is_some());
    }

    #[test]
    fn every_value_of_a_declared_header_has_a_key_of_its_own_that_does_not_tell_it() {
        let values: &[&[(HeaderName, &'static str)]] = &[
            &[],
            &[(COOKIE, "")],
            &[(COOKIE, "secret=1")],
            &[(COOKIE, "secret=2")],
            &[(COOKIE, "secret=1"), (COOKIE, "")],
            &[(COOKIE, "secret=1"), (COOKIE, "secret=2")],
            &[(COOKIE, "secret=1secret=2")],
        ];
        let keys: Vec<String> = values
            .iter()
            .map(|value| key(BY_COOKIE, value).unwrap())
            .collect();
        for (n, one) in keys.iter().enumerate() {
            // A key that begins with a slash is an address for everybody.
            assert!(!one.starts_with('/') && !one.contains("secret"), "{one}");
            assert!(!keys[..n].contains(one), "{one}");
        }
        assert_eq!(key(BY_COOKIE, values[2]).as_ref(), Some(&keys[2]));
    }

    #[test]
    fn a_cookie_that_counts_makes_a_page_for_one() {
        const HEEDING: CachePolicy = CachePolicy::new().ignoring_cookies_but(&["flash"]);
        let shared = |cookie| key(HEEDING, &[(COOKIE, cookie)]).is_some();
        assert!(shared("session=1") && shared("flashes=1") && shared(""));
        assert!(!shared("flash=1") && !shared("a=1; flash="));
        assert!(key(HEEDING, &[(COOKIE, "a=1"), (COOKIE, "flash=1")]).is_none());
        assert!(key(HEEDING, &[]).is_some());
    }

    #[test]
    fn a_page_for_some_is_not_for_proxies() {
        assert_eq!(PLAIN.cache_control_for_clients(), REVALIDATE);
        assert!(BY_COOKIE.cache_control_for_clients().starts_with("private"));
        assert_eq!(BLIND.vary(), "accept-encoding");
        assert_eq!(BY_COOKIE.vary(), "accept-encoding, cookie");
        assert_eq!(
            BY_LANGUAGE.vary(),
            "accept-encoding, cookie, accept-language"
        );
    }
}
