//! Which encoding of a body a client gets (`Accept-Encoding`, RFC 9110, section 12.5.3), and how it is made.

use std::io::{self, Write};

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

/// Of a body that changes with every article, not of a file that is made once: the best levels take ten times as long
/// for a few per cent.
const BROTLI_QUALITY: i32 = 9;
const ZSTD_LEVEL: i32 = 12;
const GZIP_LEVEL: flate2::Compression = flate2::Compression::new(7);

/// An encoding that this service makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::http) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// The smallest first: what a client likes equally is decided by this order.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// As in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    pub fn encode(self, body: &[u8]) -> io::Result<Bytes> {
        let mut encoded = match self {
            Self::Brotli => brotli(body)?,
            Self::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL)?,
            Self::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), GZIP_LEVEL);
                gzip.write_all(body)?;
                gzip.finish()?
            }
        };
        // zstd's is as large as the body at first.
        encoded.shrink_to_fit();
        Ok(encoded.into())
    }
}

fn brotli(body: &[u8]) -> io::Result<Vec<u8>> {
    let parameters = BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        size_hint: body.len(),
        ..Default::default()
    };
    let mut encoded = Vec::new();
    brotli::BrotliCompress(&mut &*body, &mut encoded, &parameters)?;
    Ok(encoded)
}

/// A form in which a body can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Form {
    AsItIs,
    Encoded(Coding),
}

impl Form {
    pub const COUNT: usize = 1 + Coding::ALL.len();

    pub fn coding(self) -> Option<Coding> {
        match self {
            Self::AsItIs => None,
            Self::Encoded(coding) => Some(coding),
        }
    }

    /// Where it stands among all forms.
    pub fn place(self) -> usize {
        match self {
            Self::AsItIs => 0,
            Self::Encoded(Coding::Brotli) => 1,
            Self::Encoded(Coding::Zstd) => 2,
            Self::Encoded(Coding::Gzip) => 3,
        }
    }
}

/// Whether bodies of this type get smaller.
pub(super) fn compresses(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/json" | "application/xml" | "application/javascript"
        )
}

/// How much a client likes each encoding, in thousandths; 0 is a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Accepted {
    codings: [u16; Coding::ALL.len()],
    identity: u16,
}

impl Accepted {
    /// A client that says nothing takes anything, and gets what every client can read.
    pub const SILENT: Self = Self {
        codings: [0; Coding::ALL.len()],
        identity: 1000,
    };

    pub fn of(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(ACCEPT_ENCODING).iter().peekable();
        if lines.peek().is_none() {
            return Self::SILENT;
        }
        let mut codings = [None; Coding::ALL.len()];
        let (mut identity, mut others) = (None, None);
        let members = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        for member in members {
            let mut parts = member.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            // A weight that is not one makes its member unreadable.
            let Some(weight) = parts.next().map_or(Some(1000), weight) else {
                continue;
            };
            let place = Coding::ALL.iter().position(|coding| {
                name.eq_ignore_ascii_case(coding.name())
                    || *coding == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip")
            });
            match place {
                Some(place) => codings[place] = Some(weight),
                None if name.eq_ignore_ascii_case("identity") => identity = Some(weight),
                None if name == "*" => others = Some(weight),
                None => {}
            }
        }
        Self {
            codings: codings.map(|weight| weight.or(others).unwrap_or(0)),
            // Acceptable unless it is refused, and below all that is asked for.
            identity: identity.or(others).unwrap_or(1),
        }
    }

    /// The best of the forms there are, if there is one that the client takes.
    pub fn best(self, has: impl Fn(Coding) -> bool) -> Option<Form> {
        let mut best = (self.identity, (self.identity > 0).then_some(Form::AsItIs));
        for (coding, weight) in Coding::ALL.into_iter().zip(self.codings).rev() {
            if weight > 0 && weight >= best.0 && has(coding) {
                best = (weight, Some(Form::Encoded(coding)));
            }
        }
        best.1
    }

    /// Whether the client would rather have an encoding, if there were one.
    pub fn prefers_encoding(self) -> bool {
        let likes = |weight: &u16| *weight > 0 && *weight >= self.identity;
        self.codings.iter().any(likes)
    }

    pub fn takes_identity(self) -> bool {
        self.identity > 0
    }
}

/// `q=0.8` in thousandths, if it is a weight at all (RFC 9110, section 12.4.2).
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim_end().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value
        .trim_start()
        .split_once('.')
        .unwrap_or((value.trim_start(), ""));
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" if is_fraction => Some(thousandths),
        "1" if is_fraction && thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Read;

    fn accepted(lines: &[&str]) -> Accepted {
        let lines = lines
            .iter()
            .map(|line| (ACCEPT_ENCODING, line.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        Accepted::of(&headers)
    }

    fn best(line: &str) -> Option<&'static str> {
        best_of(line, &Coding::ALL)
    }

    fn best_of(line: &str, made: &[Coding]) -> Option<&'static str> {
        let best = accepted(&[line]).best(|coding| made.contains(&coding))?;
        Some(match best {
            Form::AsItIs => "identity",
            Form::Encoded(coding) => coding.name(),
        })
    }

    #[test]
    fn a_client_gets_the_smallest_of_what_it_takes() {
        assert_eq!(best("gzip, deflate, br, zstd"), Some("br"));
        assert_eq!(best("gzip, zstd"), Some("zstd"));
        assert_eq!(best("gzip"), Some("gzip"));
        assert_eq!(best("GZip"), Some("gzip"));
        assert_eq!(best("x-gzip"), Some("gzip"));
        assert_eq!(best("*"), Some("br"));
        assert_eq!(best("deflate"), Some("identity"));
        assert_eq!(best(""), Some("identity"));
        assert_eq!(best_of("br, gzip", &[Coding::Gzip]), Some("gzip"));
        assert_eq!(best_of("br", &[]), Some("identity"));
        let nothing_said = Accepted::of(&HeaderMap::new());
        assert_eq!(nothing_said.best(|_| true), Some(Form::AsItIs));
        assert_eq!(
            accepted(&["gzip;q=0.5", "br"]).best(|_| true),
            Some(Form::Encoded(Coding::Brotli))
        );
    }

    #[test]
    fn weights_decide_before_size() {
        assert_eq!(best("br;q=0.1, gzip;q=0.9"), Some("gzip"));
        assert_eq!(best("br;q=0.1, gzip;q=0.9, identity"), Some("identity"));
        assert_eq!(best("gzip;q=0.5"), Some("gzip"));
        assert_eq!(best("identity;q=0.5, gzip;q=0.4"), Some("identity"));
        assert_eq!(best("*;q=0.5, gzip"), Some("gzip"));
        assert_eq!(best("*;q=0.5, br;q=0, zstd;q=0"), Some("gzip"));
        assert_eq!(best("br;q=0.001"), Some("br"));
        assert_eq!(best("br ; q=0.5 , gzip ; Q=0.6"), Some("gzip"));
    }

    #[test]
    fn what_is_refused_is_not_given() {
        assert_eq!(best("br;q=0, gzip;q=0.000, zstd;q=0.0"), Some("identity"));
        assert_eq!(best("identity;q=0"), None);
        assert_eq!(best("*;q=0"), None);
        assert_eq!(best("*;q=0, identity"), Some("identity"));
        assert_eq!(best("*;q=0, gzip"), Some("gzip"));
        assert_eq!(best("identity;q=0, gzip"), Some("gzip"));
        assert_eq!(best_of("identity;q=0, gzip", &[]), None);
    }

    #[test]
    fn a_weight_that_is_none_is_passed_over_with_what_it_weighs() {
        for bad in [
            "q=abc", "q=1.5", "q=-1", "q=0.1234", "q=1.001", "q=", "q", "x=1", "q=nan",
        ] {
            assert_eq!(best(&format!("br;{bad}, gzip")), Some("gzip"), "{bad}");
            assert_eq!(best(&format!("identity;{bad}")), Some("identity"), "{bad}");
        }
        assert_eq!(best("br;q=1.000"), Some("br"));
        assert_eq!(best(",;,;;q=,=,"), Some("identity"));
    }

    #[test]
    fn text_compresses_and_pictures_do_not() {
        for yes in [
            "text/html; charset=utf-8",
            "application/json",
            "application/problem+json",
            "application/atom+xml; charset=utf-8",
            "image/svg+xml",
        ] {
            assert!(compresses(yes), "{yes}");
        }
        for no in [
            "image/png",
            "application/zip",
            "video/mp4",
            "",
            "application/octet-stream",
        ] {
            assert!(!compresses(no), "{no}");
        }
    }

    #[test]
    fn every_encoding_can_be_read_again() {
        let body = "a page says the same thing again and again; ".repeat(500);
        for coding in Coding::ALL {
            let encoded = coding.encode(body.as_bytes()).unwrap();
            assert!(encoded.len() * 10 < body.len(), "{coding:?}");
            let mut decoded = String::new();
            match coding {
                Coding::Brotli => brotli::Decompressor::new(&*encoded, 4096)
                    .read_to_string(&mut decoded)
                    .unwrap(),
                Coding::Zstd => zstd::Decoder::new(&*encoded)
                    .unwrap()
                    .read_to_string(&mut decoded)
                    .unwrap(),
                Coding::Gzip => flate2::read::GzDecoder::new(&*encoded)
                    .read_to_string(&mut decoded)
                    .unwrap(),
            };
            assert_eq!(decoded, body);
        }
    }
}
