//! `config`, and where settings come from when the binary runs.

use super::process::Place;
use crate::settings::sections;

/// The line of one setting in what `config` prints.
fn line<'r>(report: &'r str, key: &str) -> &'r str {
    let start = format!("{key} = ");
    let found = report.lines().find(|line| line.starts_with(&start));
    found.unwrap_or_else(|| panic!("no {key} in\n{report}"))
}

/// Its value and its source.
fn setting<'r>(report: &'r str, key: &str) -> (&'r str, &'r str) {
    let (setting, source) = line(report, key).split_once("  # ").expect("a source");
    let (_, value) = setting.split_once(" = ").expect("a value");
    (value.trim(), source)
}

#[test]
fn config_prints_every_setting_with_its_source() {
    let place = Place::new();
    place.write("config/local.toml", "[server]\nmax_body = \"1MiB\"\n");
    let report = place.run(&["config"]).ok();
    assert_eq!(setting(&report, "server.port"), ("0", "environment PORT"));
    assert_eq!(
        setting(&report, "server.max_body"),
        ("\"1.0 MiB\"", "config/local.toml")
    );
    assert_eq!(
        setting(&report, "database.max_connections"),
        ("25", "config/default.toml")
    );
    for line in report.lines() {
        let (setting, source) = line.split_once("  # ").expect("a source");
        assert!(setting.contains(" = ") && !source.is_empty(), "{line}");
    }
}

#[test]
fn config_shows_the_database_without_its_password() {
    let place = Place::new();
    let (scheme, _) = place.database.url.split_once("://").expect("a URL");
    let url = format!("{scheme}://user:p@ss:w@rd@host/name");
    let finished = place.run_with(&["config"], &[("DATABASE_URL", &url)]);
    assert!(!finished.stderr.contains("w@rd"), "{}", finished.stderr);
    let report = finished.ok();
    let shown = format!("\"{scheme}://user:***@host/name\"");
    assert_eq!(
        setting(&report, "database.url"),
        (shown.as_str(), "environment DATABASE_URL")
    );
}

#[test]
fn config_lists_every_problem_and_fails() {
    let place = Place::new();
    let file = place.write(
        "wrong.toml",
        "[server]\nrequest_timeout = \"soon\"\nbanana = 1\n[cache]\ngc_interval = \"0s\"\n",
    );
    let finished = place.run_with(
        &["config", "--config", "wrong.toml"],
        &[
            ("PORT", "http"),
            ("DATABASE_URL", "mysql://user:hidden@host/name"),
            ("APP__SERVRE__HOST", "::"),
        ],
    );
    assert!(file.exists());
    let problems = finished.problems();
    let unknown = format!(
        "servre is not a setting; those here are {} (environment APP__SERVRE__HOST)",
        sections()
    );
    let expected = [
        "cache.gc_interval must be longer than 0s (wrong.toml)",
        "database.url must look like ",
        "server.banana is not a setting; those here are host, port, ",
        "server.port must be a whole number from 0 to 65535, not `http` (environment PORT)",
        "server.request_timeout must be a duration like \"250ms\", \"5m\" or \"24h\", not `soon` (wrong.toml)",
        &unknown,
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}\n{expected}");
    }
    assert!(!finished.stderr.contains("hidden"), "{}", finished.stderr);
}

#[test]
fn every_subcommand_refuses_settings_that_are_not_valid() {
    let place = Place::new();
    for command in [
        "serve",
        "migrate",
        "seed",
        "openapi",
        "routes",
        "healthcheck",
    ] {
        let finished = place.run_with(&[command], &[("PORT", "http")]);
        assert_eq!(finished.problems().len(), 1, "{command}");
    }
}

#[test]
fn a_settings_file_that_cannot_be_used_is_named() {
    let place = Place::new();
    place.write("broken.toml", "[server]\nport = 1\nport = 2\n");
    place.write("folder/file", "");
    for (file, problem) in [
        ("missing.toml", "missing.toml cannot be read: No such file"),
        ("folder", "folder cannot be read: Is a directory"),
        (
            "broken.toml",
            "broken.toml is not TOML: line 3: duplicate key",
        ),
    ] {
        let finished = place.run(&["config", "--config", file]);
        let problems = finished.problems();
        assert!(
            problems.len() == 1 && problems[0].starts_with(problem),
            "{problems:?}"
        );
    }
}

#[test]
fn production_listens_everywhere_and_logs_json() {
    let place = Place::new();
    let report = place
        .run_with(&["config"], &[("APP_ENV", "production")])
        .ok();
    for (key, value) in [
        ("server.host", "\"0.0.0.0\""),
        ("operator.host", "\"0.0.0.0\""),
        ("log.format", "\"json\""),
    ] {
        let source = "config/default.toml [production]";
        assert_eq!(setting(&report, key), (value, source));
    }
}

#[test]
fn an_unknown_environment_is_refused() {
    let place = Place::new();
    for name in ["prod", ""] {
        let finished = place.run_with(&["config"], &[("APP_ENV", name)]);
        assert_eq!(
            finished.problems(),
            [format!(
                "APP_ENV must be development, production or test, not `{name}` (environment)"
            )]
        );
    }
}

#[test]
fn the_names_that_platforms_set_work() {
    let place = Place::new();
    let variables = [("PORT", "9000"), ("RUST_LOG", "warn,sqlx=info")];
    let report = place.run_with(&["config"], &variables).ok();
    assert_eq!(setting(&report, "server.port").0, "9000");
    assert_eq!(
        setting(&report, "log.level"),
        ("\"warn,sqlx=info\"", "environment RUST_LOG")
    );
    assert_eq!(
        setting(&report, "database.url").1,
        "environment DATABASE_URL"
    );
}

#[test]
fn the_environment_beats_the_local_file_and_the_file_beats_the_defaults() {
    let place = Place::new();
    place.write(
        "config/local.toml",
        "[server]\nmax_connections = 7\nhost = \"127.0.0.7\"\n[log]\nlevel = \"warn\"\n",
    );
    let variables = [("APP__SERVER__MAX_CONNECTIONS", "8")];
    let report = place.run_with(&["config"], &variables).ok();
    assert_eq!(
        setting(&report, "server.max_connections"),
        ("8", "environment APP__SERVER__MAX_CONNECTIONS")
    );
    assert_eq!(setting(&report, "server.host").0, "\"127.0.0.7\"");

    // A file that is asked for stands in for the local one.
    place.write("other.toml", "[server]\nmax_connections = 9\n");
    let report = place.run(&["config", "--config", "other.toml"]).ok();
    assert_eq!(
        setting(&report, "server.max_connections"),
        ("9", "other.toml")
    );
    assert_eq!(setting(&report, "log.level").1, "config/default.toml");
}

#[test]
fn a_dotenv_file_counts_in_development_only_and_less_than_the_environment() {
    let place = Place::new();
    place.write(".env", "PORT=1\nAPP__LOG__LEVEL=warn\n# a comment\n");
    let report = place.run(&["config"]).ok();
    assert_eq!(setting(&report, "server.port"), ("0", "environment PORT"));
    assert_eq!(
        setting(&report, "log.level"),
        ("\"warn\"", ".env APP__LOG__LEVEL")
    );
    for environment in ["production", "test"] {
        let report = place
            .run_with(&["config"], &[("APP_ENV", environment)])
            .ok();
        assert_eq!(setting(&report, "log.level").1, "config/default.toml");
    }
}

#[test]
fn what_is_wrong_in_a_dotenv_file_is_told_without_its_secrets() {
    let place = Place::new();
    place.write(
        ".env",
        "APP__SERVER__MAX_BODY=huge\nAPP__X=1\nSECRET hidden\nAPP__DATABASE__MAX_CONNECTIONS=\n",
    );
    let finished = place.run(&["config"]);
    let problems = finished.problems();
    let unknown = format!(
        "x is not a setting; those here are {} (.env APP__X)",
        sections()
    );
    let expected = [
        ".env has a line that is not NAME=value: `SECRET…`",
        "database.max_connections must be a whole number, 0 or more, not empty (.env APP__DATABASE__MAX_CONNECTIONS)",
        "server.max_body must be a size like \"64KiB\" or \"10MiB\", not `huge` (.env APP__SERVER__MAX_BODY)",
        &unknown,
    ];
    assert_eq!(problems, expected);
}

#[test]
fn a_dotenv_that_is_a_folder_is_an_error_and_not_an_endless_loop() {
    let place = Place::new();
    place.write(".env/file", "");
    let finished = place.run(&["config"]);
    assert_eq!(
        finished.problems(),
        [".env cannot be read: Is a directory (os error 21)"]
    );
}
