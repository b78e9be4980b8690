//! What a browser sends back of what it was given to keep (RFC 6265, section 5.4).

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// The value of the cookie `name`; of several with that name the first, which has the longest path.
#[must_use]
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).into_iter();
    let mut pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
