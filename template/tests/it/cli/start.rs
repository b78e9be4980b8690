//! Starts that go well, and starts that do not: one sentence, and nothing is left running.

use std::net::TcpListener;

use super::process::Place;

#[test]
fn serve_is_what_the_binary_does_without_a_subcommand() {
    let place = Place::new();
    let mut service = super::process::Service::spawn(place.command(&[], &[]));
    service.wait_until_it_serves();
    assert_eq!(service.get("/health").json()["status"], "ok");
    service.stop();
}

#[test]
fn serve_in_an_empty_folder_migrates_and_serves() {
    let place = Place::new();
    let service = place.serve();
    assert!(service.has_logged("the database is migrated"));
    assert!(service.titles().is_empty());
    service.publish("First");
    assert_eq!(service.titles(), ["First"]);
    assert!(place.path("data/cache").is_dir());
}

#[test]
fn serve_refuses_pending_migrations_when_it_may_not_apply_them() {
    let place = Place::new();
    let manual = [("APP__DATABASE__MIGRATE_ON_START", "false")];
    let finished = place.run_with(&["serve"], &manual);
    let error = finished.error();
    assert!(error.starts_with("the database lacks migrations ("));
    assert!(error.ends_with("; apply them with the subcommand `migrate`"));
    place.run(&["migrate"]).ok();
    place.serve_with(&manual).stop();
}

#[test]
fn a_port_in_use_is_named_with_the_setting_that_chooses_it() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let port = address.port().to_string();
    for (section, variable) in [("server", "PORT"), ("operator", "APP__OPERATOR__PORT")] {
        let finished = place.run_with(&["serve"], &[(variable, &port)]);
        let expected = format!(
            "cannot listen on {address}; set {section}.host and {section}.port to a free address: Address already in use"
        );
        assert!(finished.error().starts_with(&expected), "{finished:?}");
    }
    // Known before anything is touched.
    assert!(!place.path("data").exists());
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let place = Place::new();
    let finished = place.run_with(&["serve"], &[("APP__SERVER__HOST", "203.0.113.1")]);
    assert!(
        finished
            .error()
            .starts_with("cannot listen on 203.0.113.1:0; set server.host and server.port"),
        "{finished:?}"
    );
}

#[test]
fn a_second_service_on_the_same_data_starts_with_its_cache_in_memory() {
    let place = Place::new();
    let first = place.serve();
    let second = place.serve();
    assert!(second.has_logged("the cache works in memory only"));
    assert!(second.has_logged("another process uses it"));
    assert_eq!(first.health("cache_l2"), "ok");
    assert_eq!(second.health("cache_l2"), "degraded");
    assert_eq!(second.get("/health").status, 200);
    second.publish("Seen by both");
    assert_eq!(first.titles(), ["Seen by both"]);
    // It leaves the cache of the first alone when it goes.
    second.stop();
    first.stop();
    let log = place.serve().stop();
    assert!(
        !log.iter().any(|line| line.contains("did not close")),
        "{log:#?}"
    );
}

fn migrated_by_a_newer_binary() -> Place {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    place.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99990101000000, 'from the future', TRUE, '', 0)",
    );
    place
}

#[test]
fn a_version_that_is_back_after_a_newer_one_serves_and_says_so() {
    let place = migrated_by_a_newer_binary();
    place.run(&["migrate"]).ok();
    let service = place.serve();
    assert!(service.has_logged("a migration that this version does not know"));
}

#[test]
fn a_database_on_which_versions_disagree_is_refused() {
    let place = migrated_by_a_newer_binary();
    place.execute(
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT MIN(version) FROM _sqlx_migrations)",
    );
    for command in ["serve", "migrate"] {
        let finished = place.run(&[command]);
        assert_eq!(finished.code, Some(1));
        assert_eq!(
            finished.stderr.lines().last(),
            Some(
                "error: the database holds migration 99990101000000, which this version does not know; \
                 run the version that applied it"
            )
        );
    }
}

#[test]
fn services_that_start_at_once_on_an_empty_database_all_serve() {
    let place = Place::new();
    let mut services: Vec<_> = (0..3).map(|_| place.start_with(&[])).collect();
    for service in &mut services {
        service.wait_until_it_serves();
        assert!(service.titles().is_empty());
    }
}

#[test]
fn a_service_for_developers_that_others_reach_says_so() {
    let place = Place::new();
    let open = place.serve_with(&[("APP_ENV", "development"), ("APP__SERVER__HOST", "0.0.0.0")]);
    assert!(open.has_logged("others reach this service"));
    let own = Place::new();
    let own = own.serve_with(&[("APP_ENV", "development")]);
    assert!(!own.has_logged("others reach this service"));
}
