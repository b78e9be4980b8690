//! Which form of an answer the client prefers (`Accept`, RFC 9110, section 12.5.1).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::problem::{Kind, Problem};

/// The forms an error can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Html,
    Text,
}

/// The media types of a form; an exact match beats a range like `text/*`, and that beats `*/*`.
fn media_types(form: Form) -> &'static [&'static str] {
    match form {
        Form::Json => &["application/problem+json", "application/json"],
        Form::Html => &["text/html"],
        Form::Text => &["text/plain"],
    }
}

/// The form in `offered` that the client likes best; the first one if it does not care or takes none of them.
#[must_use]
pub fn preferred(headers: &HeaderMap, offered: &[Form]) -> Form {
    let accepted: Vec<&str> = accepted(headers).collect();
    let mut best = (0, *offered.first().unwrap_or(&Form::Json));
    for &form in offered {
        let quality = quality(&accepted, media_types(form));
        if quality > best.0 {
            best = (quality, form);
        }
    }
    best.1
}

/// Refuses who can do nothing with JSON, before anything is done for them: a change whose answer cannot be read would be made
/// twice. Browsers take everything.
pub(super) fn only_json(headers: &HeaderMap) -> Result<(), Problem> {
    if takes_json(headers) {
        return Ok(());
    }
    Err(Problem::new(Kind::NotAcceptable).detail("The answers here are application/json."))
}

fn takes_json(headers: &HeaderMap) -> bool {
    if !headers.contains_key(ACCEPT) {
        return true;
    }
    let accepted: Vec<&str> = accepted(headers).collect();
    quality(&accepted, media_types(Form::Json)) > 0
}

fn accepted(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(ACCEPT).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
}

/// In thousandths; the most specific range that matches decides.
fn quality(accepted: &[&str], types: &[&str]) -> u16 {
    let mut best = (0, 0);
    for range in accepted {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(Some(1.0), |q| q.parse::<f32>().ok());
        // `q` has at most three digits behind the point.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=1000"
        )]
        let quality = (quality.unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16;
        for media_type in types {
            let specificity = match name.strip_suffix('*') {
                None => 3 * u8::from(name == *media_type),
                Some("*/") => 1,
                Some(prefix) => 2 * u8::from(media_type.starts_with(prefix)),
            };
            if specificity > 0 && (specificity, quality) > best {
                best = (specificity, quality);
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred_for(accept: &str) -> Form {
        let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
        preferred(&headers, &[Form::Json, Form::Html, Form::Text])
    }

    #[test]
    fn a_browser_gets_a_page_and_a_program_gets_json() {
        assert_eq!(
            preferred_for("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            Form::Html
        );
        assert_eq!(preferred_for("application/json"), Form::Json);
        assert_eq!(preferred_for("application/problem+json"), Form::Json);
        assert_eq!(preferred_for("text/plain"), Form::Text);
        assert_eq!(
            preferred(&HeaderMap::new(), &[Form::Json, Form::Html]),
            Form::Json
        );
    }

    #[test]
    fn whoever_takes_json_in_any_way_gets_it() {
        let takes = |accept: &str| {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            takes_json(&headers)
        };
        assert!(takes_json(&HeaderMap::new()));
        for accept in [
            "application/json",
            "application/problem+json",
            "application/*;q=0.1",
            "text/html, */*;q=0.8",
        ] {
            assert!(takes(accept), "{accept}");
        }
        for accept in [
            "text/html",
            "application/xml",
            "application/json;q=0",
            "*/*;q=0",
            "",
        ] {
            assert!(!takes(accept), "{accept}");
        }
    }

    #[test]
    fn quality_and_specificity_decide() {
        assert_eq!(
            preferred_for("text/html;q=0.2, application/json;q=0.9"),
            Form::Json
        );
        assert_eq!(preferred_for("*/*, application/json;q=0.1"), Form::Html);
        assert_eq!(preferred_for("text/*;q=0.9, text/html;q=0.1"), Form::Text);
        assert_eq!(preferred_for("*/*"), Form::Json);
        assert_eq!(preferred_for("image/png"), Form::Json);
        assert_eq!(
            preferred_for("text/html;q=abc, text/plain;q=0.1"),
            Form::Text
        );
    }
}
