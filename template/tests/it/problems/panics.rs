//! Panics, wherever they happen.

use app::component::Routes;
use app::domain::clock::Clock;
use app::http::Problem;
use app::infra::cache::{LoadFailed, Loaded, Policy, Store};
use app::telemetry::{self, Failure, FailureKind};
use axum::response::IntoResponse;

use super::answer_of;
use crate::support::Home;

/// What panics say in this test, and nowhere else.
const PANIC: &str = "a panic that a test wanted";

#[tokio::test]
async fn a_panic_is_reported_once_wherever_it_happens_and_however_many_wait_for_it() {
    telemetry::report_panics();
    let (tell, told) = std::sync::mpsc::channel();
    telemetry::attach_sink(move |failure: &Failure<'_>| {
        let (kind, cause) = (failure.kind, failure.cause.unwrap_or_default());
        if cause.contains(PANIC) {
            let _ = tell.send((kind, failure.request_id.to_owned(), cause.to_owned()));
        }
    });
    let reported = || {
        let told: Vec<_> = told.try_iter().collect();
        for (kind, _, cause) in &told {
            assert_eq!(*kind, FailureKind::Panic);
            assert!(cause.contains("panics.rs:"), "where it was: {cause}");
        }
        told.len()
    };

    let panics = async || -> Problem { panic!("{PANIC}: in a handler") };
    let routes = Routes::new().get("/", panics).post("/", panics);
    answer_of(routes, &[], "/").await;
    assert_eq!(reported(), 1, "in a handler");

    let store = Store::in_memory(Home::new().await.settings(&[]).cache, Clock::system());
    let values = store.namespace::<String>("values");
    let load = async || -> Result<Loaded<String>, Problem> { panic!("{PANIC}: in a loader") };
    let wait = async |key: &str| {
        let policy = Policy::default();
        let loaded = values.fetch::<Problem, _>(key, &policy, load).await;
        loaded.expect_err("a problem").into_response()
    };
    let answers = tokio::join!(wait("a"), wait("a"), wait("a"));
    for answer in [answers.0, answers.1, answers.2] {
        assert_eq!(answer.status(), 500);
        let routes = Routes::new().get("/", async || Problem::from(LoadFailed::Panicked));
        let answer = answer_of(routes, &[], "/").await;
        assert_eq!(answer.json()["type"], "/problems/internal");
    }
    assert_eq!(reported(), 1, "in a loader");
    tokio::spawn(async { panic!("{PANIC}: in a task") })
        .await
        .expect_err("a panic");
    assert_eq!(reported(), 1, "in a task");
    // Other tests tell of their panics as before.
    drop(std::panic::take_hook());
}
