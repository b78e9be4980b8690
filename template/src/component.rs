//! What one slice of the service contributes. A component is a value: build it, list it in `app.rs`, done.

use std::pin::Pin;
use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use crate::http::problem::ErrorPage;
pub use crate::http::routes::{Route, Routes};
pub use crate::infra::cache::Warm;

#[derive(Default)]
pub struct Component {
    pub name: &'static str,
    /// JSON routes. Mounted under `/api/v1`. What is not in the OpenAPI document has no name in the log and the metrics.
    pub api: OpenApiRouter,
    /// Everything else visitors see.
    pub pages: Routes,
    /// Pages that are there to change something: of use to those who may. Mounted beside `pages`.
    pub forms: Routes,
    /// What operators see, on a listener of its own; all of it but `/metrics` wants their token.
    pub operator: Routes,
    /// Runs beside the server and ends after the last request, when `stop_tasks` is cancelled.
    pub tasks: Vec<Task>,
    /// What `/health` asks.
    pub probes: Vec<Probe>,
    /// What is to be in the cache before a visitor asks for it.
    pub warm: Vec<Warm>,
    /// Adds sample data; run by the subcommand `seed`.
    pub samples: Option<Samples>,
    /// Why the service must not start with it.
    pub refused: Option<anyhow::Error>,
    /// The form in which browsers see errors. The last component that has one decides.
    pub error_page: Option<ErrorPage>,
}

/// Answers with how many things were added; a second run adds nothing.
pub type Samples = Pin<Box<dyn Future<Output = anyhow::Result<usize>> + Send>>;

/// A background task.
pub struct Task {
    pub name: &'static str,
    pub run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Task {
    pub fn new(name: &'static str, run: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            name,
            run: Box::pin(run),
        }
    }
}

/// What a part of the service says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Ok,
    /// It works, with less comfort, for the reason given: the service stays ready.
    Degraded(&'static str),
    /// It does not work, and the service not without it.
    Error,
}

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Health> + Send>> + Send + Sync>;

/// A named question to a part of the service.
#[derive(Clone)]
pub struct Probe {
    pub name: &'static str,
    pub check: Check,
}

impl Probe {
    pub fn new<F>(name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Health> + Send + 'static,
    {
        Self {
            name,
            check: Arc::new(move || Box::pin(check())),
        }
    }
}
