//! The token of operators, as it is set, made, and used.

use super::http;
use super::process::{Place, Service};

const STATS: &str = "/admin/cache/stats";

/// The status of an answer to who shows this token.
fn status(service: &Service, token: &str) -> u16 {
    http::send_with_token(service.operator(), "GET", STATS, token).status
}

/// The token that was logged at the start.
fn logged_token(service: &Service) -> Option<String> {
    let line = service
        .log
        .iter()
        .find(|line| line.contains("operator.token"))?;
    let (_, rest) = line.split_once("token=\"")?;
    Some(rest.split('"').next()?.to_owned())
}

#[test]
fn development_makes_a_token_at_every_start() {
    let place = Place::new();
    let service = place.serve();
    let first = logged_token(&service).expect("a token");
    assert_eq!(status(&service, &first), 200);
    assert_eq!(status(&service, "another"), 401);
    service.stop();
    let service = place.serve();
    let second = logged_token(&service).expect("a token");
    assert_ne!(first, second);
    assert_eq!(status(&service, &first), 401);
    assert_eq!(status(&service, &second), 200);
}

#[test]
fn elsewhere_nobody_is_let_in_without_a_token_in_the_settings() {
    let place = Place::new();
    for environment in ["production", "test"] {
        let service = place.serve_with(&[
            ("APP_ENV", environment),
            ("APP__SERVER__HOST", "127.0.0.1"),
            ("APP__OPERATOR__HOST", "127.0.0.1"),
        ]);
        assert_eq!(logged_token(&service), None);
        assert_eq!(status(&service, ""), 401);
        assert_eq!(http::get(service.operator(), "/metrics").status, 200);
        service.stop();
    }
}

#[test]
fn a_token_in_the_settings_opens_and_is_never_logged() {
    let place = Place::new();
    for environment in ["development", "production"] {
        let service = place.serve_with(&[
            ("APP_ENV", environment),
            ("APP__SERVER__HOST", "127.0.0.1"),
            ("APP__OPERATOR__HOST", "127.0.0.1"),
            ("APP__OPERATOR__TOKEN", "kraken-over-lima"),
            ("APP__LOG__LEVEL", "debug"),
        ]);
        assert_eq!(logged_token(&service), None);
        assert_eq!(status(&service, "kraken-over-lima"), 200);
        assert_eq!(status(&service, "guessed-by-lima"), 401);
        let log = service.stop();
        let lines = |text: &str| log.iter().filter(|line| line.contains(text)).count();
        assert_eq!(lines("kraken-over-lima") + lines("guessed-by-lima"), 0);
        assert_eq!(lines("an operator's request was refused"), 1);
        assert_eq!(lines("operator's request"), 2);
        let of_client =
            |line: &&String| line.contains("operator's request") && line.contains("127.0.0.1");
        assert_eq!(log.iter().filter(of_client).count(), 2, "{log:#?}");
    }
}

#[test]
fn production_does_not_start_with_a_token_that_is_easy_to_guess() {
    let place = Place::new();
    for command in ["serve", "config"] {
        let finished = place.run_with(
            &[command],
            &[
                ("APP_ENV", "production"),
                ("APP__OPERATOR__TOKEN", "changeme"),
            ],
        );
        assert_eq!(
            finished.problems(),
            [
                "operator.token is too easy to guess for production, which wants at least 16 characters besides words \
                 like changeme, 6 of them different (environment APP__OPERATOR__TOKEN)"
            ]
        );
    }
}

#[test]
fn config_shows_that_there_is_a_token_and_not_which() {
    let place = Place::new();
    let variables = [("APP__OPERATOR__TOKEN", "kraken-over-lima")];
    let report = place.run_with(&["config"], &variables).ok();
    assert!(!report.contains("kraken"));
    let line = report
        .lines()
        .find(|line| line.starts_with("operator.token"));
    let (value, source) = line.expect("a line").split_once("  # ").expect("a source");
    assert_eq!(value.trim(), "operator.token = \"***\"");
    assert_eq!(source, "environment APP__OPERATOR__TOKEN");
}

#[test]
fn a_token_cannot_be_guessed_at_without_end() {
    const TOKEN: &str = "kraken-over-lima";
    const TRIES: usize = 60;
    let place = Place::new();
    let service = place.serve_with(&[("APP__OPERATOR__TOKEN", TOKEN)]);
    for _ in 0..TRIES - 1 {
        assert_eq!(status(&service, "guessed"), 401);
    }
    assert_eq!(status(&service, TOKEN), 200);
    // Some may have come back meanwhile.
    let refused = (0..200)
        .map(|_| status(&service, TOKEN))
        .find(|status| *status == 429);
    assert_eq!(
        refused,
        Some(429),
        "who guesses is not told when it is right"
    );
    assert_eq!(http::get(service.operator(), "/metrics").status, 200);
}
