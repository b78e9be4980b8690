//! How the service says it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use app::component::{Health, Probe};
use app::handlers::system::{self, Phase};
use app::http::Edge;
use app::http::problem::Presentation;
use axum::body::Body;
use futures_util::future::join_all;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::answer_of;
use crate::support::{ARTICLES, TestApp, published, request, settings_alone};

#[tokio::test]
async fn health_is_what_the_database_and_the_cache_say() {
    let app = TestApp::start().await;
    let health = app.get("/health").await;
    assert_eq!(health.status, 200);
    assert_eq!(health.header("cache-control"), "no-store");
    let checks = json!({ "database": "ok", "cache_l2": "ok" });
    assert_eq!(health.json(), json!({ "status": "ok", "checks": checks }));

    app.database().close().await;
    let health = app.get("/health").await;
    assert_eq!(health.status, 503);
    let checks = json!({ "database": "error", "cache_l2": "ok" });
    assert_eq!(
        health.json(),
        json!({ "status": "error", "checks": checks })
    );
    assert_eq!(
        app.get("/health/live").await.status,
        200,
        "a restart would not help"
    );
}

#[tokio::test]
async fn without_its_disk_the_service_is_degraded_and_works() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let no_folder = file.path().join("cache").display().to_string();
    let app = TestApp::with(&[("APP__CACHE__DIR", &no_folder)]).await;
    let health = app.get("/health").await;
    assert_eq!(health.status, 200);
    assert_eq!(health.json()["status"], "degraded");
    assert_eq!(health.json()["checks"]["cache_l2"], "degraded");
    assert_eq!(health.json()["reasons"]["cache_l2"], "there is none");
    app.create(ARTICLES, &published("Still works")).await;
    assert_eq!(
        app.get(ARTICLES).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn the_worst_check_decides_and_a_service_that_starts_or_stops_is_not_ready() {
    let probe = |name, health: Health| Probe::new(name, move || async move { health });
    let probes = vec![
        probe("good", Health::Ok),
        probe("bad", Health::Error),
        probe("so-so", Health::Degraded("it is tired")),
    ];
    let phase = Phase::default();
    let routes = system::routes(probes, phase.clone());
    let health = answer_of(routes.clone(), &[], "/health").await;
    assert_eq!(health.status, 503);
    let checks = json!({ "good": "ok", "bad": "error", "so-so": "degraded" });
    let reasons = json!({ "so-so": "it is tired" });
    let report = json!({ "status": "error", "checks": checks, "reasons": reasons });
    assert_eq!(health.json(), report);

    let ready = answer_of(routes.clone(), &[], "/health/ready").await;
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ok")));
    phase.is_starting.store(true, Ordering::Relaxed);
    let starting = answer_of(routes.clone(), &[], "/health/ready").await;
    assert_eq!(starting.status, 503);
    assert_eq!(starting.json()["status"], "starting");
    phase.shutdown.cancel();
    let draining = answer_of(routes.clone(), &[], "/health/ready").await;
    assert_eq!(draining.status, 503);
    assert_eq!(draining.json()["status"], "draining");
    assert_eq!(answer_of(routes, &[], "/health/live").await.status, 200);
}

#[tokio::test]
async fn all_who_ask_at_once_how_it_is_share_a_look() {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let probe = Probe::new("counted", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::task::yield_now().await;
            Health::Ok
        }
    });
    let routes = system::routes(vec![probe], Phase::default());
    let (server, presentation) = (settings_alone(&[]).server, Presentation::default());
    let service = Edge::private(routes, &server, presentation, TaskTracker::new());
    let ask = || service.answer(request("GET", "/health", &[], Body::empty()));
    let answers = join_all((0..100).map(|_| ask())).await;
    assert!(answers.iter().all(|answer| answer.status() == 200));
    // One for who came first, and one for all who came while that was on its way.
    assert_eq!(looks.load(Ordering::Relaxed), 2);
    ask().await;
    assert_eq!(
        looks.load(Ordering::Relaxed),
        3,
        "what was seen is not kept"
    );
}
