//! The pages that are made at the start.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use app::app::App;
use app::http::Listeners;
use app::infra::db::Driver;
use app::platform::Platform;
use axum::body::Body;
use sqlx::pool::PoolConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cache_status;
use crate::support::{ARTICLES, Answer, Home, Log, TestApp, fixed_clock, published, request, send};

const WARM: (&str, &str) = ("APP__CACHE__WARMUP_ENABLED", "true");
const FIRST: (&str, &str) = ("APP__CACHE__WARMUP_BEFORE_READY", "true");

/// Stops the service and starts it with other settings.
async fn restart(app: TestApp, overrides: &[(&str, &str)]) -> TestApp {
    let clock = app.clock.clone();
    let home = app.stop().await;
    let settings = home.settings(overrides);
    TestApp::start_in(home, settings, clock).await
}

/// Asks until the service is ready.
async fn wait_until_ready(ask: impl AsyncFn() -> Answer) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = ask().await;
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["status"], "starting");
        assert!(Instant::now() < deadline, "never ready");
    }
}

#[tokio::test]
async fn the_front_page_and_the_newest_articles_wait_in_memory_for_their_first_visitor() {
    let app = TestApp::start().await;
    for n in 1..=21 {
        app.clock.advance(Duration::from_secs(1));
        app.create(ARTICLES, &published(&format!("Number {n}")))
            .await;
    }
    let app = restart(app, &[WARM, FIRST]).await;
    wait_until_ready(async || app.get("/health/ready").await).await;
    assert_eq!(cache_status(&app.get("/").await), (200, "HIT-L1"));
    for n in 2..=21 {
        let path = format!("/articles/number-{n}");
        assert_eq!(
            cache_status(&app.get(&path).await),
            (200, "HIT-L1"),
            "{path}"
        );
    }
    let oldest = app.get("/articles/number-1").await;
    assert_eq!(cache_status(&oldest), (200, "MISS"));
}

#[tokio::test]
async fn nothing_is_made_where_the_settings_forbid_it_or_it_could_not_be_read() {
    for switch in [
        ("APP__CACHE__WARMUP_ENABLED", "false"),
        ("APP__CACHE__READ_ENABLED", "false"),
    ] {
        let app = TestApp::start().await;
        app.create(ARTICLES, &published("Hello")).await;
        let app = restart(app, &[WARM, FIRST, switch]).await;
        assert_eq!(app.get("/health/ready").await.status, 200);
        let page = app.get("/articles/hello").await;
        assert_ne!(page.header("x-cache-status"), "HIT-L1", "{switch:?}");
    }
}

/// A service whose warm-up waits for the only connection to the database, which the test holds.
struct Waiting {
    address: SocketAddr,
    connection: PoolConnection<Driver>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
    _home: Home,
}

impl Waiting {
    async fn start(overrides: &[(&str, &str)]) -> Self {
        let one = ("APP__DATABASE__MAX_CONNECTIONS", "1");
        let overrides: Vec<_> = [WARM, one].iter().chain(overrides).copied().collect();
        let home = Home::new().await;
        let settings = home.settings(&overrides);
        let listeners = Listeners::bind(&settings.server, &settings.operator).await;
        let listeners = listeners.expect("free ports");
        let address = listeners.public.local_addr().expect("an address");
        let platform = Platform::connect(settings, fixed_clock()).await;
        let platform = platform.expect("a database");
        let connection = platform.database.pool().acquire().await;
        let app = App::new(platform).expect("components that agree");
        Self {
            address,
            connection: connection.expect("a free connection"),
            shutdown: app.shutdown(),
            running: tokio::spawn(app.run(listeners)),
            _home: home,
        }
    }

    async fn ready(&self) -> Answer {
        ready(self.address).await
    }

    /// Lets the warm-up go on, waits until the service is ready, and stops it.
    async fn finish(self) {
        drop(self.connection);
        wait_until_ready(async || ready(self.address).await).await;
        self.shutdown.cancel();
        self.running.await.expect("it stops");
    }
}

async fn ready(address: SocketAddr) -> Answer {
    send(address, request("GET", "/health/ready", &[], Body::empty())).await
}

#[tokio::test]
async fn the_service_is_ready_when_its_cache_is_warm_if_it_is_to_wait_for_that() {
    let service = Waiting::start(&[FIRST]).await;
    let answer = service.ready().await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["status"], "starting");
    assert_eq!(answer.header("cache-control"), "no-store");
    service.finish().await;
}

#[tokio::test]
async fn the_service_is_ready_at_once_if_it_need_not_wait() {
    let service = Waiting::start(&[]).await;
    assert_eq!(service.ready().await.status, 200);
    service.finish().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_warm_up() {
    let log = Log::start();
    let service = Waiting::start(&[FIRST]).await;
    assert_eq!(service.ready().await.status, 503);
    service.shutdown.cancel();
    while log.lines("stopped before the cache was warm").is_empty() {
        tokio::task::yield_now().await;
    }
    drop(service.connection);
    service.running.await.expect("it stops");
    assert!(log.lines("the cache is warm").is_empty());
    assert!(log.lines("did not").is_empty(), "{:#?}", log.lines(""));
}
