//! What one slice of the service contributes. A component is a value: build it, list it in `app.rs`, done.

use std::any::type_name;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;

use crate::http::problem::ErrorPage;
pub use crate::infra::cache::Warm;

#[derive(Default)]
pub struct Component {
    pub name: &'static str,
    /// JSON routes, documented in the OpenAPI document. Mounted under `/api/v1`.
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

/// One line of `routes`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Route {
    pub path: String,
    pub method: String,
    pub handler: String,
}

/// A router that remembers its routes, which axum's own does not.
pub struct Routes<S = ()> {
    router: Router<S>,
    table: Vec<Route>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    #[must_use]
    pub fn new() -> Self {
        Self {
            router: Router::new(),
            table: Vec::new(),
        }
    }

    #[must_use]
    pub fn get<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add("GET", path, handler_name::<H>(), get(handler))
    }

    #[must_use]
    pub fn post<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add("POST", path, handler_name::<H>(), post(handler))
    }

    /// What answers where no route does; one component may have such a handler.
    #[must_use]
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.table.push(Route {
            path: "/*".to_owned(),
            method: "GET".to_owned(),
            handler: handler_name::<H>(),
        });
        self.router = self.router.fallback(handler);
        self
    }

    /// A route that goes by another name than its handler's.
    #[must_use]
    pub fn get_named<H, T>(self, path: &str, name: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add("GET", path, name.to_owned(), get(handler))
    }

    /// Takes in the routes of another component.
    ///
    /// # Errors
    /// If a path is claimed by both, which the answer names.
    pub fn join(self, other: Self) -> anyhow::Result<Self> {
        let pairs = self.table.iter().flat_map(|one| {
            let others = other.table.iter();
            others.map(move |other| (one, other))
        });
        for (one, other) in pairs {
            anyhow::ensure!(
                !overlaps(&one.path, &other.path),
                "{} of {} is also {} of {}",
                other.path,
                other.handler,
                one.path,
                one.handler
            );
        }
        Ok(self.merge(other))
    }

    /// Puts a layer around the routes there are.
    #[must_use]
    pub fn wrap(self, layer: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        if self.table.is_empty() {
            // axum takes a layer around nothing for a mistake.
            return self;
        }
        Self {
            router: layer(self.router),
            table: self.table,
        }
    }

    fn add(mut self, method: &str, path: &str, handler: String, route: MethodRouter<S>) -> Self {
        self.table.push(Route {
            path: path.to_owned(),
            method: method.to_owned(),
            handler,
        });
        self.router = self.router.route(path, route);
        self
    }

    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.table.extend(other.table);
        self.router = self.router.merge(other.router);
        self
    }

    /// Gives every handler its state.
    #[must_use]
    pub fn with_state(self, state: S) -> Routes {
        Routes {
            router: self.router.with_state(state),
            table: self.table,
        }
    }

    pub fn into_parts(self) -> (Router<S>, Vec<Route>) {
        (self.router, self.table)
    }
}

/// Whether there is a path that both templates match.
fn overlaps(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a.starts_with("{*") || b.starts_with("{*") => return true,
            (Some(a), Some(b)) if a == b || a.starts_with('{') || b.starts_with('{') => {}
            _ => return false,
        }
    }
}

/// `handlers::articles::list` of the function's full path.
fn handler_name<H>() -> String {
    let name = type_name::<H>();
    name.split_once("::")
        .map_or(name, |(_, rest)| rest)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_templates_overlap_if_a_path_matches_both() {
        for (one, other) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/{x}", "/a/b"),
            ("/{x}/b", "/a/{y}"),
            ("/a/{*rest}", "/a/b/c"),
        ] {
            assert!(
                overlaps(one, other) && overlaps(other, one),
                "{one} {other}"
            );
        }
        for (one, other) in [
            ("/", "/a"),
            ("/a", "/b"),
            ("/a/{x}", "/a"),
            ("/a/{x}", "/a/b/c"),
            ("/a/{*rest}", "/b/c"),
        ] {
            assert!(
                !overlaps(one, other) && !overlaps(other, one),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn routes_say_who_claims_the_same_address() {
        async fn show() {}
        let one: Routes = Routes::new().get_named("/a/{x}", "one", show);
        let other = Routes::new()
            .get_named("/b", "free", show)
            .get_named("/a/b", "other", show);
        let refusal = one.join(other).err().map(|error| error.to_string());
        assert_eq!(
            refusal.as_deref(),
            Some("/a/b of other is also /a/{x} of one")
        );
        let free: Routes = Routes::new().get_named("/b", "free", show);
        assert!(
            free.join(Routes::new().get_named("/a", "other", show))
                .is_ok()
        );
    }
}
