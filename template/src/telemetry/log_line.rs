//! A line of the log, written by hand: bytes that are kept from one line to the next.

use std::io::Write;
use std::time::Duration;

use chrono::DateTime;

/// Bytes of a path or a user agent that are logged; a client can send thousands.
pub(super) const LONGEST: usize = 1024;

/// A line in the making, and the second in which the last one was made.
pub(super) struct Line {
    pub text: Vec<u8>,
    second: i64,
    /// `2026-01-02T03:04:05.`
    date: String,
}

impl Line {
    pub const fn new() -> Self {
        Self {
            text: Vec::new(),
            second: i64::MIN,
            date: String::new(),
        }
    }

    pub fn add(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// RFC 3339 in UTC, of microseconds since the Unix epoch.
    pub fn add_time(&mut self, micros: i64) {
        let second = micros.div_euclid(1_000_000);
        if second != self.second {
            let date = DateTime::from_timestamp(second, 0).unwrap_or_default();
            self.date = date.format("%Y-%m-%dT%H:%M:%S.").to_string();
            self.second = second;
        }
        self.text.extend_from_slice(self.date.as_bytes());
        self.add_millionths(micros.rem_euclid(1_000_000).unsigned_abs());
        self.add("Z");
    }

    pub fn add_number(&mut self, number: u64) {
        let mut digits = itoa::Buffer::new();
        self.text
            .extend_from_slice(digits.format(number).as_bytes());
    }

    /// Six digits.
    fn add_millionths(&mut self, number: u64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(1_000_000 + number);
        self.text.extend_from_slice(&digits.as_bytes()[1..]);
    }

    /// Milliseconds, to the nanosecond.
    pub fn add_millis(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.add_number(nanos / 1_000_000);
        self.add(".");
        self.add_millionths(nanos % 1_000_000);
    }

    /// Text for a JSON string: whatever is not plain ASCII is escaped, so that it cannot end the string, start a line or
    /// move the cursor of a terminal.
    pub fn add_json(&mut self, text: &str) {
        self.add_escaped(text, |line, c| match c {
            '"' => line.extend_from_slice(b"\\\""),
            '\\' => line.extend_from_slice(b"\\\\"),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to memory does not fail.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        });
    }

    /// The same for text in quotes, escaped as Rust escapes it.
    pub fn add_quoted(&mut self, text: &str) {
        self.add_escaped(text, |line, c| {
            let _ = write!(line, "{}", c.escape_default());
        });
    }

    fn add_escaped(&mut self, text: &str, escape: impl Fn(&mut Vec<u8>, char)) {
        // No byte ends the search early, so that the processor looks at many at once.
        let is_harmless = text.bytes().fold(true, |all, byte| all & is_plain(byte));
        if text.len() <= LONGEST && is_harmless {
            self.add(text);
            return;
        }
        let cut = text.floor_char_boundary(LONGEST);
        for c in text[..cut].chars() {
            match u8::try_from(c) {
                Ok(byte) if is_plain(byte) => self.text.push(byte),
                _ => escape(&mut self.text, c),
            }
        }
        if cut < text.len() {
            self.add("...");
        }
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_chrono_says() {
        for second in [
            0,
            951_782_399,
            951_782_400,
            951_868_800,
            1_767_323_045,
            4_107_542_399,
            4_107_542_400,
            253_402_300_799,
        ] {
            let at = DateTime::from_timestamp(second, 123_456_000).unwrap();
            let mut line = Line::new();
            line.add_time(at.timestamp_micros());
            let expected = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            assert_eq!(String::from_utf8(line.text).unwrap(), expected);
        }
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [0, 9, 10, 4096, u64::MAX] {
            let mut line = Line::new();
            line.add_number(number);
            assert_eq!(String::from_utf8(line.text).unwrap(), number.to_string());
        }
        for (nanos, millis) in [
            (0, "0.000000"),
            (999, "0.000999"),
            (12_003_000_004, "12003.000004"),
        ] {
            let mut line = Line::new();
            line.add_millis(Duration::from_nanos(nanos));
            assert_eq!(String::from_utf8(line.text).unwrap(), millis);
        }
    }
}
