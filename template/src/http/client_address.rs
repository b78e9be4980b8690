//! Who has sent a request and how: what the connection shows, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::problem::{Kind, Problem};
use super::server::{Client, ServerSettings};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where trusted proxies say for whom they ask. One of them is believed: a proxy passes the other on as the client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// Whose request it is. Every request of the public listener carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// An IPv4 address is never written as an IPv6 one.
    pub ip: IpAddr,
    /// Whether nobody could read along, up to us or to the trusted proxy in front.
    pub is_https: bool,
}

/// Whether the visitor sees this service under `https://`: only then do browsers take what wants encryption.
#[must_use]
pub fn is_https(extensions: &Extensions) -> bool {
    extensions
        .get::<ClientAddress>()
        .is_some_and(|client| client.is_https)
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get().copied().ok_or_else(|| {
            let cause = anyhow::anyhow!("a request without a client, so not from a listener");
            Problem::new(Kind::Internal).cause(cause)
        })
    }
}

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub(super) struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ForwardedHeader,
}

impl From<&ServerSettings> for TrustedProxies {
    fn from(settings: &ServerSettings) -> Self {
        Self {
            networks: settings.trusted_proxies.clone(),
            header: settings.forwarded_header,
        }
    }
}

impl TrustedProxies {
    /// Who has sent a request with these `headers`.
    pub fn client(&self, connection: &Client, headers: &HeaderMap) -> ClientAddress {
        let peer = ClientAddress {
            ip: connection.address.ip().to_canonical(),
            is_https: connection.is_tls,
        };
        if !self.trust(peer.ip) {
            return peer;
        }
        match self.header {
            ForwardedHeader::XForwardedFor => self.by_x_forwarded_for(peer, headers),
            ForwardedHeader::Forwarded => self.by_forwarded(peer, headers),
        }
    }

    fn trust(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }

    /// Every proxy adds whom it heard from at the end, so the way back begins there. It ends at the first address that is
    /// not trusted, or with what cannot be read: whatever stands before may be the client's own invention.
    fn by_x_forwarded_for(&self, peer: ClientAddress, headers: &HeaderMap) -> ClientAddress {
        let mut ip = peer.ip;
        for hop in from_the_end(headers, &X_FORWARDED_FOR) {
            let Some(found) = address(hop) else { break };
            ip = found;
            if !self.trust(ip) {
                break;
            }
        }
        let scheme = from_the_end(headers, &X_FORWARDED_PROTO).next();
        ClientAddress {
            ip,
            is_https: scheme.map_or(peer.is_https, |scheme| {
                scheme.trim().eq_ignore_ascii_case("https")
            }),
        }
    }

    fn by_forwarded(&self, peer: ClientAddress, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer;
        for element in from_the_end(headers, &FORWARDED) {
            // A part of something quoted that has a comma in it, such as a host that the client has chosen.
            if element.matches('"').count() % 2 == 1 {
                break;
            }
            let Some(ip) = parameter(element, "for").and_then(address) else {
                break;
            };
            let scheme = parameter(element, "proto");
            client = ClientAddress {
                ip,
                is_https: scheme
                    .map_or(peer.is_https, |scheme| scheme.eq_ignore_ascii_case("https")),
            };
            if !self.trust(ip) {
                break;
            }
        }
        client
    }
}

/// What is listed in all the lines of a header, the last first. A line that is not text ends the list.
fn from_the_end<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().rev();
    lines
        .map_while(|line: &HeaderValue| line.to_str().ok())
        .flat_map(|line| line.rsplit(','))
}

/// A parameter of an element of `Forwarded`, without quotes (RFC 7239, section 4).
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| found.trim().eq_ignore_ascii_case(name))?;
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    Some(quoted.unwrap_or(value))
}

/// An address as proxies write it: alone, with a port, an IPv6 address perhaps in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let ip = if let Ok(ip) = text.parse::<IpAddr>() {
        ip
    } else if let Ok(socket) = text.parse::<SocketAddr>() {
        socket.ip()
    } else {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse().ok()?
    };
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(header: ForwardedHeader) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "fd00::/8"];
        TrustedProxies {
            networks: networks.map(|network| network.parse().unwrap()).to_vec(),
            header,
        }
    }

    fn client(
        proxies: &TrustedProxies,
        peer: &str,
        lines: &[(&'static str, &str)],
    ) -> ClientAddress {
        let lines = lines.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        });
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        let connection = Client {
            address: SocketAddr::new(peer.parse().unwrap(), 4711),
            ip: peer.to_owned(),
            is_tls: false,
        };
        proxies.client(&connection, &headers)
    }

    #[track_caller]
    fn assert_client(
        header: ForwardedHeader,
        peer: &str,
        lines: &[(&'static str, &str)],
        expected: &str,
    ) {
        let found = client(&proxies(header), peer, lines).ip;
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{lines:?}");
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_speaks_for_itself() {
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1;proto=https"),
            ("x-forwarded-proto", "https"),
        ];
        for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
            for peer in ["192.0.2.1", "::1"] {
                let found = client(&proxies(header), peer, &lines);
                assert_eq!(found.ip, peer.parse::<IpAddr>().unwrap());
                assert!(!found.is_https);
            }
        }
        let nobody = TrustedProxies::default();
        let found = client(&nobody, "10.0.0.1", &lines);
        assert_eq!(found.ip.to_string(), "10.0.0.1");
        assert!(!found.is_https);
    }

    #[test]
    fn the_last_hop_that_is_no_trusted_proxy_is_the_client() {
        for (lines, expected) in [
            (&["1.1.1.1"][..], "1.1.1.1"),
            (&["9.9.9.9, 1.1.1.1"], "1.1.1.1"),
            (&["9.9.9.9, 1.1.1.1, 10.1.1.1"], "1.1.1.1"),
            (&["9.9.9.9", "1.1.1.1,10.1.1.1", "fd00::7"], "1.1.1.1"),
            (&["1.1.1.1:4711"], "1.1.1.1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]:80"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:1.1.1.1"], "1.1.1.1"),
            (&["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ] {
            let lines: Vec<_> = lines
                .iter()
                .map(|line| ("x-forwarded-for", *line))
                .collect();
            assert_client(ForwardedHeader::XForwardedFor, "10.0.0.1", &lines, expected);
            assert_client(
                ForwardedHeader::XForwardedFor,
                "::ffff:10.0.0.1",
                &lines,
                expected,
            );
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_way_back() {
        for line in [
            "",
            "unknown",
            "1.1.1.1, nonsense",
            "1.1.1.1, ",
            "1.1.1.1 2.2.2.2",
            "\u{fc}",
            "1.1.1.1, 999.1.1.1",
        ] {
            assert_client(
                ForwardedHeader::XForwardedFor,
                "10.0.0.1",
                &[("x-forwarded-for", line)],
                "10.0.0.1",
            );
        }
        assert_client(
            ForwardedHeader::XForwardedFor,
            "10.0.0.1",
            &[("x-forwarded-for", "1.1.1.1, nonsense, 10.0.0.2")],
            "10.0.0.2",
        );
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        for (line, expected) in [
            ("for=1.1.1.1", "1.1.1.1"),
            ("For=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
            ("for=9.9.9.9, for=1.1.1.1;by=10.0.0.2", "1.1.1.1"),
            ("for=1.1.1.1, for=10.0.0.2", "1.1.1.1"),
            ("for=\"1.1.1.1:80\"", "1.1.1.1"),
            ("for=unknown", "10.0.0.1"),
            ("for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
            // An open quote of the client must not swallow what the proxy adds.
            ("for=\"9.9.9.9, for=1.1.1.1", "1.1.1.1"),
            // Nor may a host of the client's choice pass for an element.
            ("for=1.1.1.1;host=\"x,for=9.9.9.9;a=\"", "10.0.0.1"),
        ] {
            let lines = [("forwarded", line)];
            assert_client(ForwardedHeader::Forwarded, "10.0.0.1", &lines, expected);
        }
    }

    #[test]
    fn only_the_header_that_the_proxy_writes_is_believed() {
        let lines = [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=2.2.2.2")];
        assert_client(
            ForwardedHeader::XForwardedFor,
            "10.0.0.1",
            &lines,
            "1.1.1.1",
        );
        assert_client(ForwardedHeader::Forwarded, "10.0.0.1", &lines, "2.2.2.2");
    }

    #[test]
    fn a_trusted_proxy_says_whether_the_visitor_came_by_https() {
        for (scheme, expected) in [
            ("https", true),
            ("HTTPS", true),
            ("http", false),
            ("", false),
        ] {
            let lines = [
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-proto", scheme),
            ];
            let found = client(&proxies(ForwardedHeader::XForwardedFor), "10.0.0.1", &lines);
            assert_eq!(found.is_https, expected, "{scheme}");
            let line = format!("for=1.1.1.1;proto={scheme}");
            let lines = [("forwarded", line.as_str())];
            let found = client(&proxies(ForwardedHeader::Forwarded), "10.0.0.1", &lines);
            assert_eq!(found.is_https, expected, "{scheme}");
        }
        let chain = [("x-forwarded-proto", "https, http")];
        let found = client(&proxies(ForwardedHeader::XForwardedFor), "10.0.0.1", &chain);
        assert!(!found.is_https, "what the last proxy says counts");
    }
}
