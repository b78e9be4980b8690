//! The stored form of an entry: a format number, a header, the value; anything unreadable is a miss.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::tags::{Generations, TagId};

/// Raised whenever the layout changes; entries of another format are misses.
const FORMAT: u8 = 2;

/// Format and age: what a store compares without decoding the rest.
const PREFIX: usize = 1 + AGE;
const AGE: usize = 16;

/// What is known of a value besides itself. Times are microseconds since the Unix epoch, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The generation in which loading began.
    pub born: u64,
    pub stored_at: i64,
    pub expiry: Expiry,
    /// The tags of the value, its key and its namespace.
    pub tags: Box<[TagId]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Expiry {
    /// From here on the value is answered while a new one is made; `i64::MAX` is never.
    pub stale_at: i64,
    /// From here on it is not answered at all.
    pub ends_at: i64,
    /// It says that there is nothing.
    pub is_absent: bool,
}

impl Header {
    pub fn is_valid(&self, now: i64, generations: &Generations) -> bool {
        now < self.expiry.ends_at && !generations.is_outdated(self.born, &self.tags)
    }
}

/// The layout: format (1 byte), `born` and `stored_at` (8 bytes each, big-endian), expiry and tags and value (postcard).
/// `None` for a value that postcard cannot represent.
pub(super) fn encode<V: Serialize>(header: &Header, value: &V) -> Option<Vec<u8>> {
    let mut bytes = vec![FORMAT];
    bytes.extend(header.born.to_be_bytes());
    bytes.extend(header.stored_at.to_be_bytes());
    let bytes = postcard::to_extend(&(&header.expiry, &header.tags), bytes).ok()?;
    let mut bytes = postcard::to_extend(value, bytes).ok()?;
    // What has grown by doubling may be half empty, and stays in memory for a while.
    bytes.shrink_to_fit();
    Some(bytes)
}

pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Option<(Header, V)> {
    let (header, value) = split(bytes)?;
    Some((header, postcard::from_bytes(value).ok()?))
}

pub(super) fn decode_header(bytes: &[u8]) -> Option<Header> {
    split(bytes).map(|(header, _)| header)
}

/// Orders the entries of one key: the later one has the greater age.
pub(super) fn age(bytes: &[u8]) -> Option<(u64, i64)> {
    let (&FORMAT, rest) = bytes.split_first()? else {
        return None;
    };
    let (born, rest) = rest.split_first_chunk()?;
    let (stored_at, _) = rest.split_first_chunk()?;
    Some((u64::from_be_bytes(*born), i64::from_be_bytes(*stored_at)))
}

fn split(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let (born, stored_at) = age(bytes)?;
    let ((expiry, tags), value) = postcard::take_from_bytes(bytes.get(PREFIX..)?).ok()?;
    let header = Header {
        born,
        stored_at,
        expiry,
        tags,
    };
    Some((header, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            born: 7,
            stored_at: 1,
            expiry: Expiry {
                stale_at: 2,
                ends_at: i64::MAX,
                is_absent: false,
            },
            tags: [TagId::of_tag("a"), TagId::of_key("b")].into(),
        }
    }

    #[test]
    fn an_entry_survives_encoding() {
        let bytes = encode(&header(), &"value".to_owned()).unwrap();
        assert_eq!(
            decode::<String>(&bytes),
            Some((header(), "value".to_owned()))
        );
        assert_eq!(decode_header(&bytes), Some(header()));
        assert_eq!(age(&bytes), Some((7, 1)));
    }

    #[test]
    fn whatever_the_bytes_are_nothing_worse_comes_of_them_than_a_miss() {
        let random = &mut fastrand::Rng::with_seed(1);
        let good = encode(&header(), &vec![Some("value".to_owned()), None]).unwrap();
        for _ in 0..10_000 {
            let mut bytes = good.clone();
            match random.u8(..3) {
                0 => {
                    bytes.truncate(random.usize(1..=good.len()));
                    random.fill(&mut bytes[1..]);
                }
                1 => (0..random.usize(1..4))
                    .for_each(|_| bytes[random.usize(..good.len())] = random.u8(..)),
                _ => bytes.rotate_left(random.usize(1..good.len())),
            }
            let header = decode_header(&bytes);
            let text = decode::<String>(&bytes).map(|(header, _)| header);
            let list = decode::<Vec<Option<String>>>(&bytes).map(|(header, _)| header);
            for of_value in [text, list] {
                assert!(of_value.is_none() || of_value == header);
            }
            let its_age = header.map(|header| (header.born, header.stored_at));
            assert!(its_age.is_none() || its_age == age(&bytes));
        }
    }

    #[test]
    fn damaged_or_foreign_bytes_are_a_miss() {
        let bytes = encode(&header(), &"value".to_owned()).unwrap();
        for end in 0..bytes.len() {
            assert_eq!(decode::<String>(&bytes[..end]), None);
        }
        let mut other_format = bytes;
        other_format[0] = FORMAT + 1;
        assert_eq!(decode::<String>(&other_format), None);
        assert_eq!(decode::<String>(b"\x02garbage"), None);
    }
}
