//! The cookie a browser is known by.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};

use super::token::Token;
use crate::http::cookies;

/// With this prefix browsers take a cookie only over TLS, for this host alone and for all of its paths (RFC 6265bis,
/// section 4.1.3.2).
const SECURE: &str = "__Host-session";

/// Over plain HTTP, for development on this machine.
const PLAIN: &str = "session";

#[derive(Clone, Copy, Debug)]
pub struct SessionCookie {
    pub is_secure: bool,
}

impl SessionCookie {
    fn name(self) -> &'static str {
        if self.is_secure { SECURE } else { PLAIN }
    }

    /// What the browser shows.
    pub fn find(self, headers: &HeaderMap) -> Option<Token> {
        cookies::find(headers, self.name()).map(Token::shown)
    }

    /// Gives the browser `token` to keep for `ttl`.
    pub fn set(self, token: &Token, ttl: Duration) -> HeaderValue {
        self.line(token.expose(), ttl)
    }

    /// Lets the browser forget it.
    pub fn forget(self) -> HeaderValue {
        self.line("", Duration::ZERO)
    }

    fn line(self, value: &str, ttl: Duration) -> HeaderValue {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let line = format!(
            "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
            self.name(),
            ttl.as_secs()
        );
        // A token is base64, which a header may hold.
        HeaderValue::try_from(line).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use axum::http::header::COOKIE;

    #[test]
    fn the_cookie_is_bound_to_the_host_where_there_is_tls() {
        let token = Token::shown("abc");
        let line = |is_secure| {
            let cookie = SessionCookie { is_secure };
            let line = cookie.set(&token, Duration::from_mins(1));
            line.to_str().unwrap().to_owned()
        };
        assert_eq!(
            line(true),
            "__Host-session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            line(false),
            "session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn a_cookie_without_the_prefix_is_not_believed_where_there_is_tls() {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("session=abc"))]);
        assert!(SessionCookie { is_secure: true }.find(&headers).is_none());
        let found = SessionCookie { is_secure: false }.find(&headers);
        assert_eq!(found.unwrap().expose(), "abc");
    }
}
