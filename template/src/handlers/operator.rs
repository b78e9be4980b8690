//! What operators ask, on a listener of its own: metrics, and what changes the service while it runs.

mod cache;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::component::{Component, Routes, Task};
use crate::infra::cache::Store;
use crate::infra::db::Database;
use crate::platform::Platform;
use crate::telemetry::Exporter;

#[must_use]
pub fn component(platform: &Platform) -> Component {
    let exporter = platform.metrics.clone();
    let upkeep = exporter.clone().upkeep_until(platform.stop_tasks.clone());
    let state = (exporter, platform.database.clone(), platform.cache.clone());
    let operator = Routes::new().get("/metrics", metrics).with_state(state);
    let operator = operator.merge(cache::routes(platform));
    Component {
        name: "operator",
        operator,
        tasks: vec![Task::new("metrics upkeep", upkeep)],
        ..Component::default()
    }
}

/// For Prometheus. What is a level and not a count is read at this moment.
async fn metrics(
    State((exporter, database, cache)): State<(Exporter, Database, Store)>,
) -> impl IntoResponse {
    database.record_connections();
    cache.record_sizes();
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        exporter.render(),
    )
}
