//! What the service says about itself: health, build, the API's index and documentation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::component::{Health, Probe, Routes};
use crate::http::api;
use crate::telemetry::{BuildInfo, build_info};

/// How long a probe may take: whoever asks for health gives up soon as well.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the service is in its life, which is what `/health/ready` goes by.
#[derive(Clone, Default)]
pub struct Phase {
    /// It serves, and still does something first.
    pub is_starting: Arc<AtomicBool>,
    /// Cancelled when it stops.
    pub shutdown: CancellationToken,
}

/// Routes that need to know all components, and so are added last.
#[must_use]
pub fn routes(probes: Vec<Probe>, phase: Phase) -> Routes {
    let health = Routes::new()
        .get("/health", health)
        .get("/health/ready", ready)
        .with_state(Checks {
            probes,
            phase,
            last: Arc::default(),
        });
    Routes::new()
        .get("/api", index)
        .get("/health/live", live)
        .get("/health/build", build)
        .merge(health)
}

#[derive(Clone)]
struct Checks {
    probes: Vec<Probe>,
    phase: Phase,
    /// When the last look began, and what was seen. Held while somebody looks.
    last: Arc<Mutex<Option<(Instant, Health, Report)>>>,
}

#[derive(Clone, Serialize)]
struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    checks: BTreeMap<&'static str, &'static str>,
    /// Why a check is not ok, where that is known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<&'static str, &'static str>,
}

impl Report {
    fn of(status: &'static str) -> Self {
        Self {
            status,
            checks: BTreeMap::new(),
            reasons: BTreeMap::new(),
        }
    }
}

/// Asks every probe. Anybody may want to know as often as they like, so one look answers all who have come before it: a
/// flood takes one connection of the database and no more.
async fn health(State(checks): State<Checks>) -> impl IntoResponse {
    let came = Instant::now();
    let mut last = checks.last.lock().await;
    let (worst, report) = match &*last {
        Some((began, worst, report)) if *began >= came => (*worst, report.clone()),
        _ => {
            let began = Instant::now();
            let (worst, report) = look(&checks.probes).await;
            *last = Some((began, worst, report.clone()));
            (worst, report)
        }
    };
    drop(last);
    let code = if worst == Health::Error {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (code, [(CACHE_CONTROL, "no-store")], Json(report))
}

async fn look(probes: &[Probe]) -> (Health, Report) {
    let mut report = Report::of("ok");
    let mut worst = Health::Ok;
    for probe in probes {
        let answer = tokio::time::timeout(PATIENCE, (probe.check)()).await;
        let health = answer.unwrap_or(Health::Error);
        worst = worst.max(health);
        report.checks.insert(probe.name, name(health));
        if let Health::Degraded(reason) = health {
            report.reasons.insert(probe.name, reason);
        }
    }
    report.status = name(worst);
    (worst, report)
}

fn name(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Degraded(_) => "degraded",
        Health::Error => "error",
    }
}

/// Whether to send requests here: not yet while the service starts, and not any more once it stops.
async fn ready(State(Checks { phase, .. }): State<Checks>) -> impl IntoResponse {
    let (code, status) = if phase.shutdown.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else if phase.is_starting.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    } else {
        (StatusCode::OK, "ok")
    };
    (
        code,
        [(CACHE_CONTROL, "no-store")],
        Json(Report::of(status)),
    )
}

/// Whether the process answers at all; restart it if not.
async fn live() -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(Report::of("ok")))
}

async fn build() -> Json<BuildInfo> {
    Json(build_info())
}

#[derive(Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    documentation: &'static str,
    openapi: &'static str,
    health: &'static str,
}

/// Where to go from here.
pub async fn index() -> impl IntoResponse {
    Json(Index {
        name: env!("CARGO_PKG_NAME"),
        version: build_info().version,
        documentation: api::VIEWER,
        openapi: api::DOCUMENT,
        health: "/health",
    })
}
