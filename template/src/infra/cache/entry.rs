//! The stored form of an entry: a format number, a header, the value; anything unreadable is a miss.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::generations::Generations;

/// Raised whenever the layout changes; entries of another format are misses.
const FORMAT: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The generation in which loading began.
    pub born: u64,
    /// Milliseconds since the Unix epoch, like the next.
    pub stored_at_ms: i64,
    pub expires_at_ms: i64,
    pub tags: Vec<String>,
}

impl Header {
    pub fn is_valid(&self, now_ms: i64, generations: &Generations) -> bool {
        now_ms < self.expires_at_ms && !generations.is_outdated(self.born, &self.tags)
    }
}

pub(super) fn encode<V: Serialize>(header: &Header, value: &V) -> Vec<u8> {
    let bytes = postcard::to_extend(header, vec![FORMAT])
        .and_then(|bytes| postcard::to_extend(value, bytes));
    // An empty record is unreadable, and so a miss.
    bytes.unwrap_or_default()
}

pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Option<(Header, V)> {
    let (header, value) = split(bytes)?;
    Some((header, postcard::from_bytes(value).ok()?))
}

pub(super) fn decode_header(bytes: &[u8]) -> Option<Header> {
    split(bytes).map(|(header, _)| header)
}

fn split(bytes: &[u8]) -> Option<(Header, &[u8])> {
    match bytes.split_first()? {
        (&FORMAT, rest) => postcard::take_from_bytes(rest).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            born: 7,
            stored_at_ms: 1,
            expires_at_ms: 2,
            tags: vec!["a".into()],
        }
    }

    #[test]
    fn an_entry_survives_encoding() {
        let bytes = encode(&header(), &"value".to_owned());
        assert_eq!(
            decode::<String>(&bytes),
            Some((header(), "value".to_owned()))
        );
        assert_eq!(decode_header(&bytes), Some(header()));
    }

    #[test]
    fn damaged_or_foreign_bytes_are_a_miss() {
        let bytes = encode(&header(), &"value".to_owned());
        for end in 0..bytes.len() {
            assert_eq!(decode::<String>(&bytes[..end]), None);
        }
        let mut other_format = bytes;
        other_format[0] = FORMAT + 1;
        assert_eq!(decode::<String>(&other_format), None);
        assert_eq!(decode::<String>(b"\x01garbage"), None);
    }
}
