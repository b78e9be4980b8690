//! The token that a form carries to show that this service has made it, for this browser (a signed double-submit cookie).
//!
//! [`super::cross_site`] refuses what browsers say comes from elsewhere. This is the second lock, for those that do not say:
//! a cookie names the browser, and the form holds a signature of that name which another site can neither read nor make.
//! Programs that send JSON need none, because browsers ask before they send that for another site.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::client_address::is_https;
use super::cookies;
use super::page_cache::Page;
use super::problem::{Kind, Problem};
use crate::domain::clock::Clock;
use crate::settings::Secret;

/// The name of the field that holds the token.
pub const FIELD: &str = "csrf_token";

/// How long a form may stay open.
const LIFETIME: Duration = Duration::from_hours(24);

/// Browsers take a cookie of this name over https only, from this host only and for all of it, so that no subdomain can
/// plant one (RFC 6265bis, section 4.1.3.2). Development has no https, and a name without the promise.
const COOKIE: &str = "__Host-csrf";
const PLAIN_COOKIE: &str = "csrf";

/// Seconds of the time it was made at, before the signature.
const TIME: usize = 8;

/// Who is logged in, put into a request by whatever knows. A token that was made for one session does not work in another.
#[derive(Clone, Debug)]
pub struct Session(pub Arc<str>);

/// Makes tokens and checks them. A cheap handle.
#[derive(Clone)]
pub struct Csrf {
    key: Arc<Secret>,
    clock: Clock,
}

/// What a page with a form needs.
pub struct FormToken {
    /// The value of the field [`FIELD`].
    pub value: String,
    cookie: Option<HeaderValue>,
}

impl FormToken {
    /// Lets the browser keep its part of the token, unless it has it.
    #[must_use]
    pub fn remember_on(self, page: Page) -> Page {
        match self.cookie {
            Some(cookie) => page.header(SET_COOKIE, cookie),
            None => page,
        }
    }
}

impl Csrf {
    /// Instances that share visitors share a `secret`; without one, forms that are open at a restart must be opened again.
    #[must_use]
    pub fn new(secret: Option<&Secret>, clock: Clock) -> Self {
        let key = secret.cloned().unwrap_or_else(Secret::random);
        Self {
            key: Arc::new(key),
            clock,
        }
    }

    /// A new token for a form that answers `request`.
    #[must_use]
    pub fn issue(&self, request: &Parts) -> FormToken {
        let is_https = is_https(&request.extensions);
        let known = browser(&request.headers, is_https).map(ToOwned::to_owned);
        let (browser, cookie) = known.map_or_else(
            || {
                let browser = Uuid::new_v4().simple().to_string();
                let cookie = cookie(&browser, is_https);
                (browser, cookie)
            },
            |known| (known, None),
        );
        let made_at = self.seconds().to_be_bytes();
        let signature = self.sign(made_at, &browser, session(request));
        let token = [&made_at[..], &signature.finalize().into_bytes()].concat();
        FormToken {
            value: URL_SAFE_NO_PAD.encode(token),
            cookie,
        }
    }

    /// Checks the token in the `form` that `request` has brought.
    ///
    /// # Errors
    /// If it is missing, forged, too old, or another browser's or session's.
    pub fn verify(&self, request: &Parts, form: &[u8]) -> Result<(), Problem> {
        let mut fields = form_urlencoded::parse(form);
        let token = fields.find(|(name, _)| name == FIELD);
        let is_good = token.is_some_and(|(_, token)| self.is_good(request, &token));
        is_good.then_some(()).ok_or_else(|| {
            Problem::new(Kind::CrossSite).detail(
                "This form is too old, or was not opened here. What you wrote is still there when you go back; copy it, \
                 open the form again and send it from there. Cookies must be allowed.",
            )
        })
    }

    fn is_good(&self, request: &Parts, token: &str) -> bool {
        let is_https = is_https(&request.extensions);
        let Some(browser) = browser(&request.headers, is_https) else {
            return false;
        };
        let Ok(token) = URL_SAFE_NO_PAD.decode(token) else {
            return false;
        };
        let Some((made_at, signature)) = token.split_first_chunk::<TIME>() else {
            return false;
        };
        // The comparison takes as long for a signature that is nearly right as for any other.
        let expected = self.sign(*made_at, browser, session(request));
        let is_signed = expected.verify_slice(signature).is_ok();
        let age = self.seconds().checked_sub(u64::from_be_bytes(*made_at));
        is_signed && age.is_none_or(|age| age <= LIFETIME.as_secs())
    }

    fn sign(&self, made_at: [u8; TIME], browser: &str, session: Option<&str>) -> Hmac<Sha256> {
        let key = self.key.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
        mac.update(&made_at);
        // Its length first, so that the end of one is not the start of the other.
        mac.update(&(browser.len() as u64).to_be_bytes());
        mac.update(browser.as_bytes());
        mac.update(session.unwrap_or_default().as_bytes());
        mac
    }

    fn seconds(&self) -> u64 {
        (self.clock.now_micros().max(0) / 1_000_000).unsigned_abs()
    }
}

fn session(request: &Parts) -> Option<&str> {
    let session = request.extensions.get::<Session>();
    session.map(|Session(id)| id.as_ref())
}

fn name(is_https: bool) -> &'static str {
    if is_https { COOKIE } else { PLAIN_COOKIE }
}

/// The name that a browser was given.
fn browser(headers: &HeaderMap, is_https: bool) -> Option<&str> {
    let found = cookies::find(headers, name(is_https));
    found.filter(|found| found.len() == 32 && found.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn cookie(browser: &str, is_https: bool) -> Option<HeaderValue> {
    let secure = if is_https { "; Secure" } else { "" };
    let name = name(is_https);
    let cookie = format!("{name}={browser}; Path=/; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(cookie).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    use axum::http::Request;
    use axum::http::header::COOKIE as HEADER;
    use chrono::DateTime;

    use crate::http::ClientAddress;

    fn csrf(secret: &str) -> (Csrf, Clock) {
        let clock = Clock::fixed(DateTime::from_timestamp(1_767_323_045, 0).unwrap());
        (Csrf::new(Some(&Secret::new(secret)), clock.clone()), clock)
    }

    fn request(cookie: &str, is_https: bool, session: Option<&str>) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        if !cookie.is_empty() {
            parts.headers.insert(HEADER, cookie.parse().unwrap());
        }
        let ip = [127, 0, 0, 1].into();
        parts.extensions.insert(ClientAddress { ip, is_https });
        if let Some(session) = session {
            parts.extensions.insert(Session(session.into()));
        }
        parts
    }

    /// The cookie a browser sends back, and the body of its form.
    fn opened(csrf: &Csrf, is_https: bool, session: Option<&str>) -> (String, String) {
        let form = csrf.issue(&request("", is_https, session));
        let cookie = form.cookie.expect("a cookie");
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
        (cookie.to_owned(), format!("title=x&{FIELD}={}", form.value))
    }

    fn passes(csrf: &Csrf, request: &Parts, form: &str) -> bool {
        csrf.verify(request, form.as_bytes()).is_ok()
    }

    #[test]
    fn a_form_comes_back_from_the_browser_that_opened_it() {
        let (csrf, _) = csrf("secret");
        for is_https in [false, true] {
            let (cookie, form) = opened(&csrf, is_https, None);
            assert_eq!(cookie.starts_with("__Host-"), is_https);
            assert!(passes(&csrf, &request(&cookie, is_https, None), &form));
            let again = csrf.issue(&request(&cookie, is_https, None));
            assert!(again.cookie.is_none(), "the browser keeps its name");
        }
    }

    #[test]
    fn the_cookie_is_secure_over_https() {
        let (csrf, _) = csrf("secret");
        let cookie = |is_https| csrf.issue(&request("", is_https, None)).cookie.unwrap();
        let secure = cookie(true);
        assert!(
            secure
                .to_str()
                .unwrap()
                .ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure")
        );
        assert!(!cookie(false).to_str().unwrap().contains("Secure"));
    }

    #[test]
    fn what_another_site_can_send_does_not_pass() {
        let (csrf, _) = csrf("secret");
        let (cookie, form) = opened(&csrf, false, None);
        let (other_cookie, other_form) = opened(&csrf, false, None);
        let ours = request(&cookie, false, None);
        for forged in [
            "",
            "title=x",
            "csrf_token=",
            "csrf_token=AAAA",
            "csrf_token=%FF",
        ] {
            assert!(!passes(&csrf, &ours, forged), "{forged}");
        }
        assert!(
            !passes(&csrf, &ours, &other_form),
            "the attacker's own token"
        );
        assert!(!passes(&csrf, &request(&other_cookie, false, None), &form));
        assert!(
            !passes(&csrf, &request("", false, None), &form),
            "no cookie"
        );
        assert!(!passes(&csrf, &request("csrf=x", false, None), &form));
        let (stranger, _) = super::tests::csrf("another secret");
        assert!(!passes(&stranger, &ours, &form));
    }

    #[test]
    fn every_bit_of_a_token_counts() {
        let (csrf, _) = csrf("secret");
        let (cookie, form) = opened(&csrf, false, None);
        let request = request(&cookie, false, None);
        let (field, token) = form.rsplit_once('=').unwrap();
        let token = URL_SAFE_NO_PAD.decode(token).unwrap();
        for place in 0..token.len() {
            let mut changed = token.clone();
            changed[place] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(&changed);
            assert!(
                !passes(&csrf, &request, &format!("{field}={changed}")),
                "{place}"
            );
        }
        let short = URL_SAFE_NO_PAD.encode(&token[..token.len() - 1]);
        assert!(!passes(&csrf, &request, &format!("{field}={short}")));
    }

    #[test]
    fn a_token_is_for_one_session() {
        let (csrf, _) = csrf("secret");
        let (cookie, form) = opened(&csrf, false, Some("ada"));
        assert!(passes(&csrf, &request(&cookie, false, Some("ada")), &form));
        assert!(!passes(&csrf, &request(&cookie, false, Some("bob")), &form));
        assert!(!passes(&csrf, &request(&cookie, false, None), &form));
    }

    #[test]
    fn a_token_is_another_with_every_form_and_ends_after_a_day() {
        let (csrf, clock) = csrf("secret");
        let (cookie, form) = opened(&csrf, false, None);
        let request = request(&cookie, false, None);
        clock.advance(LIFETIME);
        assert!(passes(&csrf, &request, &form));
        let later = csrf.issue(&request).value;
        assert!(!form.ends_with(&later));
        assert!(
            passes(&csrf, &request, &format!("{FIELD}={later}")),
            "both are good"
        );
        clock.advance(Duration::from_secs(1));
        assert!(!passes(&csrf, &request, &form));
    }
}
