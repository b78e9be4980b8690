//! The warm-up of the cache: what it makes, what it leaves alone, and what happens when something fails.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::bail;
use app::component::Routes;
use app::domain::error::StoreError;
use app::http::problem::Presentation;
use app::http::{Edge, Kind, Problem, visit};
use app::infra::cache::{LoadFailed, Loaded, Policy, Source, Store, Warm};
use axum::response::Redirect;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::{Home, Log, fixed_clock};

async fn store(overrides: &[(&str, &str)]) -> Store {
    let settings = Home::new().await.settings(overrides);
    Store::in_memory(settings.cache, fixed_clock())
}

fn pages(paths: &[&str]) -> Warm {
    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
    Warm::pages("pages", async move { Ok(paths) })
}

/// The line at the end of the warm-up.
#[track_caller]
fn summary(log: &Log) -> String {
    let mut lines = log.lines("the cache is warm");
    assert_eq!(lines.len(), 1, "{:#?}", log.lines(""));
    lines.remove(0)
}

#[tokio::test]
async fn as_much_is_made_at_the_same_time_as_the_settings_say() {
    for limit in [1, 4] {
        let concurrency = limit.to_string();
        let store = store(&[("APP__CACHE__WARMUP_CONCURRENCY", &concurrency)]).await;
        let paths = ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"];
        let (begun, mut beginnings) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let (pass, running) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
        let warming = tokio::spawn(async move {
            let visit = move |path| {
                let (begun, pass) = (begun.clone(), Arc::clone(&pass));
                let running = Arc::clone(&running);
                async move {
                    let at_once = running.fetch_add(1, Ordering::SeqCst) + 1;
                    assert!(at_once <= limit, "{at_once} at the same time");
                    begun.send(path)?;
                    pass.acquire().await?.forget();
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(Source::Loader)
                }
            };
            store
                .warm_up(vec![pages(&paths)], visit, CancellationToken::new())
                .await;
        });
        for (n, path) in paths.into_iter().enumerate() {
            if n >= limit {
                gate.add_permits(1);
            }
            assert_eq!(beginnings.recv().await.as_deref(), Some(path));
        }
        gate.add_permits(limit);
        warming.await.expect("it ends");
    }
}

#[tokio::test]
async fn what_fails_or_panics_or_hangs_is_named_and_stops_nothing_else() {
    let log = Log::start();
    let store = store(&[("APP__CACHE__LOCK_TTL", "20ms")]).await;
    let visit = |path: String| async move {
        match path.as_str() {
            "/fails" => bail!("the roof is on fire"),
            "/panics" => panic!("at the disco"),
            "/hangs" => pending().await,
            _ => Ok(Source::Loader),
        }
    };
    let failed = async { Err::<_, StoreError>(LoadFailed::TimedOut.into()) };
    let warm = vec![
        Warm::pages("no list", async { bail!("no paper") }),
        Warm::pages("mad list", async { panic!("no pencil") }),
        Warm::value::<String, _>("a value", failed),
        pages(&["/first", "/fails", "/panics", "/hangs", "/last"]),
    ];
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    store.warm_up(warm, visit, CancellationToken::new()).await;
    let metrics = recorder.handle().render();
    for line in [
        "cache_warmup_errors_total 6",
        "cache_warmup_skipped_total 0",
    ] {
        assert!(metrics.lines().any(|shown| shown == line), "{metrics}");
    }
    assert!(metrics.contains("\ncache_warmup_duration_seconds "));
    for (name, error) in [
        ("no list", "no paper"),
        ("mad list", "no pencil"),
        (
            "a value",
            "the store is unavailable: loading the value took too long",
        ),
        ("/fails", "the roof is on fire"),
        ("/panics", "at the disco"),
        ("/hangs", "it took longer than 20ms"),
    ] {
        let lines = log.lines(&format!("name=\"{name}\""));
        assert_eq!(lines.len(), 1, "{name}: {:#?}", log.lines(""));
        assert!(
            lines[0].contains("WARN") && lines[0].contains(error),
            "{lines:?}"
        );
    }
    let summary = summary(&log);
    assert!(summary.contains("made=2 skipped=0 failed=6 "), "{summary}");
}

#[tokio::test]
async fn what_is_in_the_cache_is_skipped() {
    let store = store(&[]).await;
    let values = store.namespace::<String>("values");
    for expected in ["made=4 skipped=3 failed=0 ", "made=2 skipped=5 failed=0 "] {
        let log = Log::start();
        let fetch = |key: &'static str| {
            let values = values.clone();
            async move {
                let load = async || Ok::<_, StoreError>(Loaded::new("value".to_owned()));
                values.fetch(key, &Policy::new(), load).await
            }
        };
        let visit = |path: String| async move {
            Ok(match path.as_str() {
                "/memory" => Source::L1,
                "/disk" => Source::L2,
                "/stale" => Source::Stale,
                _ => Source::Loader,
            })
        };
        let warm = vec![
            Warm::value("one", fetch("one")),
            pages(&["/memory", "/made", "/disk", "/also-made", "/stale"]),
            Warm::value("two", fetch("two")),
        ];
        store.warm_up(warm, visit, CancellationToken::new()).await;
        let summary = summary(&log);
        assert!(summary.contains(expected), "{summary}");
    }
}

#[tokio::test]
async fn a_stop_ends_it_on_the_spot() {
    let log = Log::start();
    let store = store(&[("APP__CACHE__WARMUP_CONCURRENCY", "1")]).await;
    let stop = CancellationToken::new();
    let (held, mut dropped) = mpsc::unbounded_channel::<Infallible>();
    let held = Some(held);
    let stopping = stop.clone();
    let visit = move |_| {
        let (held, stop) = (held.clone(), stopping.clone());
        async move {
            stop.cancel();
            let _held = held;
            pending().await
        }
    };
    let warm = vec![pages(&["/first", "/second"])];
    store.warm_up(warm, visit, stop).await;
    assert!(dropped.recv().await.is_none(), "what was begun is given up");
    assert_eq!(log.lines("stopped before the cache was warm").len(), 1);
    assert!(log.lines("the cache is warm").is_empty());
}

#[tokio::test]
async fn a_visit_says_where_the_page_was_and_what_went_wrong() {
    let with_status = |status: &'static str| async move || [("x-cache-status", status)];
    let routes = Routes::new()
        .get("/l1", with_status("HIT-L1"))
        .get("/l2", with_status("HIT-L2"))
        .get("/stale", with_status("STALE"))
        .get("/miss", with_status("MISS"))
        .get("/not-cached", async || "hello")
        .get("/elsewhere", async || Redirect::permanent("/l1"))
        .get("/panics", async || -> Problem { panic!("at the disco") })
        .get("/waits", pending::<Problem>);
    let overrides = [("APP__SERVER__REQUEST_TIMEOUT", "5ms")];
    let settings = Home::new().await.settings(&overrides).server;
    let routes = Edge::private(
        routes,
        &settings,
        Presentation::default(),
        TaskTracker::new(),
    );
    for (path, source) in [
        ("/l1", Source::L1),
        ("/l2?with=a&query", Source::L2),
        ("/stale", Source::Stale),
        ("/miss", Source::Loader),
        ("/not-cached", Source::Loader),
    ] {
        let found = visit(routes.clone(), path.to_owned()).await;
        assert_eq!(found.expect(path), source);
    }
    for (path, error) in [
        ("/nowhere", "the answer was 404 Not Found"),
        ("/elsewhere", "the answer was 308 Permanent Redirect"),
        ("/panics", "the answer was 500 Internal Server Error"),
        ("/waits", "the answer was 504 Gateway Timeout"),
        ("", "it is not a path"),
        ("no slash", "it is not a path"),
    ] {
        let refused = visit(routes.clone(), path.to_owned()).await;
        assert_eq!(refused.expect_err(path).to_string(), error);
    }
}

#[tokio::test]
async fn what_a_page_logs_names_it() {
    let log = Log::start();
    let routes = Routes::new().get("/broken", async || {
        Problem::new(Kind::Internal).cause(anyhow::anyhow!("in pieces"))
    });
    let settings = Home::new().await.settings(&[]).server;
    let routes = Edge::private(
        routes,
        &settings,
        Presentation::default(),
        TaskTracker::new(),
    );
    let answer = tokio::time::timeout(Duration::from_secs(30), visit(routes, "/broken".to_owned()));
    assert!(answer.await.expect("an answer").is_err());
    let causes = log.lines("in pieces");
    assert!(
        causes.len() == 1 && causes[0].contains("visit{path=\"/broken\"}"),
        "{causes:?}"
    );
    assert!(
        log.lines(" request").len() == 1,
        "no line for a request: {:#?}",
        log.lines("")
    );
}
