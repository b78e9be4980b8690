//! Failures that are our fault, sent to a tracker that speaks Sentry's protocol, such as Sentry itself, `GlitchTip` or Bugsink.
//!
//! Of the protocol it takes an envelope with one event: <https://develop.sentry.dev/sdk/foundations/envelopes/>.

use std::time::Duration;

use metrics::counter;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use super::outbound::Outbound;
use crate::domain::clock::Clock;
use crate::settings::{Environment, Secret};
use crate::telemetry::{self, Failure, build_info};

/// Reports that may wait; more are dropped: those that wait tell the story.
const MOST_WAITING: usize = 64;

/// How long a tracker is left alone that has not taken a report.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a stop waits for the last reports.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// `[errors]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ErrorSettings {
    /// The address that the tracker gives a project; absent: nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = names_a_project))]
    pub dsn: Option<Secret>,
}

fn names_a_project(dsn: &Secret) -> Result<(), ValidationError> {
    Project::parse(dsn.expose()).map(drop).ok_or_else(|| {
        ValidationError::new("dsn").with_message("must look like https://key@host/1".into())
    })
}

/// Where a project's reports go, and the key that lets them in.
#[derive(Debug, PartialEq, Eq)]
struct Project {
    envelopes: Url,
    key: String,
}

impl Project {
    /// `https://key@host/path/1` takes envelopes at `https://host/path/api/1/envelope/`.
    fn parse(dsn: &str) -> Option<Self> {
        let dsn = Url::parse(dsn).ok()?;
        let key = dsn.username().to_owned();
        let is_plain = |text: &str| {
            let mut bytes = text.bytes();
            !text.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric())
        };
        let (path, id) = dsn.path().rsplit_once('/')?;
        if !matches!(dsn.scheme(), "http" | "https") || !is_plain(&key) || !is_plain(id) {
            return None;
        }
        let mut envelopes = dsn.clone();
        envelopes.set_path(&format!("{path}/api/{id}/envelope/"));
        envelopes.set_query(None);
        envelopes.set_fragment(None);
        envelopes.set_username("").ok()?;
        envelopes.set_password(None).ok()?;
        Some(Self { envelopes, key })
    }
}

/// What sends reports. Only defects are reported: what is away for a while is told by metrics.
pub struct ErrorReports {
    project: Project,
    waiting: Receiver<Vec<u8>>,
    outbound: Outbound,
}

impl ErrorReports {
    /// Takes reports from now on, if the settings name a tracker.
    #[must_use]
    pub fn start(
        settings: &ErrorSettings,
        environment: Environment,
        outbound: &Outbound,
        clock: Clock,
    ) -> Option<Self> {
        let project = Project::parse(settings.dsn.as_ref()?.expose())?;
        // So that the first one is an increase.
        for result in [SENT, FAILED, DROPPED] {
            count(result, 0);
        }
        let (queue, waiting) = mpsc::channel(MOST_WAITING);
        telemetry::attach_sink(move |failure| {
            if failure.kind.is_defect() && !queue.is_closed() {
                let report = envelope(failure, environment, clock.now_micros());
                if queue.try_send(report).is_err() {
                    count(DROPPED, 1);
                }
            }
        });
        Some(Self {
            project,
            waiting,
            outbound: outbound.clone(),
        })
    }

    /// Sends them one after the other until `stop`, and then what is left.
    pub async fn send_until(mut self, stop: CancellationToken) {
        while let Some(Some(report)) = stop.run_until_cancelled(self.waiting.recv()).await {
            if !self.send(report).await {
                stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            }
        }
        self.waiting.close();
        let left = self.waiting.len();
        let send_rest = async {
            while let Some(report) = self.waiting.recv().await {
                self.send(report).await;
            }
        };
        if timeout(LAST_WORDS, send_rest).await.is_err() {
            tracing::warn!(left, "not all of the last failures were reported");
        }
    }

    async fn send(&self, report: Vec<u8>) -> bool {
        let mut request = Request::new(Method::POST, self.project.envelopes.clone());
        let key = format!("Sentry sentry_version=7, sentry_key={}", self.project.key);
        if let Ok(key) = HeaderValue::from_str(&key) {
            request.headers_mut().insert("x-sentry-auth", key);
        }
        let content_type = HeaderValue::from_static("application/x-sentry-envelope");
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        *request.body_mut() = Some(report.into());
        let sent = self.outbound.send(request).await;
        let sent = sent.map(|answer| answer.status());
        let is_sent = sent.as_ref().is_ok_and(StatusCode::is_success);
        if !is_sent {
            tracing::warn!(answer = ?sent, "a failure could not be reported");
        }
        count(if is_sent { SENT } else { FAILED }, 1);
        is_sent
    }
}

const SENT: &str = "sent";
const FAILED: &str = "failed";
const DROPPED: &str = "dropped";

fn count(result: &'static str, reports: u64) {
    counter!("error_reports_total", "result" => result).increment(reports);
}

/// Two lines of headers, and the event.
fn envelope(failure: &Failure<'_>, environment: Environment, now_micros: i64) -> Vec<u8> {
    let build = build_info();
    let id = Uuid::new_v4().simple();
    let event = json!({
        "event_id": id.to_string(),
        "timestamp": now_micros / 1_000_000,
        "platform": "native",
        "level": failure.kind.severity(),
        "environment": environment.name(),
        "release": format!("{}@{}", env!("CARGO_PKG_NAME"), build.version),
        "transaction": failure.route,
        "exception": {
            "values": [{ "type": failure.kind.name(), "value": failure.cause.unwrap_or_default() }],
        },
        "tags": { "request_id": failure.request_id, "commit": build.commit },
    });
    format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{event}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_where_its_address_says() {
        for (dsn, expected) in [
            (
                "https://k1@t.example/7",
                "https://t.example/api/7/envelope/",
            ),
            (
                "http://k1:old@t.example:8000/below/7?x#y",
                "http://t.example:8000/below/api/7/envelope/",
            ),
        ] {
            let project = Project::parse(dsn).expect(dsn);
            assert_eq!(project.envelopes.as_str(), expected);
            assert_eq!(project.key, "k1");
        }
    }

    #[test]
    fn an_address_without_a_key_or_a_project_is_refused() {
        for dsn in [
            "",
            "k1@t.example/7",
            "ftp://k1@t.example/7",
            "https://t.example/7",
            "https://k1@t.example",
            "https://k1@t.example/",
            "https://k%0a1@t.example/7",
            "https://k1@t.example/7%2f8",
        ] {
            assert_eq!(Project::parse(dsn), None, "{dsn}");
            assert!(names_a_project(&Secret::new(dsn)).is_err());
        }
    }
}
