//! What a browser sends back of what it was given to keep (RFC 6265, section 5.4).

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// The value of the cookie `name`; of several with that name the first, which has the longest path.
#[must_use]
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).into_iter();
    // One that is no text, from somebody else on the same domain, hides no other in its line.
    let mut pairs = lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| str::from_utf8(pair).ok()?.trim().split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    use axum::http::HeaderValue;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_in_any_line() {
        let lines = ["a=1; flash=saved; b==2", "c=3"];
        let headers: HeaderMap = lines
            .map(|line| (COOKIE, line.parse().unwrap()))
            .into_iter()
            .collect();
        assert_eq!(find(&headers, "flash"), Some("saved"));
        assert_eq!(find(&headers, "b"), Some("=2"));
        assert_eq!(find(&headers, "c"), Some("3"));
        assert_eq!(find(&headers, "lash"), None);
        assert_eq!(find(&HeaderMap::new(), "a"), None);
    }

    #[test]
    fn a_cookie_that_is_no_text_hides_no_other() {
        let line = HeaderValue::from_bytes(b"city=Z\xfcrich; session=1; town=K\xc3\xb6ln").unwrap();
        let headers = HeaderMap::from_iter([(COOKIE, line)]);
        assert_eq!(find(&headers, "session"), Some("1"));
        assert_eq!(find(&headers, "city"), None);
    }
}
