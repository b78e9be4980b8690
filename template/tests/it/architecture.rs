//! The house rules that a compiler does not check.

use std::fs;
use std::path::Path;

/// The most lines of code a file may have, without its tests, comments and blank lines.
const MOST_LINES: usize = 400;

/// What the name says may not import what follows.
const FORBIDDEN: [(&str, &[&str]); 6] = [
    ("src/", &["crate::app"]),
    (
        "src/domain/",
        &[
            "crate::app",
            "crate::component",
            "crate::features",
            "crate::handlers",
            "crate::http",
            "crate::infra",
            "crate::platform",
            "crate::settings",
            "crate::telemetry",
            "askama",
            "axum",
            "hyper",
            "metrics::",
            "mini_moka",
            "sled",
            "sqlx",
            "tower",
            "utoipa",
        ],
    ),
    (
        "src/infra/",
        &[
            "crate::app",
            "crate::component",
            "crate::features",
            "crate::handlers",
            "crate::http",
            "axum",
            "utoipa",
        ],
    ),
    ("src/handlers/articles/", &["crate::infra"]),
    (
        "src/handlers/",
        &["crate::app", "crate::features", "mini_moka", "sled", "sqlx"],
    ),
    (
        "src/http/",
        &[
            "crate::app",
            "crate::features",
            "crate::handlers",
            "crate::platform",
            "mini_moka",
            "sled",
            "sqlx",
        ],
    ),
];

/// Inside a feature that has layers of its own, these are their names; a feature may lack any of them.
const FORBIDDEN_IN_FEATURES: [(&str, &[&str]); 2] = [
    (
        "/domain/",
        &[
            "crate::component",
            "crate::handlers",
            "crate::http",
            "crate::infra",
            "crate::platform",
            "crate::settings",
            "askama",
            "axum",
            "sqlx",
            "utoipa",
        ],
    ),
    (
        "/storage/",
        &[
            "crate::component",
            "crate::handlers",
            "crate::http",
            "crate::platform",
            "askama",
            "axum",
            "utoipa",
        ],
    ),
];

/// Where SQL may be written.
fn may_hold_sql(path: &str) -> bool {
    path.starts_with("src/infra/db/")
        || path.starts_with("src/infra/") && path.ends_with("/sql.rs")
        || path.starts_with("src/features/") && path.contains("/storage/")
}

pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// The lines before the tests that are neither blank nor comments.
    fn code(&self) -> impl Iterator<Item = &str> {
        let code = self.text.split("#[cfg(test)]").next().unwrap_or_default();
        code.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
    }
}

/// Every Rust file below `folder`.
pub fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let path = path
                    .strip_prefix(root)
                    .expect("inside")
                    .display()
                    .to_string();
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "there are sources in {folder}");
    found
}

/// Every line of code for which `is_wrong` says so, with its file.
fn lines(sources: &[Source], is_wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let lines = sources.iter().flat_map(|source| {
        let wrong = source.code().filter(|line| is_wrong(&source.path, line));
        wrong.map(|line| format!("{}: {line}", source.path))
    });
    lines.collect()
}

#[test]
fn each_layer_imports_only_what_is_below_it() {
    let wrong = lines(&sources("src"), |path, line| {
        FORBIDDEN
            .iter()
            .filter(|(layer, _)| path.starts_with(layer))
            .chain(
                FORBIDDEN_IN_FEATURES
                    .iter()
                    .filter(|(layer, _)| path.starts_with("src/features/") && path.contains(layer)),
            )
            .flat_map(|(_, forbidden)| *forbidden)
            .any(|forbidden| imports(line, forbidden))
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether the line names the module or crate, and not only something whose name ends or goes on like it.
fn imports(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let is_path = name.contains("::") || line[at + name.len()..].starts_with("::");
        !is_word(before) && (name.ends_with(':') || !is_word(after)) && is_path
    })
}

#[test]
fn the_check_of_imports_sees_what_it_should() {
    assert!(imports("use crate::http::Problem;", "crate::http"));
    assert!(imports("fn f(_: sqlx::Error) {}", "sqlx"));
    assert!(!imports("use crate::http_types::X;", "crate::http"));
    assert!(!imports("let sled = 1;", "sled"));
}

#[test]
fn only_stores_speak_sql() {
    const SQL: [&str; 6] = [
        "SELECT ",
        "INSERT INTO",
        "UPDATE ",
        "DELETE FROM",
        "CREATE TABLE",
        "ORDER BY",
    ];
    let is_sql = |line: &str| SQL.iter().any(|keyword| line.contains(keyword));
    let sources = sources("src");
    let wrong = lines(&sources, |path, line| !may_hold_sql(path) && is_sql(line));
    assert!(wrong.is_empty(), "{wrong:#?}");
    let right = lines(&sources, |path, line| may_hold_sql(path) && is_sql(line));
    assert!(!right.is_empty(), "the check no longer finds any SQL");
}

#[test]
fn every_file_says_in_its_first_line_what_it_is() {
    for folder in ["src", "tests"] {
        for Source { path, text } in sources(folder) {
            let first = text.lines().next().unwrap_or_default();
            // A sentence may go on in the next line.
            let said = text.lines().take_while(|line| line.starts_with("//!"));
            assert!(
                first.starts_with("//! ") && said.into_iter().any(|line| line.contains(['.', '?'])),
                "{path}: {first}"
            );
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for source in sources("src").into_iter().chain(sources("tests")) {
        let lines = source.code().count();
        assert!(
            lines <= MOST_LINES,
            "{} has {lines} lines of code",
            source.path
        );
    }
}

/// Whether a file below `src` holds unit tests and nothing else.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[test]
fn nothing_is_left_half_done() {
    const LEFT_OVERS: [&str; 6] = [
        "todo!",
        "unimplemented!",
        "dbg!",
        ".unwrap()",
        "FIXME",
        "TODO",
    ];
    let wrong = lines(&sources("src"), |path, line| {
        !is_test(path) && LEFT_OVERS.iter().any(|left| line.contains(left))
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}
