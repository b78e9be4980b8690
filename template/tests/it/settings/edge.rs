//! The rules for what a request meets before a handler.

use super::{load, problem};

#[test]
fn networks_of_proxies_are_read_from_any_layer() {
    let text = "server.trusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\"]\nserver.forwarded_header = \"forwarded\"\n";
    assert_eq!(load(text, &[]).settings.server.trusted_proxies.len(), 2);
    let variable = ("APP__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]");
    assert_eq!(
        load("", &[variable]).settings.server.trusted_proxies.len(),
        1
    );
    for (line, expected) in [
        (
            "server.trusted_proxies = \"10.0.0.0/8\"",
            "must be a list like [\"a\", \"b\"], not `10.0.0.0/8`",
        ),
        (
            "server.trusted_proxies = [\"10.0.0.0/33\"]",
            "must be a list of networks like [\"10.0.0.0/8\", \"fd00::/8\"], not `[\"10.0.0.0/33\"]`",
        ),
        (
            "server.forwarded_header = \"x-real-ip\"",
            "must be x-forwarded-for or forwarded, not `x-real-ip`",
        ),
    ] {
        let (key, _) = line.split_once(" = ").expect("a line");
        assert_eq!(problem(line, &[]), (key.to_owned(), expected.to_owned()));
    }
}

#[test]
fn everybody_cannot_have_credentials() {
    let everybody = "cors.allow_origins = [\"*\"]\n";
    load(everybody, &[]);
    let (key, message) = problem(&format!("{everybody}cors.allow_credentials = true\n"), &[]);
    assert_eq!(key, "cors");
    assert!(message.starts_with("must list its origins"), "{message}");
    for bad in ["example.com", "https://example.com/path", "null", ""] {
        let (key, message) = problem(&format!("cors.allow_origins = [\"{bad}\"]\n"), &[]);
        assert_eq!(key, "cors.allow_origins");
        assert!(message.starts_with("must be sites like"), "{message}");
    }
    let mixed = "cors.allow_origins = [\"*\", \"https://example.com\"]\n";
    assert_eq!(problem(mixed, &[]).0, "cors.allow_origins");
}

#[test]
fn a_limit_of_nothing_is_refused() {
    for (line, rule) in [
        ("rate_limit.requests = 0", "must be at least 1"),
        ("rate_limit.burst = 0", "must be at least 1"),
        ("rate_limit.window = \"0s\"", "must be longer than 0s"),
    ] {
        assert_eq!(problem(line, &[]).1, rule);
    }
}
