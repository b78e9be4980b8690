//! What can be set about the listeners, and what is refused.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::uri::Authority;
use bytesize::ByteSize;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationError};

use crate::http::client_address::ForwardedHeader;
use crate::settings::{Secret, limited, some_time};

/// `[server]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    pub host: IpAddr,
    pub port: u16,
    /// Where visitors find the service, such as `https://example.com`; absent: at `host` and `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = an_origin))]
    pub public_url: Option<String>,
    /// How long a connection may take to send the headers of a request.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub read_header_timeout: Duration,
    /// How long a connection may stay open between two requests, and how long an answer may wait for its client to take
    /// more of it.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub idle_timeout: Duration,
    /// How long a handler may take.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub request_timeout: Duration,
    /// How long a stop goes on accepting, while `/health/ready` says that it is coming: at least what a balancer needs to
    /// notice.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub drain_delay: Duration,
    /// How long a stop then waits for the requests in flight.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub shutdown_grace: Duration,
    pub max_body: ByteSize,
    #[validate(custom(function = large_enough_for_headers))]
    pub max_header_bytes: ByteSize,
    #[validate(range(min = 1, message = "must be at least 1"))]
    pub max_connections: u32,
    /// How many requests are answered at the same time; 0: as many as come.
    pub concurrency: u32,
    /// How many may wait for that.
    pub queue_depth: u32,
    /// How long they may wait.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub queue_timeout: Duration,
    /// The networks of the proxies that are believed when they say who sent a request.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they say it.
    pub forwarded_header: ForwardedHeader,
    /// Answers HTTPS instead of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// Listens on this file instead of at `host` and `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_socket: Option<PathBuf>,
    /// Whether HTTP/2 is understood without TLS too, as from a proxy that speaks nothing else.
    #[serde(default)]
    pub h2c: bool,
}

/// `[server.tls]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate and those that lead to it, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

impl ServerSettings {
    /// What an address of this service begins with where it has to be whole, without a slash at its end.
    #[must_use]
    pub fn public_url(&self) -> String {
        if let Some(url) = &self.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        if self.host.is_unspecified() {
            return format!("{scheme}://localhost:{}", self.port);
        }
        format!("{scheme}://{}", SocketAddr::new(self.host, self.port))
    }
}

/// A scheme, a host, perhaps a port, and no more.
pub(in crate::http) fn an_origin(url: &str) -> Result<(), ValidationError> {
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let is_host = |host: &str| {
        host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && host.bytes().all(is_plain)
            && host.parse::<Authority>().is_ok()
    };
    if host.is_some_and(is_host) {
        return Ok(());
    }
    Err(ValidationError::new("url").with_message("must be like https://example.com".into()))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature validator asks for"
)]
/// The least that the HTTP parser works with.
fn large_enough_for_headers(size: &ByteSize) -> Result<(), ValidationError> {
    if size.as_u64() >= 8192 {
        return Ok(());
    }
    Err(ValidationError::new("size").with_message("must be at least 8KiB".into()))
}

/// `[operator]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct OperatorSettings {
    pub host: IpAddr,
    pub port: u16,
    /// Opens `/admin`; absent: it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = a_bearer_token))]
    pub token: Option<Secret>,
}

/// What can be sent as one (RFC 6750, section 2.1).
fn a_bearer_token(token: &Secret) -> Result<(), ValidationError> {
    let token = token.expose().trim_end_matches('=');
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if !token.is_empty() && token.bytes().all(may_stand) {
        return Ok(());
    }
    let rule = "must be letters, digits and any of -._~+/, with = at the end only";
    Err(ValidationError::new("token").with_message(rule.into()))
}

#[cfg(test)]
mod tests {
    use super::an_origin;

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        for good in [
            "https://example.com",
            "https://example.com/",
            "http://localhost:8080",
            "http://[::1]:80",
            "https://10.0.0.1",
        ] {
            assert!(an_origin(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https:///",
            "https://example.com/blog",
            "https://example.com?x",
            "https://user@example.com",
            "https://exa mple.com",
            "https://example.com\"><x",
            "https://:80",
        ] {
            assert!(an_origin(bad).is_err(), "{bad}");
        }
    }
}
