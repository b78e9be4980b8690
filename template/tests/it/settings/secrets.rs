//! What is secret: never shown, and strong enough where it counts.

use std::collections::BTreeMap;

use app::infra::db::Driver;
use app::settings::Secret;
use sqlx::Database;

use super::{load, problem};

const TOKEN: &str = "operator.token";

#[test]
fn a_password_is_never_shown() {
    for (address, shown) in [
        (
            "postgres://user:pass@host:5432/name",
            "postgres://user:***@host:5432/name",
        ),
        (
            "postgres://user:p@ss:w@host/name",
            "postgres://user:***@host/name",
        ),
        (
            "postgres://host/name?password=pass",
            "postgres://host/name?***",
        ),
        (
            "postgres://u:pass@host/name?application_name=a@b",
            "postgres://u:***@host/name?***",
        ),
        ("sqlite://data/app.db", "sqlite://data/app.db"),
        ("pass", "***"),
        ("user:pass@host", "***"),
        ("", "***"),
    ] {
        let secret = Secret::new(address);
        assert_eq!(secret.to_string(), shown);
        assert_eq!(format!("{secret:?}"), format!("Secret({shown})"));
        assert_eq!(secret.expose(), address);
    }
}

#[test]
fn the_settings_as_a_whole_do_not_show_a_password() {
    let url = format!("{}://user:hidden@host/name", Driver::URL_SCHEMES[0]);
    let loaded = load("", &[("DATABASE_URL", &url)]);
    assert_eq!(loaded.settings.database.url.expose(), url);
    assert!(!loaded.report().contains("hidden"));
    assert!(!format!("{loaded:?}").contains("hidden"));
}

#[test]
fn a_token_is_read_as_text_and_shown_as_stars() {
    let loaded = load("", &[("APP__OPERATOR__TOKEN", "0123")]);
    let token = loaded.settings.operator.token.as_ref();
    assert_eq!(token.map(Secret::expose), Some("0123"));
    assert!(loaded.report().contains("operator.token = \"***\" "));
    assert!(!format!("{loaded:?}").contains("0123"));

    let loaded = load("", &[]);
    assert!(loaded.settings.operator.token.is_none());
    assert!(!loaded.report().contains(TOKEN));
}

#[test]
fn a_token_that_cannot_be_sent_is_refused_and_not_repeated() {
    let rule = "must be letters, digits and any of -._~+/, with = at the end only";
    for token in [
        "",
        "=",
        "a b",
        "a=b",
        "a\nb",
        "tökens",
        "scheme://user:hidden@host",
    ] {
        for environment in ["development", "test", "production"] {
            let variables = [("APP_ENV", environment), ("APP__OPERATOR__TOKEN", token)];
            let refused = super::problems("", &variables);
            let expected = (TOKEN.to_owned(), rule.to_owned());
            assert!(refused.contains(&expected), "{token}: {refused:?}");
        }
    }
    let (key, message) = problem("operator.token = 12345678", &[]);
    assert_eq!(
        (key.as_str(), message.as_str()),
        (TOKEN, "must be text in quotes")
    );
    for token in ["a", "Aa0-._~+/==", "x".repeat(4096).as_str()] {
        load("", &[("APP__OPERATOR__TOKEN", token)]);
    }
}

#[test]
fn production_refuses_a_token_that_is_short_or_known_to_everybody() {
    let rule = "is too easy to guess for production, which wants at least 16 characters besides words like \
                changeme, 6 of them different";
    for token in [
        "short",
        "fifteen-letters",
        "changeme",
        "changemechangeme",
        "Change-Me_CHANGE_ME",
        "example-operator-token",
        "my-secret-admin-password",
        "1234567890123456",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "abababababababababababab",
    ] {
        let variables = [("APP_ENV", "production"), ("APP__OPERATOR__TOKEN", token)];
        let (key, message) = problem("", &variables);
        assert_eq!((key.as_str(), message.as_str()), (TOKEN, rule), "{token}");
        for environment in ["development", "test"] {
            let variables = [("APP_ENV", environment), ("APP__OPERATOR__TOKEN", token)];
            load("", &variables);
        }
    }
    for token in [
        "kraken-over-lima",
        "secret-kraken-over-lima",
        Secret::random().expose(),
    ] {
        load(
            "",
            &[("APP_ENV", "production"), ("APP__OPERATOR__TOKEN", token)],
        );
    }
}

#[test]
fn production_refuses_a_database_that_nobody_named_or_whose_password_is_tried_first() {
    let scheme = Driver::URL_SCHEMES[0];
    let weak = format!("{scheme}://postgres:postgres@database/app");
    let is_a_file = scheme == "sqlite";
    let without: BTreeMap<String, String> = super::variables(&[("APP_ENV", "production")])
        .into_iter()
        .filter(|(name, _)| name != "DATABASE_URL")
        .collect();
    let mut named = without.clone();
    named.insert("DATABASE_URL".into(), weak);
    let cases = [
        (
            named,
            "has a password that is tried first, which production takes for this machine alone",
        ),
        (without, "must be set for production"),
    ];
    for (mut variables, rule) in cases {
        let production = app::settings::load_from(None, &variables);
        let refused = production.err().map(|refused| refused.to_string());
        let refused = refused.unwrap_or_default();
        let expected = !is_a_file;
        assert_eq!(refused.contains(rule), expected, "{refused}");
        assert!(!refused.contains("postgres:postgres"), "{refused}");
        variables.insert("APP_ENV".into(), "development".into());
        let development = app::settings::load_from(None, &variables);
        let refused = development.err().map(|refused| refused.to_string());
        assert!(!refused.unwrap_or_default().contains(rule));
    }
}

#[test]
fn a_weak_token_is_listed_with_everything_else_that_is_wrong_and_its_source() {
    let (file, _folder) = super::file("[operator]\ntoken = \"weak\"\n[cache]\njitter = 2\n");
    let production = super::variables(&[("APP_ENV", "production")]);
    let refused = app::settings::load_from(Some(&file), &production).expect_err("two problems");
    let found: Vec<_> = refused
        .0
        .iter()
        .map(|problem| (problem.key.as_str(), problem.source.as_str()))
        .collect();
    let file = file.display().to_string();
    assert_eq!(found, [("cache.jitter", file.as_str()), (TOKEN, &file)]);
    assert!(!refused.to_string().contains("weak"), "{refused}");
}

#[test]
fn a_random_secret_is_another_one_every_time() {
    let (one, other) = (Secret::random(), Secret::random());
    assert_ne!(one.expose(), other.expose());
    assert_eq!(one.expose().len(), 32);
}
