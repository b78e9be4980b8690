//! `/debug`: how the service was put together, what it does at this moment, and a louder log while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::component::{Route, Routes, Task};
use crate::http::extract::Query;
use crate::http::{Kind, Problem};
use crate::settings::Settings;
use crate::telemetry::{MemoryUse, Profile, set_log_level};

const NOT_KEPT: [(axum::http::HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// Longer than that, the answer would come after most clients have gone.
const LONGEST_PROFILE_SECONDS: u64 = 25;

/// The background tasks by name, and whether they still run.
#[derive(Clone, Default)]
pub struct TaskTable(Arc<Vec<(&'static str, AtomicBool)>>);

impl TaskTable {
    /// Has `tasks` tell when they end.
    #[must_use]
    pub fn watch(tasks: Vec<Task>) -> (Self, Vec<Task>) {
        let names = tasks.iter().map(|task| (task.name, AtomicBool::new(true)));
        let table = Self(Arc::new(names.collect()));
        let watched = tasks.into_iter().enumerate().map(|(place, task)| {
            let ended = Ended(table.clone(), place);
            Task::new(task.name, async move {
                let _ended = ended;
                task.run.await;
            })
        });
        let watched = watched.collect();
        (table, watched)
    }
}

/// Dropped with its task, also when that panics.
struct Ended(TaskTable, usize);

impl Drop for Ended {
    fn drop(&mut self) {
        let Self(TaskTable(tasks), place) = self;
        tasks[*place].1.store(false, Ordering::Relaxed);
    }
}

/// Routes that need to know all components, and so are added last.
#[must_use]
pub fn routes(routes: &[Route], settings: &Settings, tasks: TaskTable) -> Routes {
    let table = Routes::new()
        .get("/debug/routes", list_routes)
        .with_state(routes.to_vec());
    let config = Routes::new()
        .get("/debug/config", config)
        .with_state(settings.clone());
    let tasks = Routes::new()
        .get("/debug/tasks", list_tasks)
        .with_state(tasks);
    let profile = Routes::new()
        .get("/debug/pprof/profile", profile)
        .with_state(Arc::new(Semaphore::new(1)));
    Routes::new()
        .post("/debug/log-level", log_level)
        .get("/debug/memory", memory)
        .merge(table)
        .merge(config)
        .merge(tasks)
        .merge(profile)
}

/// The routes of the public listener.
async fn list_routes(State(routes): State<Vec<Route>>) -> impl IntoResponse {
    (NOT_KEPT, Json(routes))
}

/// Secrets hide themselves.
async fn config(State(settings): State<Settings>) -> impl IntoResponse {
    (NOT_KEPT, Json(settings))
}

#[derive(Serialize)]
struct TaskState {
    name: &'static str,
    running: bool,
}

async fn list_tasks(State(TaskTable(tasks)): State<TaskTable>) -> impl IntoResponse {
    let states = tasks.iter().map(|(name, running)| TaskState {
        name,
        running: running.load(Ordering::Relaxed),
    });
    (NOT_KEPT, Json(states.collect::<Vec<_>>()))
}

async fn memory() -> Result<impl IntoResponse, Problem> {
    let used = MemoryUse::now().map_err(|error| Problem::new(Kind::Internal).cause(error))?;
    Ok((NOT_KEPT, Json(used)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    /// A level or directives, as in `log.level`.
    level: String,
}

/// Holds until it is changed again or the service starts anew.
async fn log_level(Query(Level { level }): Query<Level>) -> Result<StatusCode, Problem> {
    let refused = |error: anyhow::Error| Problem::new(Kind::Malformed).detail(error.to_string());
    set_log_level(&level).map_err(refused)?;
    tracing::warn!(level, "the log level was changed");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default = "ten")]
    seconds: u64,
    #[serde(default)]
    format: ProfileFormat,
}

fn ten() -> u64 {
    10
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProfileFormat {
    #[default]
    Pprof,
    Svg,
}

/// Where the processor's time goes in the next seconds.
async fn profile(
    State(turn): State<Arc<Semaphore>>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    if !(1..=LONGEST_PROFILE_SECONDS).contains(&wanted.seconds) {
        let rule = format!("seconds must be 1 to {LONGEST_PROFILE_SECONDS}.");
        return Err(Problem::new(Kind::Malformed).detail(rule));
    }
    let Ok(_turn) = turn.try_acquire() else {
        return Err(Problem::new(Kind::Conflict).detail("Another profile is being taken."));
    };
    let failed = |error: anyhow::Error| Problem::new(Kind::Internal).cause(error);
    let profile = Profile::start().map_err(failed)?;
    tokio::time::sleep(Duration::from_secs(wanted.seconds)).await;
    let finish = move || match wanted.format {
        ProfileFormat::Pprof => profile
            .to_pprof()
            .map(|body| Some(("application/octet-stream", body))),
        ProfileFormat::Svg => profile.to_svg().map(|body| Some(("image/svg+xml", body?))),
    };
    // Names for thousands of addresses take a while.
    let finished = tokio::task::spawn_blocking(finish).await;
    let finished = finished
        .map_err(|error| failed(error.into()))?
        .map_err(failed)?;
    let Some((content_type, body)) = finished else {
        return Err(Problem::new(Kind::Conflict).detail("Nothing ran in that time."));
    };
    Ok((NOT_KEPT, [(CONTENT_TYPE, content_type)], body).into_response())
}
