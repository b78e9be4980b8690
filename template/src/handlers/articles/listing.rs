//! Which part of the list a client asks for, and how it comes back for the next.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::domain::articles::{ArticleQuery, Cursor, Sort, Status, Tag, Title};
use crate::http::{Kind, Problem};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only articles with this tag.
    tag: Option<String>,
    /// Only articles with this status; without it, published ones. Others are for who may write.
    #[param(inline)]
    status: Option<StatusFilter>,
    #[param(inline)]
    sort: Option<SortName>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Articles per page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StatusFilter {
    Draft,
    Published,
    All,
}

/// Dates are those of publication, or of creation for drafts.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SortName {
    Newest,
    Oldest,
    Title,
}

impl TryFrom<ListParams> for ArticleQuery {
    type Error = Problem;

    fn try_from(params: ListParams) -> Result<Self, Problem> {
        let malformed = |name: &str, rule: &str| {
            Problem::new(Kind::Malformed).detail(format!("`{name}` {rule}"))
        };
        let limit = u8::try_from(params.limit.unwrap_or(20)).unwrap_or(u8::MAX);
        if !(1..=Self::MAX_LIMIT).contains(&limit) {
            return Err(malformed("limit", "must be 1 to 100"));
        }
        let tag = params.tag.as_deref().map(Tag::parse).transpose();
        let cursor = params.cursor.as_deref().map(decode_cursor);
        Ok(Self {
            status: match params.status {
                None | Some(StatusFilter::Published) => Some(Status::Published),
                Some(StatusFilter::Draft) => Some(Status::Draft),
                Some(StatusFilter::All) => None,
            },
            tag: tag.map_err(|rule| malformed("tag", rule.0))?,
            sort: match params.sort {
                None | Some(SortName::Newest) => Sort::Newest,
                Some(SortName::Oldest) => Sort::Oldest,
                Some(SortName::Title) => Sort::Title,
            },
            after: match cursor {
                None => None,
                Some(Some(cursor)) => Some(cursor),
                Some(None) => {
                    return Err(malformed("cursor", "must be the `next` of the page before"));
                }
            },
            limit,
        })
    }
}

/// Opaque to clients: they only send it back.
pub(super) fn encode_cursor(cursor: &Cursor) -> String {
    let text = match cursor {
        Cursor::Date(date, id) => format!("d {id} {}", date.timestamp_micros()),
        Cursor::Title(title, id) => format!("t {id} {title}"),
    };
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

fn decode_cursor(text: &str) -> Option<Cursor> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let mut parts = text.splitn(3, ' ');
    let (kind, id, key) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    match kind {
        "d" => {
            let date = DateTime::from_timestamp_micros(key.parse().ok()?)?;
            // The years a store can compare.
            (1..=9999)
                .contains(&date.year())
                .then_some(Cursor::Date(date, id))
        }
        "t" => Some(Cursor::Title(Title::parse(key).ok()?.into(), id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_cursor_survives_the_way_to_the_client_and_back() {
        let date = DateTime::from_timestamp_micros(1_767_225_600_123_456).unwrap();
        for cursor in [
            Cursor::Date(date, Uuid::max()),
            Cursor::Title("Ein Titel – mit Raum".into(), Uuid::nil()),
        ] {
            assert_eq!(decode_cursor(&encode_cursor(&cursor)), Some(cursor));
        }
    }

    #[test]
    fn a_cursor_of_someone_else_is_refused() {
        for text in [
            "",
            "abc",
            "ZCAwIDA",
            "%",
            &BASE64_URL_SAFE_NO_PAD.encode("d x 1"),
        ] {
            assert_eq!(decode_cursor(text), None, "{text}");
        }
    }
}
