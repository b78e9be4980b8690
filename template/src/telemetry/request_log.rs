//! The request log: one line for each request, formatted by hand straight into the log's writer.{% capture body %}
//!
//! It looks like every other line of the log, and the same settings rule it. A span and an event through the layers of
//! `tracing` cost more than answering a page from memory does; this costs next to nothing.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::Level;

use super::LogFormat;
use super::log_line::Line;
use super::log_writer::LogWriter;

/// What the lines are called in `log.level`, as in `info,request=off`.
const TARGET: &str = "request";

static LOG: OnceLock<RequestLog> = OnceLock::new();

/// Whether the level lets them through.
static IS_WANTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LINE: RefCell<Line> = const { RefCell::new(Line::new()) };
}

/// Where the lines go, and what they look like.
struct RequestLog {
    writer: LogWriter,
    format: LogFormat,
    colours: bool,
}

/// From now on requests are logged, as long as the level lets their lines through.
pub(super) fn start(writer: LogWriter, format: LogFormat, colours: bool) {
    follow_level();
    // The caller has made sure that logging starts once.
    let _ = LOG.set(RequestLog {
        writer,
        format,
        colours,
    });
}

/// Asks anew whether the level lets lines about requests through; whoever changes it calls this.
pub(super) fn follow_level() {
    let is_wanted = tracing::enabled!(target: TARGET, Level::INFO);
    IS_WANTED.store(is_wanted, Ordering::Relaxed);
}

/// One request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct RequestRecord<'a> {
    /// When it was answered, in microseconds since the Unix epoch.
    pub at: i64,
    pub method: &'static str,
    /// The template of the route, `unmatched`, or `preflight`.
    pub route: &'a str,
    pub path: &'a str,
    pub status: u16,
    pub duration: Duration,
    /// The length of the answer's body, unless it is a stream.
    pub bytes: Option<u64>,
    /// Where a page came from; empty for anything else.
    pub cache: &'a str,
    pub client: &'a str,
    pub user_agent: &'a str,
    /// The id of who has signed in; empty for anybody else.
    pub user: &'a str,
}

/// The request that a line belongs to.
#[derive(Clone, Copy, Debug)]
pub struct RequestSpan<'a> {
    pub request_id: &'a str, //~{% if features contains "otel" %}
    /// If it is traced.
    pub trace: Option<super::traces::TraceIds>, //~{% endif %}
}

impl RequestRecord<'_> {
    /// Hands the line to the log's own thread. Nothing happens if requests are not logged.
    pub fn log(&self, span: RequestSpan<'_>) {
        let Some(log) = LOG.get().filter(|_| IS_WANTED.load(Ordering::Relaxed)) else {
            return;
        };
        LINE.with_borrow_mut(|line| {
            line.text.clear();
            match log.format {
                LogFormat::Json => self.json(line, span),
                LogFormat::Text => self.text(line, span, log.colours),
            }
            log.writer.push(&line.text);
        });
    }

    fn json(&self, line: &mut Line, span: RequestSpan<'_>) {
        line.add("{\"timestamp\":\"");
        line.add_time(self.at);
        line.add("\",\"level\":\"INFO\",\"message\":\"request\",\"method\":\"");
        line.add(self.method);
        line.add("\",\"route\":\"");
        line.add_json(self.route);
        line.add("\",\"path\":\"");
        line.add_json(self.path);
        line.add("\",\"status\":");
        line.add_number(self.status.into());
        line.add(",\"duration_ms\":");
        line.add_millis(self.duration);
        if let Some(bytes) = self.bytes {
            line.add(",\"bytes\":");
            line.add_number(bytes);
        }
        line.add(",\"cache\":\"");
        line.add_json(self.cache);
        line.add("\",\"client\":\"");
        line.add_json(self.client);
        line.add("\",\"user_agent\":\"");
        line.add_json(self.user_agent);
        line.add("\",\"user\":\"");
        line.add_json(self.user);
        line.add("\",\"target\":\"request\",\"spans\":[{\"request_id\":\"");
        line.add_json(span.request_id); //~{% if features contains "otel" %}
        if let Some(ids) = span.trace {
            line.add(&format!(
                "\",\"trace_id\":\"{}\",\"span_id\":\"{}",
                ids.trace, ids.span
            ));
        } //~{% endif %}
        line.add("\",\"name\":\"request\"}]}\n");
    }

    fn text(&self, line: &mut Line, span: RequestSpan<'_>, colours: bool) {
        let [dim, green, bold, plain] = if colours {
            ["\x1b[2m", "\x1b[32m", "\x1b[1m", "\x1b[0m"]
        } else {
            [""; 4]
        };
        line.add(dim);
        line.add_time(self.at);
        for part in [plain, " ", green, " INFO", plain, " ", bold, "request"] {
            line.add(part);
        }
        line.add("{");
        line.add(plain);
        line.add("request_id=\"");
        line.add_quoted(span.request_id);
        line.add("\""); //~{% if features contains "otel" %}
        if let Some(ids) = span.trace {
            line.add(&format!(" trace_id={} span_id={}", ids.trace, ids.span));
        } //~{% endif %}
        for part in [bold, "}", plain, ": ", dim, TARGET, ":", plain] {
            line.add(part);
        }
        line.add(" request method=\"");
        line.add(self.method);
        line.add("\" route=\"");
        line.add_quoted(self.route);
        line.add("\" path=\"");
        line.add_quoted(self.path);
        line.add("\" status=");
        line.add_number(self.status.into());
        line.add(" duration_ms=");
        line.add_millis(self.duration);
        if let Some(bytes) = self.bytes {
            line.add(" bytes=");
            line.add_number(bytes);
        }
        line.add(" cache=\"");
        line.add_quoted(self.cache);
        line.add("\" client=\"");
        line.add_quoted(self.client);
        line.add("\" user_agent=\"");
        line.add_quoted(self.user_agent);
        line.add("\" user=\"");
        line.add_quoted(self.user);
        line.add("\"\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::log_line::LONGEST;
    use serde_json::{Value, json};

    const SPAN: RequestSpan<'static> = RequestSpan {
        // As a client may name it.
        request_id: "r-1", //~{% if features contains "otel" %}
        // As most are.
        trace: None, //~{% endif %}
    };

    const RECORD: RequestRecord<'static> = RequestRecord {
        at: 0,
        method: "GET",
        route: "/articles/{slug}",
        path: "/articles/hello",
        status: 200,
        duration: Duration::from_nanos(1_000_230),
        bytes: Some(4096),
        cache: "HIT-L1",
        client: "127.0.0.1",
        user_agent: "test/1",
        user: "u-1",
    };

    fn json(record: RequestRecord<'_>) -> (String, Value) {
        let mut line = Line::new();
        record.json(&mut line, SPAN);
        let text = String::from_utf8(line.text).unwrap();
        let value = serde_json::from_str(&text).unwrap();
        (text, value)
    }

    fn text(record: RequestRecord<'_>) -> String {
        let mut line = Line::new();
        record.text(&mut line, SPAN, false);
        String::from_utf8(line.text).unwrap()
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
                "user_agent": "test/1", "user": "u-1", "target": "request", "spans": [{ "request_id": "r-1", "name": "request" }],
            })
        );
        let bare = RequestRecord {
            bytes: None,
            ..RECORD
        };
        let (_, value) = json(bare);
        assert!(value.get("bytes").is_none());
    }

    #[test]
    fn a_record_is_one_line_of_text_with_every_field() {
        assert_eq!(
            text(RECORD),
            "1970-01-01T00:00:00.000000Z  INFO request{request_id=\"r-1\"}: request: request method=\"GET\" \
             route=\"/articles/{slug}\" path=\"/articles/hello\" status=200 duration_ms=1.000230 bytes=4096 \
             cache=\"HIT-L1\" client=\"127.0.0.1\" user_agent=\"test/1\" user=\"u-1\"\n"
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
                16
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
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
