//! What can happen to a database on a server: away, late, slow, refusing, gone in the middle.

mod crash;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use app::infra::db::Driver;
use sqlx::{Connection, Database};

use super::http;
use super::process::{Place, Service, block_on, finish, free_port};
use super::proxy::Proxy;

/// The address of the test's database, with some parts replaced.
fn url(place: &Place, user: Option<&str>, host: Option<&str>, name: Option<&str>) -> String {
    let (scheme, rest) = place.database.url.split_once("://").expect("a scheme");
    let (server, path) = rest.split_once('/').expect("a name");
    let (old_user, old_host) = server.rsplit_once('@').unwrap_or(("postgres", server));
    let (old_name, options) = path.split_once('?').unwrap_or((path, ""));
    format!(
        "{scheme}://{}@{}/{}?{options}",
        user.unwrap_or(old_user),
        host.unwrap_or(old_host),
        name.unwrap_or(old_name)
    )
}

/// A service whose way to the database can be cut.
fn serve_through(place: &Place, proxy: &Proxy) -> Service {
    place.serve_with(&[
        (
            "DATABASE_URL",
            &url(place, None, Some(&proxy.address()), None),
        ),
        ("APP__DATABASE__ACQUIRE_TIMEOUT", "500ms"),
    ])
}

fn proxy(place: &Place) -> Proxy {
    let (_, rest) = place.database.url.split_once("://").expect("a scheme");
    let (server, _) = rest.split_once('/').expect("a name");
    let (_, host) = server.rsplit_once('@').unwrap_or(("", server));
    let port = if host.contains(':') { "" } else { ":5432" };
    Proxy::to(&format!("{host}{port}"))
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_and_then_named_without_the_password() {
    let place = Place::new();
    let port = free_port();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("an address").port().to_string();
    for (port, reason) in [(port, "Connection refused"), (silent_port, "timed out")] {
        let address = format!("postgres://user:p%40ss@127.0.0.1:{port}/name");
        let started = Instant::now();
        let finished = place.run_with(
            &["serve"],
            &[
                ("DATABASE_URL", &address),
                ("APP__DATABASE__STARTUP_TIMEOUT", "1s"),
            ],
        );
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let error = finished.stderr.lines().last().expect("an error");
        let expected = format!(
            "error: the database postgres://user:***@127.0.0.1:{port}/name did not answer within 1s: "
        );
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains(reason), "{error}");
        assert!(!finished.stderr.contains("p%40ss"));
        assert!(!finished.stderr.contains("p@ss"));
    }
}

#[test]
fn a_server_that_refuses_is_not_asked_again() {
    let place = Place::new();
    let user = url(&place, Some("no_such_user:hidden"), None, None);
    let name = url(&place, None, None, Some("no_such_database"));
    for (address, culprit) in [(user, "no_such_user"), (name, "no_such_database")] {
        let started = Instant::now();
        let mut command = place.command(&["migrate"], &[("DATABASE_URL", &address)]);
        let finished = finish(&mut command);
        assert!(started.elapsed() < Duration::from_secs(10));
        let error = finished.error();
        assert!(error.starts_with("the database postgres"), "{error}");
        assert!(error.contains(" cannot be used: "), "{error}");
        assert_eq!(
            error.matches(culprit).count(),
            2,
            "in the address and the reason: {error}"
        );
        assert!(!error.contains("hidden"), "{error}");
    }
}

#[test]
fn a_url_of_another_kind_is_refused() {
    let place = Place::new();
    for url in ["", "sqlite://data/app.db", "mysql://user:hidden@host/name"] {
        let finished = place.run_with(&["serve"], &[("DATABASE_URL", url)]);
        assert_eq!(
            finished.problems(),
            [
                "database.url must look like postgres://user:password@host:5432/name (environment DATABASE_URL)"
            ]
        );
    }
}

#[test]
fn a_server_that_comes_late_is_used_as_soon_as_it_is_there() {
    let place = Place::new();
    let mut proxy = proxy(&place);
    proxy.cut();
    let address = url(&place, None, Some(&proxy.address()), None);
    let mut service = place.start_with(&[("DATABASE_URL", &address)]);
    service.wait_for("does not answer yet");
    proxy.restore();
    service.wait_until_it_serves();
    service.publish("Served after all");
    service.stop();
}

#[test]
fn a_signal_ends_the_wait_for_the_server() {
    let place = Place::new();
    let address = format!("postgres://user:hidden@127.0.0.1:{}/name", free_port());
    let mut service = place.start_with(&[("DATABASE_URL", &address)]);
    service.wait_for("does not answer yet");
    let started = Instant::now();
    service.signal("TERM");
    assert_eq!(service.wait().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(service.has_logged("stopped before it served"));
    assert!(!service.has_logged("hidden"), "{:#?}", service.log);
}

/// What clients see while the database is away.
fn assert_unavailable(service: &Service) {
    // What was seen before comes out of the cache.
    assert_eq!(service.get("/").status, 200);
    let list = service.get("/api/v1/articles");
    assert_eq!(list.status, 503, "{}", list.body);
    assert_eq!(list.json()["type"], "/problems/unavailable");
    assert_eq!(list.header("retry-after"), Some("1"));
    assert_eq!(service.try_to_publish("Lost").status, 503);
    let health = service.get("/health");
    assert_eq!(health.status, 503);
    assert_eq!(health.json()["checks"]["database"], "error");
    assert_eq!(service.get("/health/live").status, 200);
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_survived() {
    let place = Place::new();
    let mut proxy = proxy(&place);
    let service = serve_through(&place, &proxy);
    service.publish("Kept");
    assert_eq!(service.get("/").status, 200);
    proxy.cut();
    assert_unavailable(&service);
    let port = service.address().port().to_string();
    let finished = place.run_with(&["healthcheck"], &[("PORT", &port)]);
    assert!(finished.error().starts_with("the service is not well"));

    proxy.restore();
    assert_eq!(service.titles(), ["Kept"]);
    assert_eq!(service.get("/health").status, 200);
    service.publish("And on");
    service.stop();
}

#[test]
fn a_server_that_hangs_is_not_waited_for_longer_than_the_setting_says() {
    let place = Place::new();
    let proxy = proxy(&place);
    let service = serve_through(&place, &proxy);
    service.publish("Kept");
    assert_eq!(service.get("/").status, 200);
    assert_eq!(service.get("/health").status, 200);
    proxy.freeze();
    let started = Instant::now();
    assert_unavailable(&service);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn connections_that_the_server_has_closed_cost_no_request() {
    let place = Place::new();
    let service = place.serve();
    service.publish("Kept");
    place.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    assert_eq!(service.titles(), ["Kept"]);
    service.stop();
}

#[test]
fn a_stop_does_not_wait_for_a_statement_that_does_not_end() {
    let place = Place::new();
    let mut service = place.serve_with(&[("APP__SERVER__SHUTDOWN_GRACE", "200ms")]);
    block_on(async {
        let mut locker = <Driver as Database>::Connection::connect(&place.database.url)
            .await
            .expect("a connection");
        let mut lock = locker.begin().await.expect("a transaction");
        sqlx::query("LOCK TABLE articles IN ACCESS EXCLUSIVE MODE")
            .execute(&mut *lock)
            .await
            .expect("a lock");
        let mut stuck = http::connect(service.address());
        http::write_get(&mut stuck, "/api/v1/articles");
        let started = Instant::now();
        loop {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                 WHERE NOT l.granted AND d.datname = current_database()",
            )
            .fetch_one(&mut *lock)
            .await
            .expect("the locks");
            if waiting > 0 {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(10));
        }
        let started = Instant::now();
        service.signal("TERM");
        assert_eq!(service.wait().code(), Some(0));
        assert!(started.elapsed() < Duration::from_secs(15));
    });
    assert!(service.has_logged("requests were cut off"));
}
