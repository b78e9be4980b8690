//! The headers that tell browsers what a page of this service may do: nothing that it does not need.{% capture body %}

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationError};

use super::api;
use crate::settings::{Secret, limited};

/// On every answer of the public listener; what a handler sets itself stays.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        REFERRER_POLICY,
        HeaderValue::from_static("strict-origin-when-cross-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// `[security]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct SecuritySettings {
    /// How long browsers that came by https must not come otherwise (RFC 6797); zero: they are not told.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = limited))]
    pub hsts_max_age: Duration,
    /// Whether that is so for every subdomain too.
    pub hsts_include_subdomains: bool,
    /// The sites that may show pages in a frame.
    #[validate(custom(function = sources))]
    pub frame_ancestors: Vec<String>,
    /// From where pages may load scripts, besides their own.
    #[validate(custom(function = sources))]
    pub script_sources: Vec<String>,
    #[validate(custom(function = sources))]
    pub style_sources: Vec<String>,
    #[validate(custom(function = sources))]
    pub font_sources: Vec<String>,
    /// What scripts may talk to.
    #[validate(custom(function = sources))]
    pub connect_sources: Vec<String>,
    /// Signs the tokens of forms; absent: another with every start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf_secret: Option<Secret>,
}

/// Hosts and hashes. What would let any script run, or add a directive of its own, is none.
fn sources(sources: &[String]) -> Result<(), ValidationError> {
    let is_host = |source: &str| {
        let schemes = ["https://", "http://localhost", "http://127.0.0.1", "wss://"];
        schemes.iter().any(|scheme| source.starts_with(scheme))
    };
    let is_hash = |source: &str| {
        let hash = source
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''));
        let kinds = ["sha256-", "sha384-", "sha512-"];
        hash.is_some_and(|hash| kinds.iter().any(|kind| hash.starts_with(kind)))
    };
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"');
    let is_good = |source: &String| {
        source.bytes().all(is_plain)
            && (is_host(source) && !source.contains('\'') || is_hash(source))
    };
    if sources.iter().all(is_good) {
        return Ok(());
    }
    let rule = r#"must be hosts like "https://cdn.example.com" or hashes like "'sha256-…'""#;
    Err(ValidationError::new("sources").with_message(rule.into()))
}

/// What the settings say; only the first start of a process has a say. Without, pages load nothing from elsewhere.
static SETTINGS: OnceLock<SecuritySettings> = OnceLock::new();

/// Heeds these settings from now on.
pub fn configure(settings: &SecuritySettings) {
    let _ = SETTINGS.set(settings.clone());
}

/// What browsers that come by https are told, if anything is.
pub(super) fn strict_transport(settings: &SecuritySettings) -> Option<HeaderValue> {
    let seconds = settings.hsts_max_age.as_secs();
    let subdomains = if settings.hsts_include_subdomains {
        "; includeSubDomains"
    } else {
        ""
    };
    let value = HeaderValue::try_from(format!("max-age={seconds}{subdomains}")).ok();
    value.filter(|_| seconds > 0)
}

/// The policy of pages, made with the first of them.
static PAGES: OnceLock<HeaderValue> = OnceLock::new();

/// A host besides this one that has the assets.
static ASSETS: OnceLock<String> = OnceLock::new();

/// Documents for programs load nothing, and a browser that shows one as a page after all runs nothing.
const DATA: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Pages load what they need from here, have no script or style in their text, and stand in nobody's frame, unless the
/// settings say more. Articles may show pictures from anywhere.
fn policy_of_pages(settings: Option<&SecuritySettings>, assets: Option<&str>) -> HeaderValue {
    let own = assets.map_or("'self'".to_owned(), |host| format!("'self' {host}"));
    let mut policy = format!(
        "default-src {own}; img-src 'self' data: https:; base-uri 'none'; form-action 'self'; object-src 'none'"
    );
    let mut ancestors = "'none'".to_owned();
    if let Some(settings) = settings {
        for (directive, sources) in [
            ("script-src", &settings.script_sources),
            ("style-src", &settings.style_sources),
            ("font-src", &settings.font_sources),
            ("connect-src", &settings.connect_sources),
        ] {
            if !sources.is_empty() {
                let sources = sources.join(" ");
                for part in ["; ", directive, " ", &own, " ", &sources] {
                    policy += part;
                }
            }
        }
        if !settings.frame_ancestors.is_empty() {
            ancestors = settings.frame_ancestors.join(" ");
        }
    }
    policy += "; frame-ancestors ";
    policy += &ancestors;
    // The rules for settings let nothing else through.
    HeaderValue::try_from(policy).unwrap_or(DATA)
}

/// The viewer of the API sets styles in its text.
const VIEWER: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'; object-src 'none'",
); //~{% if frontend == "pages" %}

/// Lets pages load their styles, scripts and fonts from `origin` too. Only the first call counts.
pub(super) fn allow_assets_from(origin: &str) {
    let _ = ASSETS.set(origin.to_owned());
} //~{% endif %}

/// Completes the headers of an answer to `route`.
pub(super) fn protect(headers: &mut HeaderMap, route: &str) {
    let policy = if route.starts_with(api::VIEWER) {
        VIEWER
    } else if is_json(headers) {
        DATA
    } else {
        let policy = || policy_of_pages(SETTINGS.get(), ASSETS.get().map(String::as_str));
        PAGES.get_or_init(policy).clone()
    };
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().ends_with(b"json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SecuritySettings {
        SecuritySettings {
            hsts_max_age: Duration::from_mins(1),
            hsts_include_subdomains: false,
            frame_ancestors: Vec::new(),
            script_sources: Vec::new(),
            style_sources: Vec::new(),
            font_sources: Vec::new(),
            connect_sources: Vec::new(),
            csrf_secret: None,
        }
    }

    #[test]
    fn the_settings_add_to_the_policy_and_take_nothing_away() {
        let strict = policy_of_pages(None, None);
        assert_eq!(policy_of_pages(Some(&settings()), None), strict);
        let settings = SecuritySettings {
            frame_ancestors: vec!["https://a.example".into()],
            script_sources: vec!["https://b.example".into(), "'sha256-abc='".into()],
            ..settings()
        };
        assert!(settings.validate().is_ok());
        let policy = policy_of_pages(Some(&settings), Some("https://cdn.example"));
        assert_eq!(
            policy,
            "default-src 'self' https://cdn.example; img-src 'self' data: https:; base-uri 'none'; form-action 'self'; \
             object-src 'none'; script-src 'self' https://cdn.example https://b.example 'sha256-abc='; \
             frame-ancestors https://a.example"
        );
    }

    #[test]
    fn what_would_open_the_policy_is_no_source() {
        for bad in [
            "*",
            "https:",
            "'unsafe-inline'",
            "'unsafe-eval'",
            "'nonce-abc'",
            "data:",
            "http://a.example",
            "https://a.example; script-src *",
            "https://a.example 'unsafe-inline'",
            "https://a.example,b",
            "",
        ] {
            let settings = SecuritySettings {
                script_sources: vec![bad.to_owned()],
                ..settings()
            };
            assert!(settings.validate().is_err(), "{bad}");
        }
    }

    #[test]
    fn browsers_are_told_to_stay_with_https_if_the_settings_want_that() {
        assert_eq!(strict_transport(&settings()).unwrap(), "max-age=60");
        let all = SecuritySettings {
            hsts_include_subdomains: true,
            ..settings()
        };
        assert_eq!(
            strict_transport(&all).unwrap(),
            "max-age=60; includeSubDomains"
        );
        let none = SecuritySettings {
            hsts_max_age: Duration::ZERO,
            ..settings()
        };
        assert_eq!(strict_transport(&none), None);
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
