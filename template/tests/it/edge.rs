//! What a request meets before a handler: limits, a place or none, and the rules for other sites.

mod bodies;
mod clock;
mod cors;
mod limits;
mod overload;
mod rate_limit;

use app::component::Routes;
use app::http::rate_limit::RateLimits;
use app::http::{self, ClientAddress, problem::Presentation};
use app::settings::Settings;
use axum::body::Body;
use tokio_util::task::TaskTracker;

use crate::support::{Answer, fixed_clock, request, settings_alone};

/// Routes behind what strangers meet.
#[derive(Clone)]
struct Edge(http::Edge);

impl Edge {
    fn around(routes: Routes, overrides: &[(&str, &str)]) -> Self {
        Self::with(routes, &settings_alone(overrides))
    }

    fn with(routes: Routes, settings: &Settings) -> Self {
        let limits = RateLimits::local(fixed_clock());
        Self(http::Edge::public(
            routes,
            settings,
            Presentation::default(),
            TaskTracker::new(),
            &limits,
        ))
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(method, path, headers, Body::empty()).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = request(method, path, headers, body.into());
        request.extensions_mut().insert(ClientAddress {
            ip: [192, 0, 2, 1].into(),
            is_https: false,
        });
        Answer::of(self.0.answer(request).await).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }
}
