//! A router that remembers its routes, which axum's own does not.

use std::any::type_name;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, any, get, post};
use serde::Serialize;

/// One line of `routes`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Route {
    pub path: String,
    pub method: String,
    pub handler: String,
}

/// How the table shows what answers where no route does.
const EVERYWHERE: &str = "/*";

/// Routes, and the table of them.
#[derive(Clone)]
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
        Self::with_table(Router::new(), Vec::new())
    }

    /// A router, and what is to be known of its routes.
    #[must_use]
    pub fn with_table(router: Router<S>, table: Vec<Route>) -> Self {
        Self { router, table }
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

    /// Whatever is done there.
    #[must_use]
    pub fn any<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add("*", path, handler_name::<H>(), any(handler))
    }

    /// What answers where no route does; one component may have such a handler.
    #[must_use]
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.table.push(Route {
            path: EVERYWHERE.to_owned(),
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

    #[must_use]
    pub fn table(&self) -> &[Route] {
        &self.table
    }

    pub fn into_router(self) -> Router<S> {
        self.router
    }
}

/// Says to which route of a table a path leads, before the router is asked. The router would tell as well, but only a layer
/// around every handler, which axum copies for each request.
pub(super) struct Names(matchit::Router<Box<str>>);

impl Names {
    /// The names are the templates of their paths.
    pub fn of(table: &[Route]) -> Self {
        let mut names = matchit::Router::new();
        let paths = table.iter().map(|route| route.path.as_str());
        for path in paths.filter(|path| *path != EVERYWHERE) {
            // Once for all its methods. The router would not have taken what cannot be matched.
            let _ = names.insert(path, path.into());
        }
        Self(names)
    }

    pub fn find(&self, path: &str) -> Option<&str> {
        self.0.at(path).ok().map(|found| &**found.value)
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
    use axum::body::{Body, to_bytes};
    use axum::extract::{MatchedPath, Request};
    use axum::http::StatusCode;
    use tower::ServiceExt;

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

    #[tokio::test]
    async fn a_path_has_the_name_that_the_router_knows_it_by() {
        let told = async |route: MatchedPath| route.as_str().to_owned();
        let routes: Routes = Routes::new()
            .get("/", told)
            .get("/a", told)
            .post("/a", told)
            .get("/a/b", told)
            .get("/a/{x}", told)
            .get("/a/{x}/c", told)
            .get("/d/{*rest}", told)
            .fallback(async || StatusCode::NOT_FOUND);
        let names = Names::of(routes.table());
        let axum = routes.into_router();
        for path in [
            "/", "/a", "/a/", "/a/b", "/a/b?c", "/a/x", "/a/%2F", "/a/b/c", "/a/%zz/c", "/d",
            "/d/", "/d/e/f", "//", "/*", "/e", "/{x}", "/a/{x}",
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let name = names.find(request.uri().path()).map(str::to_owned);
            let answer = axum.clone().oneshot(request).await.unwrap();
            let matched = answer.status() != StatusCode::NOT_FOUND;
            let told = to_bytes(answer.into_body(), 100).await.unwrap();
            let told = matched.then(|| String::from_utf8(told.to_vec()).unwrap());
            assert_eq!(name, told, "{path}");
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
