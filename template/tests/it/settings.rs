//! The settings as a library: layers, rules, and what is said about mistakes.

mod cache;
mod edge;
mod secrets;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use app::infra::db::Driver;
use app::settings::{self, Environment, Loaded, Secret};
use bytesize::ByteSize;
use sqlx::Database;
use tempfile::TempDir;
use toml::Table;

/// An environment with a database of the right kind.
fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let url = format!("{}://host/name", Driver::URL_SCHEMES[0]);
    [("DATABASE_URL", url.as_str())]
        .iter()
        .chain(pairs)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A settings file and the folder that is deleted with it.
fn file(text: &str) -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.toml");
    fs::write(&path, text).expect("a file");
    (path, folder)
}

#[track_caller]
fn load(text: &str, pairs: &[(&str, &str)]) -> Loaded {
    settings::load_from(Some(&file(text).0), &variables(pairs)).expect("valid settings")
}

/// The settings that are refused, and what is said about each.
#[track_caller]
fn problems(text: &str, pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let refused = settings::load_from(Some(&file(text).0), &variables(pairs));
    let problems = refused.expect_err("settings that are not valid").0;
    problems
        .into_iter()
        .map(|problem| (problem.key, problem.message))
        .collect()
}

/// What is said about the only thing that is wrong.
#[track_caller]
fn problem(text: &str, pairs: &[(&str, &str)]) -> (String, String) {
    let mut problems = problems(text, pairs);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

/// The sections there are, as they are listed where one is asked for that is not.
pub fn sections() -> String {
    let defaults = fs::read_to_string("config/default.toml").expect("the defaults");
    let names = defaults
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split(']').next())
        // A section of a section is told with that.
        .filter(|name| !name.contains('.'));
    names.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_defaults_are_valid_in_every_environment() {
    for (name, environment) in [
        ("development", Environment::Development),
        ("production", Environment::Production),
        ("test", Environment::Test),
    ] {
        let loaded = settings::load_from(None, &variables(&[("APP_ENV", name)]));
        assert_eq!(loaded.expect(name).settings.environment, environment);
    }
}

#[test]
fn the_environment_beats_the_file_and_the_file_the_defaults() {
    let text = "[server]\nport = 1\nmax_connections = 2\n";
    let settings = load(text, &[("APP__SERVER__PORT", "3")]).settings;
    assert_eq!(settings.server.port, 3);
    assert_eq!(settings.server.max_connections, 2);
    assert_eq!(settings.server.request_timeout, Duration::from_secs(30));
}

#[test]
fn the_full_name_of_a_variable_beats_the_short_one() {
    let both = [("PORT", "1"), ("APP__SERVER__PORT", "2")];
    assert_eq!(load("", &both).settings.server.port, 2);
}

#[test]
fn production_changes_defaults_and_gives_way_to_the_file() {
    let production = [("APP_ENV", "production")];
    let settings = load("[server]\nhost = \"127.0.0.9\"\n", &production).settings;
    assert_eq!(settings.server.host.to_string(), "127.0.0.9");
    assert_eq!(settings.operator.host.to_string(), "0.0.0.0");
    assert_eq!(settings.log.format, app::telemetry::LogFormat::Json);
}

#[test]
fn variables_are_read_as_what_the_setting_is() {
    let settings = load(
        "",
        &[
            ("APP__SERVER__PORT", "9000"),
            ("APP__SERVER__HOST", "::1"),
            ("APP__SERVER__MAX_BODY", "2048"),
            ("APP__SERVER__MAX_HEADER_BYTES", "128KiB"),
            ("APP__SERVER__REQUEST_TIMEOUT", "1m 30s"),
            ("APP__DATABASE__MIGRATE_ON_START", "false"),
            ("APP__CACHE__L1_CAPACITY", "32MiB"),
            ("APP__CACHE__DIR", "1234"),
            ("APP__LOG__DIR", "logs"),
        ],
    )
    .settings;
    assert_eq!(settings.server.port, 9000);
    assert_eq!(settings.server.host.to_string(), "::1");
    assert_eq!(settings.server.max_body, ByteSize::kib(2));
    assert_eq!(settings.server.max_header_bytes, ByteSize::kib(128));
    assert_eq!(settings.server.request_timeout, Duration::from_secs(90));
    assert!(!settings.database.migrate_on_start);
    assert_eq!(settings.cache.l1_capacity, Some(ByteSize::mib(32)));
    assert_eq!(settings.cache.dir, PathBuf::from("1234"));
    assert_eq!(settings.log.dir, Some(PathBuf::from("logs")));
}

#[test]
fn a_good_variable_repairs_a_bad_file() {
    let loaded = load("[server]\nport = \"http\"\n", &[("PORT", "9000")]);
    assert_eq!(loaded.settings.server.port, 9000);
}

#[test]
fn every_value_of_the_wrong_kind_is_explained_in_plain_words() {
    let number = "must be a whole number from 0 to 65535, not ";
    let duration = r#"must be a duration like "250ms", "5m" or "24h", not "#;
    let size = r#"must be a size like "64KiB" or "10MiB", not "#;
    let address = r#"must be an IP address like "127.0.0.1" or "::", not "#;
    for (line, expected) in [
        ("server.port = 70000", format!("{number}`70000`")),
        ("server.port = \"80\"", format!("{number}`80`")),
        ("server.port = 1.5", format!("{number}`1.5`")),
        ("server.port = {}", format!("{number}a section")),
        (
            "server.host = \"localhost\"",
            format!("{address}`localhost`"),
        ),
        ("server.host = 7", format!("{address}`7`")),
        ("server.max_body = \"big\"", format!("{size}`big`")),
        ("server.max_body = -1", format!("{size}`-1`")),
        ("server.max_body = true", format!("{size}`true`")),
        ("server.request_timeout = \"5\"", format!("{duration}`5`")),
        ("server.request_timeout = 5", format!("{duration}`5`")),
        (
            "server.request_timeout = \"-5s\"",
            format!("{duration}`-5s`"),
        ),
        ("server.request_timeout = \"\"", format!("{duration}empty")),
        (
            "server.max_connections = -1",
            "must be a whole number, 0 or more, not `-1`".into(),
        ),
        (
            "database.migrate_on_start = 1",
            "must be true or false, not `1`".into(),
        ),
        (
            "log.format = \"xml\"",
            "must be text or json, not `xml`".into(),
        ),
        ("log.dir = 3", "must be a path in quotes, not `3`".into()),
        ("log.level = 3", "must be text in quotes".into()),
    ] {
        let (key, _) = line.split_once(" = ").expect("a line");
        assert_eq!(problem(line, &[]), (key.to_owned(), expected), "{line}");
    }
}

#[test]
fn the_rules_for_values_are_checked_at_both_ends() {
    for (line, expected) in [
        (
            "server.max_header_bytes = \"8191B\"",
            "must be at least 8KiB",
        ),
        ("server.max_connections = 0", "must be at least 1"),
        ("server.request_timeout = \"0s\"", "must be longer than 0s"),
        (
            "server.read_header_timeout = \"0s\"",
            "must be longer than 0s",
        ),
        (
            "server.shutdown_grace = \"11years\"",
            "must be at most 10years",
        ),
        ("server.idle_timeout = \"0s\"", "must be longer than 0s"),
        (
            "server.drain_delay = \"11years\"",
            "must be at most 10years",
        ),
        (
            "database.statement_timeout = \"0s\"",
            "must be longer than 0s",
        ),
        ("outbound.timeout = \"0s\"", "must be longer than 0s"),
        ("outbound.attempts = 0", "must be 1 to 10"),
        ("database.max_connections = 0", "must be 1 to 1000"),
        ("database.max_connections = 1001", "must be 1 to 1000"),
        (
            "database.acquire_timeout = \"0s\"",
            "must be longer than 0s",
        ),
        (
            "database.startup_timeout = \"0s\"",
            "must be longer than 0s",
        ),
        (
            "database.slow_query = \"1000years\"",
            "must be at most 10years",
        ),
        ("cache.gc_interval = \"0s\"", "must be longer than 0s"),
        ("cache.l1_ttl = \"2000years\"", "must be at most 10years"),
    ] {
        let (key, _) = line.split_once(" = ").expect("a line");
        assert_eq!(problem(line, &[]), (key.to_owned(), expected.to_owned()));
    }
    load(
        "server.max_header_bytes = \"8KiB\"\nserver.max_connections = 1\nserver.shutdown_grace = \"0s\"\n\
         database.max_connections = 1000\ncache.l1_ttl = \"10years\"\n",
        &[],
    );
}

#[test]
fn a_level_that_would_silence_the_log_is_refused() {
    for level in ["", "verbose", "inof", "app=loud", "a=b=c"] {
        let (key, message) = problem("", &[("RUST_LOG", level)]);
        assert_eq!(key, "log.level");
        assert!(message.starts_with("must be off, error, warn, info, debug, trace or"));
    }
    for level in [
        "off",
        "INFO",
        "warn,sqlx=debug",
        "app=trace",
        "app::http=debug,info",
    ] {
        assert_eq!(load("", &[("RUST_LOG", level)]).settings.log.level, level);
    }
}

#[test]
fn an_unknown_key_is_named_with_those_there_are() {
    let (key, message) = problem("[operator]\nprot = 1\n", &[]);
    let known = "is not a setting; those here are host, port, token";
    assert_eq!((key.as_str(), message.as_str()), ("operator.prot", known));
    for (text, pairs, key) in [
        ("[servre]\nport = 1\n", &[][..], "servre"),
        ("[empty]\n", &[], "empty"),
        ("name = 1\n", &[], "name"),
        ("", &[("APP__SERVRE__PORT", "1")], "servre"),
        ("", &[("APP__PORT", "1")], "port"),
    ] {
        let (found, message) = problem(text, pairs);
        assert_eq!(found, key);
        let known = format!("is not a setting; those here are {}", sections());
        assert_eq!(message, known);
    }
}

#[test]
fn a_network_that_is_none_is_refused_with_its_list() {
    let (key, message) = problem("outbound.allow = [\"10.0.0.0/8\", \"10.0.0/8\"]", &[]);
    assert_eq!(key, "outbound.allow");
    let expected = "must be a list of networks like [\"10.0.0.0/8\", \"fd00::/8\"], not `[\"10.0.0.0/8\", \"10.0.0/8\"]`";
    assert_eq!(message, expected);
}

#[test]
fn a_key_below_a_value_is_refused_without_its_content() {
    for name in ["APP__DATABASE__URL__PASSWORD", "APP__SERVER__TLS__CERT"] {
        let problems = problems("", &[(name, "hidden")]);
        assert!(!problems.is_empty(), "{name}");
        assert!(problems.iter().all(|(_, said)| !said.contains("hidden")));
    }
}

#[test]
fn a_value_in_place_of_a_section_hides_nothing_else() {
    let problems = problems(
        "cache = 5\n[server]\nport = -1\n",
        &[("APP__SERVER", "x"), ("APP__CACHE__GC_INTERVAL", "never")],
    );
    let keys: Vec<_> = problems.iter().map(|(key, _)| key.as_str()).collect();
    for key in ["cache", "cache.gc_interval", "server", "server.port"] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    let section = "is a section, not a value";
    assert_eq!(
        problems.iter().filter(|(_, said)| said == section).count(),
        2
    );
}

#[test]
fn every_problem_is_listed_at_once_with_its_source() {
    let (path, _folder) = file("[server]\nport = -1\n[log]\nformat = \"xml\"\nlevle = \"info\"\n");
    let refused = settings::load_from(
        Some(&path),
        &variables(&[
            ("APP_ENV", "staging"),
            ("APP__DATABASE__MAX_CONNECTIONS", "0"),
            ("APP__CACHE__L2_TTL", ""),
        ]),
    );
    let problems = refused.expect_err("problems").0;
    let path = path.display().to_string();
    let found: Vec<_> = problems
        .iter()
        .map(|problem| (problem.key.as_str(), problem.source.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("APP_ENV", "environment"),
            ("cache.l2_ttl", "environment APP__CACHE__L2_TTL"),
            (
                "database.max_connections",
                "environment APP__DATABASE__MAX_CONNECTIONS"
            ),
            ("log.format", &path),
            ("log.levle", &path),
            ("server.port", &path),
        ]
    );
}

#[test]
fn odd_names_of_variables_are_refused_and_do_not_loop() {
    for name in [
        "APP__",
        "APP____",
        "APP__SERVER__",
        "APP__SERVER____PORT",
        "APP__A.B",
    ] {
        assert!(!problems("", &[(name, "1")]).is_empty(), "{name}");
    }
    load(
        "",
        &[
            ("APP_NAME", "x"),
            ("APPLE", "x"),
            ("app__server__port", "x"),
        ],
    );
}

#[test]
fn every_setting_is_in_the_default_file() {
    let text = fs::read_to_string("config/default.toml").expect("the defaults");
    let mut settings = load("", &[]).settings;
    settings.cache.l1_capacity = Some(ByteSize::mib(1));
    settings.log.dir = Some(PathBuf::from("log"));
    settings.operator.token = Some(Secret::new("token"));
    let mut section = String::new();
    let mut listed = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            name.split(']')
                .next()
                .unwrap_or_default()
                .clone_into(&mut section);
        } else if let Some((key, _)) = line.trim_start_matches(['#', '+', ' ']).split_once(" = ") {
            listed.push(format!("{section}.{key}"));
        }
    }
    for (section, keys) in Table::try_from(&settings).expect("a table") {
        for key in keys.as_table().expect("a section").keys() {
            let key = format!("{section}.{key}");
            let below = format!("{key}.");
            let is_listed = |found: &String| *found == key || found.starts_with(&below);
            assert!(
                listed.iter().any(is_listed),
                "config/default.toml lacks {key}"
            );
        }
    }
}
