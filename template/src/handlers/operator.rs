//! What operators ask, on a listener of its own: metrics, and what changes the service while it runs.

mod cache;
pub mod debug;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::component::{Component, Routes, Task};
use crate::infra::cache::Store;
use crate::infra::db::Database;
use crate::platform::Platform;
use crate::telemetry::{Exporter, RuntimeMetrics};

#[must_use]
pub fn component(platform: &Platform) -> Component {
    let exporter = platform.metrics.clone();
    let upkeep = exporter.clone().upkeep_until(platform.stop_tasks.clone());
    let levels = Levels {
        exporter,
        database: platform.database.clone(),
        cache: platform.cache.clone(),
        runtime: RuntimeMetrics::new(&platform.settings.cache.dir),
    };
    let operator = Routes::new().get("/metrics", metrics).with_state(levels);
    let operator = operator.merge(cache::routes(platform));
    Component {
        name: "operator",
        operator,
        tasks: vec![Task::new("metrics upkeep", upkeep)],
        ..Component::default()
    }
}

/// What is a level and not a count, and so read when somebody asks.
#[derive(Clone)]
struct Levels {
    exporter: Exporter,
    database: Database,
    cache: Store,
    runtime: RuntimeMetrics,
}

/// For Prometheus.
async fn metrics(State(levels): State<Levels>) -> impl IntoResponse {
    levels.database.record_connections();
    levels.cache.record();
    levels.runtime.record();
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        levels.exporter.render(),
    )
}
