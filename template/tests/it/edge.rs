//! What a request meets before a handler: limits, a place or none, and the rules for other sites.

mod bodies;
mod clock;
mod cors;
mod overload;
mod rate_limit;

use app::http::rate_limit::RateLimits;
use app::http::{ClientAddress, around_public, problem::Presentation};
use app::settings::Settings;
use axum::body::Body;
use axum::{Extension, Router};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::support::{Answer, fixed_clock, request, settings_alone};

/// Routes behind the layers that strangers meet.
#[derive(Clone)]
struct Edge(Router);

impl Edge {
    fn around(routes: Router, overrides: &[(&str, &str)]) -> Self {
        Self::with(routes, &settings_alone(overrides))
    }

    fn with(routes: Router, settings: &Settings) -> Self {
        let limits = RateLimits::local(fixed_clock());
        let routes = around_public(
            routes,
            settings,
            Presentation::default(),
            TaskTracker::new(),
            &limits,
        );
        let client = ClientAddress {
            ip: [192, 0, 2, 1].into(),
            is_https: false,
        };
        Self(routes.layer(Extension(client)))
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = request(method, path, headers, Body::empty());
        let answer = self.0.clone().oneshot(request).await;
        Answer::of(answer.expect("an answer")).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }
}
