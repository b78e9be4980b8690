//! Refuses what another site makes a visitor's browser send (cross-site request forgery).
//!
//! The rules are those of Go's `http.CrossOriginProtection`: browsers say where a request comes from, in `Sec-Fetch-Site`
//! or, the old ones, in `Origin`. Whoever says neither is no browser, and brings no credentials it was not meant to have.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::cors::Cors;
use super::problem::{Kind, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may send what changes something.
pub(super) struct Senders {
    /// Where visitors find the service, if the settings say so: a proxy may have changed `Host`.
    pub own: Option<String>,
    /// Other sites that may use the API.
    pub friends: Option<Cors>,
}

impl Senders {
    pub fn check(&self, request: &Request) -> Result<(), Problem> {
        let is_friend = |friends: &Cors| friends.allows(request);
        if may_pass(request.method(), request.headers(), self.own.as_deref())
            || self.friends.as_ref().is_some_and(is_friend)
        {
            return Ok(());
        }
        let problem = Problem::new(Kind::CrossSite);
        Err(problem.detail("Your browser says that another site has sent this. Open the form here and send it again."))
    }
}

fn may_pass(method: &Method, headers: &HeaderMap, own: Option<&str>) -> bool {
    // Safe methods change nothing, and links from other sites are welcome.
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        // `none`: the visitor's own doing, such as a bookmark.
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let host = origin.split_once("://").map(|(_, host)| host.as_bytes());
    let asked = headers.get(HOST).map(HeaderValue::as_bytes);
    host.is_some_and(|host| asked.is_some_and(|asked| asked.eq_ignore_ascii_case(host)))
        || own.is_some_and(|own| own.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(method: &Method, headers: &[(HeaderName, &'static str)]) -> bool {
        let headers = headers.iter().cloned();
        let headers = headers
            .map(|(name, value)| (name, value.parse().unwrap()))
            .collect();
        may_pass(method, &headers, Some("https://example.com/"))
    }

    #[test]
    fn a_browser_must_send_a_change_from_the_site_itself() {
        for (site, expected) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
        ] {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert_eq!(
                    passes(&method, &[(SEC_FETCH_SITE, site)]),
                    expected,
                    "{site}"
                );
            }
            assert!(passes(&Method::GET, &[(SEC_FETCH_SITE, site)]));
        }
    }

    #[test]
    fn what_the_browser_says_of_the_site_counts_more_than_the_origin() {
        let headers = [
            (SEC_FETCH_SITE, "cross-site"),
            (ORIGIN, "https://a.example"),
            (HOST, "a.example"),
        ];
        assert!(!passes(&Method::POST, &headers));
    }

    #[test]
    fn an_old_browser_must_name_the_host_it_asks() {
        for (origin, host, expected) in [
            ("https://a.example", "a.example", true),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("https://A.example", "a.example", true),
            ("https://example.com", "behind-the-proxy:8080", true),
            ("https://b.example", "a.example", false),
            ("https://a.example:8443", "a.example", false),
            ("https://a.example.b.example", "a.example", false),
            ("null", "null", false),
            ("", "", false),
        ] {
            let headers = [(ORIGIN, origin), (HOST, host)];
            assert_eq!(passes(&Method::POST, &headers), expected, "{origin}");
        }
    }

    #[test]
    fn who_says_neither_is_no_browser() {
        assert!(passes(&Method::POST, &[(HOST, "a.example")]));
    }
}
