//! Conditional and partial requests (RFC 9110, sections 13 and 14).

use std::ops::Range;
use std::time::{Duration, SystemTime};

use axum::http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};

/// The place in `tags` of the one that the client has, `selected` before any other; `None` without a match.
///
/// Tags are compared weakly, as `If-None-Match` asks for.
pub(in crate::http) fn known_tag(
    request: &HeaderMap,
    tags: &[impl AsRef<str>],
    selected: usize,
) -> Option<usize> {
    let lines = request.get_all(IF_NONE_MATCH).iter();
    let members = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim);
    let mut known = None;
    for member in members {
        let tag = member.strip_prefix("W/").unwrap_or(member);
        if tag == "*" || tag == tags[selected].as_ref() {
            return Some(selected);
        }
        known = known.or_else(|| tags.iter().position(|own| own.as_ref() == tag));
    }
    known
}

/// Whether the client has what was last modified at `modified`, in seconds since the Unix epoch. Without an
/// `If-None-Match`, which is exact.
pub(super) fn has_not_changed(request: &HeaderMap, modified: i64) -> bool {
    let since = request
        .get(IF_MODIFIED_SINCE)
        .and_then(|value| value.to_str().ok());
    let since = since.and_then(|since| httpdate::parse_http_date(since).ok());
    since.is_some_and(|since| since >= system_time(modified))
}

/// As in `Last-Modified`.
pub(super) fn http_date(seconds: i64) -> String {
    httpdate::fmt_http_date(system_time(seconds))
}

fn system_time(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs())
}

/// How much of a body of `length` bytes is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Part {
    Whole,
    Of(Range<usize>),
    /// Nothing of it: the range lies behind its end.
    None,
}

/// Several ranges at once, and what is not understood, get the whole, as they may. `condition` is what `If-Range` says.
pub(in crate::http) fn part(
    range: &HeaderValue,
    condition: Option<&HeaderValue>,
    tag: &str,
    length: usize,
) -> Part {
    let Ok(range) = range.to_str() else {
        return Part::Whole;
    };
    // A date does not tell two pages of one second apart, so only the same tag will do.
    if condition.is_some_and(|condition| condition != tag) {
        return Part::Whole;
    }
    let bounds = range
        .split_once('=')
        .filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"))
        .and_then(|(_, bounds)| bounds.trim().split_once('-'));
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // What does not fit lies behind any end.
        is_number.then(|| text.parse().unwrap_or(usize::MAX))
    };
    let (start, end) = match bounds {
        Some(("", last)) => match number(last) {
            Some(last) => (length - last.min(length), length),
            None => return Part::Whole,
        },
        Some((first, "")) => match number(first) {
            Some(first) => (first, length),
            None => return Part::Whole,
        },
        Some((first, last)) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                (first, last.saturating_add(1).min(length))
            }
            _ => return Part::Whole,
        },
        None => return Part::Whole,
    };
    if start < end {
        Part::Of(start..end)
    } else {
        Part::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use axum::http::HeaderName;

    fn tags() -> [String; 2] {
        ["\"a\"".into(), "\"a-br\"".into()]
    }

    fn request(headers: &[(HeaderName, &str)]) -> HeaderMap {
        let headers = headers.iter();
        headers
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    fn known(header: &str) -> Option<usize> {
        known_tag(&request(&[(IF_NONE_MATCH, header)]), &tags(), 1)
    }

    #[test]
    fn a_tag_matches_alone_in_a_list_weakly_or_by_star() {
        for (header, tag) in [
            ("\"a\"", 0),
            ("W/\"a\"", 0),
            ("\"x\", \"a\"", 0),
            ("\"a-br\"", 1),
            ("\"a\", W/\"a-br\"", 1),
            ("*", 1),
        ] {
            assert_eq!(known(header), Some(tag), "{header}");
        }
        for header in ["\"b\"", "a", "", "\"a", "\"a-gzip\"", "w/\"a\""] {
            assert_eq!(known(header), None, "{header}");
        }
        let lines: HeaderMap = [(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"a\"")]
            .into_iter()
            .fold(HeaderMap::new(), |mut lines, (name, value)| {
                lines.append(name, value.parse().unwrap());
                lines
            });
        assert_eq!(known_tag(&lines, &tags(), 0), Some(0));
    }

    #[test]
    fn a_date_is_as_good_as_the_page_or_better() {
        // Fri, 02 Jan 2026 03:04:05 GMT
        let unchanged =
            |date| has_not_changed(&request(&[(IF_MODIFIED_SINCE, date)]), 1_767_323_045);
        assert!(unchanged("Fri, 02 Jan 2026 03:04:05 GMT"));
        assert!(unchanged("Fri, 02 Jan 2026 03:04:06 GMT"));
        assert!(unchanged("Friday, 02-Jan-26 03:04:05 GMT"));
        assert!(unchanged("Fri Jan  2 03:04:05 2026"));
        assert!(!unchanged("Fri, 02 Jan 2026 03:04:04 GMT"));
        assert!(!unchanged("yesterday"));
        assert!(!has_not_changed(&HeaderMap::new(), 0));
        assert_eq!(http_date(1_767_323_045), "Fri, 02 Jan 2026 03:04:05 GMT");
    }

    #[test]
    fn one_range_is_cut_out_and_several_are_not() {
        let part = |range| part(&HeaderValue::from_static(range), None, &tags()[0], 10);
        assert_eq!(part("bytes=0-0"), Part::Of(0..1));
        assert_eq!(part("bytes=2-4"), Part::Of(2..5));
        assert_eq!(part("bytes=2-"), Part::Of(2..10));
        assert_eq!(part("bytes=2-99"), Part::Of(2..10));
        assert_eq!(part("bytes=-3"), Part::Of(7..10));
        assert_eq!(part("bytes=-99"), Part::Of(0..10));
        assert_eq!(part("Bytes = 1-1"), Part::Of(1..2));
        for beyond in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(part(beyond), Part::None, "{beyond}");
        }
        for whole in [
            "bytes=0-1,3-4",
            "bytes=4-2",
            "bytes=a-b",
            "bytes=-",
            "bytes=",
            "bytes=+1-2",
            "lines=0-1",
            "0-1",
            "",
        ] {
            assert_eq!(part(whole), Part::Whole, "{whole}");
        }
    }

    #[test]
    fn a_range_of_another_page_gets_the_whole_of_this_one() {
        let range = HeaderValue::from_static("bytes=0-1");
        let part = |condition| {
            let condition = HeaderValue::from_static(condition);
            part(&range, Some(&condition), &tags()[0], 10)
        };
        assert_eq!(part("\"a\""), Part::Of(0..2));
        for other in [
            "\"a-br\"",
            "\"b\"",
            "W/\"a\"",
            "Fri, 02 Jan 2026 03:04:05 GMT",
        ] {
            assert_eq!(part(other), Part::Whole, "{other}");
        }
    }
}
