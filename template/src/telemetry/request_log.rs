//! The request log: one line for each request, formatted by hand straight into the log's writer.
//!
//! It looks like every other line of the log, and the same settings rule it. A span and an event through the layers of
//! `tracing` cost more than answering a page from memory does; this costs next to nothing.

use std::cell::RefCell;
use std::io::Write;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::Level;

use super::LogFormat;
use super::log_writer::LogWriter;

/// What the lines are called in `log.level`, as in `info,request=off`.
const TARGET: &str = "request";

/// Bytes of a path or a user agent that are logged; a client can send thousands.
const LONGEST: usize = 1024;

static LOG: OnceLock<RequestLog> = OnceLock::new();

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where the lines go, and what they look like.
struct RequestLog {
    writer: LogWriter,
    format: LogFormat,
    colours: bool,
}

/// From now on requests are logged, if the level lets their lines through.
pub(super) fn start(writer: LogWriter, format: LogFormat, colours: bool) {
    if !tracing::enabled!(target: TARGET, Level::INFO) {
        return;
    }
    // The caller has made sure that logging starts once.
    let _ = LOG.set(RequestLog {
        writer,
        format,
        colours,
    });
}

/// One request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct RequestRecord<'a> {
    /// When it was answered, in microseconds since the Unix epoch.
    pub at: i64,
    pub request_id: &'a str,
    pub method: &'static str,
    /// The template of the route, or `unmatched`.
    pub route: &'a str,
    pub path: &'a str,
    pub status: u16,
    pub duration: Duration,
    /// The length of the answer's body, unless it is a stream.
    pub bytes: Option<u64>,
    /// Where a page came from; empty for anything else.
    pub cache: &'a str,
    pub client: Option<IpAddr>,
    pub user_agent: &'a str,
}

impl RequestRecord<'_> {
    /// Hands the line to the log's own thread. Nothing happens if requests are not logged.
    pub fn log(&self) {
        let Some(log) = LOG.get() else { return };
        LINE.with_borrow_mut(|line| {
            line.clear();
            match log.format {
                LogFormat::Json => self.json(line),
                LogFormat::Text => self.text(line, log.colours),
            }
            log.writer.push(line);
        });
    }

    fn json(&self, line: &mut Vec<u8>) {
        push(line, "{\"timestamp\":\"");
        push_time(line, self.at);
        push(
            line,
            "\",\"level\":\"INFO\",\"message\":\"request\",\"method\":\"",
        );
        push(line, self.method);
        push(line, "\",\"route\":\"");
        push_json(line, self.route);
        push(line, "\",\"path\":\"");
        push_json(line, self.path);
        push(line, "\",\"status\":");
        push_number(line, self.status.into());
        push(line, ",\"duration_ms\":");
        push_millis(line, self.duration);
        if let Some(bytes) = self.bytes {
            push(line, ",\"bytes\":");
            push_number(line, bytes);
        }
        push(line, ",\"cache\":\"");
        push_json(line, self.cache);
        if let Some(client) = self.client {
            push(line, "\",\"client\":\"");
            push_client(line, client);
        }
        push(line, "\",\"user_agent\":\"");
        push_json(line, self.user_agent);
        push(line, "\",\"target\":\"");
        push(line, TARGET);
        push(line, "\",\"spans\":[{\"request_id\":\"");
        push_json(line, self.request_id);
        push(line, "\",\"name\":\"request\"}]}\n");
    }

    fn text(&self, line: &mut Vec<u8>, colours: bool) {
        let [dim, green, bold, plain] = if colours {
            ["\x1b[2m", "\x1b[32m", "\x1b[1m", "\x1b[0m"]
        } else {
            [""; 4]
        };
        push(line, dim);
        push_time(line, self.at);
        for part in [
            plain, " ", green, " INFO", plain, " ", bold, "request", plain,
        ] {
            push(line, part);
        }
        push(line, "{request_id=\"");
        push_text(line, self.request_id);
        for part in ["\"}: ", dim, TARGET, ":", plain, " request method=\""] {
            push(line, part);
        }
        push(line, self.method);
        push(line, "\" route=\"");
        push_text(line, self.route);
        push(line, "\" path=\"");
        push_text(line, self.path);
        push(line, "\" status=");
        push_number(line, self.status.into());
        push(line, " duration_ms=");
        push_millis(line, self.duration);
        if let Some(bytes) = self.bytes {
            push(line, " bytes=");
            push_number(line, bytes);
        }
        push(line, " cache=\"");
        push_text(line, self.cache);
        if let Some(client) = self.client {
            push(line, "\" client=\"");
            push_client(line, client);
        }
        push(line, "\" user_agent=\"");
        push_text(line, self.user_agent);
        push(line, "\"\n");
    }
}

fn push(line: &mut Vec<u8>, text: &str) {
    line.extend_from_slice(text.as_bytes());
}

/// Text for a JSON string: whatever is not plain ASCII is escaped, so that it cannot end the string, start a line or
/// move the cursor of a terminal.
fn push_json(line: &mut Vec<u8>, text: &str) {
    push_escaped(line, text, |line, c| match c {
        '"' => push(line, "\\\""),
        '\\' => push(line, "\\\\"),
        c => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to memory does not fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
    });
}

/// The same for text in quotes, escaped as Rust escapes it.
fn push_text(line: &mut Vec<u8>, text: &str) {
    push_escaped(line, text, |line, c| {
        let _ = write!(line, "{}", c.escape_default());
    });
}

fn push_escaped(line: &mut Vec<u8>, text: &str, escape: impl Fn(&mut Vec<u8>, char)) {
    let harmless = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    // Looks at every byte, which is quicker than stopping at the first that is not harmless.
    let is_harmless = text.bytes().fold(true, |all, byte| all & harmless(byte));
    if text.len() <= LONGEST && is_harmless {
        push(line, text);
        return;
    }
    let cut = text.floor_char_boundary(LONGEST);
    for c in text[..cut].chars() {
        match u8::try_from(c) {
            Ok(byte) if harmless(byte) => line.push(byte),
            _ => escape(line, c),
        }
    }
    if cut < text.len() {
        push(line, "...");
    }
}

fn push_client(line: &mut Vec<u8>, client: IpAddr) {
    let _ = match client {
        IpAddr::V4(client) => {
            let [a, b, c, d] = client.octets();
            for (octet, end) in [(a, "."), (b, "."), (c, "."), (d, "")] {
                push_number(line, octet.into());
                push(line, end);
            }
            Ok(())
        }
        IpAddr::V6(client) => write!(line, "{client}"),
    };
}

fn push_number(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = digit(number);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[start..]);
}

/// The last `N` digits of a number.
fn push_digits<const N: usize>(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; N];
    for place in digits.iter_mut().rev() {
        *place = digit(number);
        number /= 10;
    }
    line.extend_from_slice(&digits);
}

fn digit(number: u64) -> u8 {
    b"0123456789"[usize::try_from(number % 10).unwrap_or_default()]
}

/// Milliseconds, to the nanosecond.
fn push_millis(line: &mut Vec<u8>, duration: Duration) {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    push_number(line, nanos / 1_000_000);
    line.push(b'.');
    push_digits::<6>(line, nanos % 1_000_000);
}

/// RFC 3339 in UTC, to the microsecond.
fn push_time(line: &mut Vec<u8>, micros: i64) {
    let (second, micros) = (
        micros.div_euclid(1_000_000),
        micros.rem_euclid(1_000_000).unsigned_abs(),
    );
    let of_day = second.rem_euclid(86_400).unsigned_abs();
    let (year, month, day) = civil_date(second.div_euclid(86_400));
    push_digits::<4>(line, year);
    line.push(b'-');
    push_digits::<2>(line, month);
    line.push(b'-');
    push_digits::<2>(line, day);
    line.push(b'T');
    push_digits::<2>(line, of_day / 3600);
    line.push(b':');
    push_digits::<2>(line, of_day / 60 % 60);
    line.push(b':');
    push_digits::<2>(line, of_day % 60);
    line.push(b'.');
    push_digits::<6>(line, micros);
    line.push(b'Z');
}

/// Year, month and day of a day since 1970. chrono takes ten times as long.
///
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn civil_date(day: i64) -> (u64, u64, u64) {
    let day = (day + 719_468).unsigned_abs();
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    use chrono::DateTime;
    use serde_json::{Value, json};

    const RECORD: RequestRecord<'static> = RequestRecord {
        at: 0,
        request_id: "r-1",
        method: "GET",
        route: "/articles/{slug}",
        path: "/articles/hello",
        status: 200,
        duration: Duration::from_nanos(1_000_230),
        bytes: Some(4096),
        cache: "HIT-L1",
        client: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        user_agent: "test/1",
    };

    fn json(record: RequestRecord<'_>) -> (String, Value) {
        let mut line = Vec::new();
        record.json(&mut line);
        let text = String::from_utf8(line).unwrap();
        let value = serde_json::from_str(&text).unwrap();
        (text, value)
    }

    fn text(record: RequestRecord<'_>) -> String {
        let mut line = Vec::new();
        record.text(&mut line, false);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_record_is_one_json_object_with_every_field() {
        let (line, value) = json(RECORD);
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
        assert_eq!(
            value,
            json!({
                "timestamp": "1970-01-01T00:00:00.000000Z", "level": "INFO", "message": "request",
                "method": "GET", "route": "/articles/{slug}", "path": "/articles/hello", "status": 200,
                "duration_ms": 1.000_23, "bytes": 4096, "cache": "HIT-L1", "client": "127.0.0.1",
                "user_agent": "test/1", "target": "request", "spans": [{ "request_id": "r-1", "name": "request" }],
            })
        );
        let bare = RequestRecord {
            bytes: None,
            client: None,
            ..RECORD
        };
        let (_, value) = json(bare);
        assert!(value.get("bytes").is_none() && value.get("client").is_none());
    }

    #[test]
    fn a_record_is_one_line_of_text_with_every_field() {
        assert_eq!(
            text(RECORD),
            "1970-01-01T00:00:00.000000Z  INFO request{request_id=\"r-1\"}: request: request method=\"GET\" \
             route=\"/articles/{slug}\" path=\"/articles/hello\" status=200 duration_ms=1.000230 bytes=4096 \
             cache=\"HIT-L1\" client=\"127.0.0.1\" user_agent=\"test/1\"\n"
        );
    }

    #[test]
    fn what_a_client_sends_comes_back_out_of_the_json_as_it_was() {
        for hostile in [
            "\"},{\"forged\":1",
            "\\\" \\u0022",
            "a\nb\r\t\u{0}\u{7f}",
            "\u{9b}31m \u{2028} \u{202e} \u{1f600} ü",
        ] {
            let record = RequestRecord {
                path: hostile,
                user_agent: hostile,
                ..RECORD
            };
            let (line, value) = json(record);
            assert_eq!(value["path"], hostile);
            assert_eq!(value["user_agent"], hostile);
            assert!(
                line.trim_end()
                    .bytes()
                    .all(|byte| matches!(byte, b' '..=b'~')),
                "{line:?}"
            );
            let line = text(record);
            assert!(
                line.trim_end()
                    .bytes()
                    .all(|byte| matches!(byte, b' '..=b'~')),
                "{line:?}"
            );
            assert_eq!(
                line.replace("\\\\", "")
                    .replace("\\\"", "")
                    .matches('"')
                    .count(),
                14
            );
        }
    }

    #[test]
    fn what_is_endless_is_cut() {
        let long = "ü".repeat(10_000);
        let (_, value) = json(RequestRecord {
            path: &long,
            ..RECORD
        });
        let path = value["path"].as_str().unwrap();
        assert!(path.ends_with("ü...") && path.len() == LONGEST + 3);
    }

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
            let mut line = Vec::new();
            push_time(&mut line, at.timestamp_micros());
            let expected = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [0, 9, 10, 4096, u64::MAX] {
            let mut line = Vec::new();
            push_number(&mut line, number);
            assert_eq!(String::from_utf8(line).unwrap(), number.to_string());
        }
        for client in ["10.0.200.1", "255.255.255.255", "2001:db8::1"] {
            let mut line = Vec::new();
            push_client(&mut line, client.parse().unwrap());
            assert_eq!(String::from_utf8(line).unwrap(), client);
        }
    }
}
