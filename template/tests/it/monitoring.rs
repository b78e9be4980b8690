//! Whether rules, dashboards, runbooks and the service speak of the same metrics and alerts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use axum::body::Body;
use serde_json::Value;

use crate::support::{ARTICLES, TestApp, published};

/// What these start with is a ratio that `recording.yml` makes.
const RECORDED: &str = "job:";

/// What Prometheus adds to the name of a histogram.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The folder with rules and dashboards.
fn monitoring() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = project.join("monitoring");
    if folder.exists() {
        return folder;
    }
    // The template itself keeps it beside the service.
    project.join("../monitoring")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

/// Every metric that `src/telemetry/metrics.rs` describes.
fn described() -> BTreeSet<String> {
    let sources = sources();
    let calls = sources
        .iter()
        .flat_map(|(_, text)| text.split("describe_").skip(1));
    let names = calls.filter_map(|call| {
        let (kind, rest) = call.split_once("!(")?;
        let is_call = ["counter", "gauge", "histogram"].contains(&kind);
        let name = rest.trim_start().strip_prefix('"')?.split_once('"')?.0;
        is_call.then(|| name.to_owned())
    });
    names.collect()
}

/// Every file below `src`, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in files(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = read(&path);
                found.push((path, text));
            }
        }
    }
    found
}

/// The metrics in an expression: names of several words that stand neither in braces nor before a parenthesis.
fn metrics_of(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let bytes = expression.as_bytes();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    let (mut at, mut in_text, mut depth) = (0, false, 0_u32);
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'"' => in_text = !in_text,
            b'{' if !in_text => depth += 1,
            b'}' if !in_text => depth -= 1,
            _ if !in_text && depth == 0 && (byte.is_ascii_alphabetic() || byte == b'_') => {
                let length = bytes[at..]
                    .iter()
                    .take_while(|byte| is_name(**byte))
                    .count();
                let name = &expression[at..at + length];
                let is_call = expression[at + length..].trim_start().starts_with('(');
                if !is_call && (name.contains('_') || name.contains(':')) {
                    found.insert(name.to_owned());
                }
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The text of every file in `folder`.
fn texts(folder: &str) -> String {
    let files = files(&monitoring().join(folder)).into_iter();
    files.map(|file| read(&file)).collect()
}

/// The expressions of all rules, each with what it makes.
fn rules() -> Vec<(String, String)> {
    let text = texts("prometheus/rules");
    let mut rules: Vec<(String, String)> = Vec::new();
    let mut is_expression = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        let name = ["- alert: ", "- record: "]
            .iter()
            .find_map(|start| trimmed.strip_prefix(start));
        if let Some(name) = name {
            rules.push((name.to_owned(), String::new()));
            is_expression = false;
        } else if let Some(expression) = trimmed.strip_prefix("expr:") {
            let rule = rules.last_mut().expect("an expression belongs to a rule");
            rule.1.push_str(expression.trim_start_matches([' ', '|']));
            is_expression = true;
        } else if line.starts_with("          ") && is_expression {
            let rule = rules.last_mut().expect("an expression belongs to a rule");
            rule.1.push('\n');
            rule.1.push_str(trimmed);
        } else {
            is_expression = false;
        }
    }
    rules
}

/// The expressions of every panel and annotation of the dashboards, each with where it stands.
fn panels() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in files(&monitoring().join("grafana/dashboards")) {
        let dashboard: Value = serde_json::from_str(&read(&file)).expect("JSON");
        collect(&dashboard, &file.display().to_string(), &mut found);
    }
    found
}

fn collect(value: &Value, place: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(expression)) = fields.get("expr") {
                found.push((place.to_owned(), expression.clone()));
            }
            for inner in fields.values() {
                collect(inner, place, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, place, found)),
        _ => {}
    }
}

/// Metrics of `expression` that neither the service nor a rule makes.
fn unknown(
    expression: &str,
    described: &BTreeSet<String>,
    recorded: &BTreeSet<String>,
) -> Vec<String> {
    let is_known = |name: &String| {
        let base = OF_HISTOGRAMS
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        recorded.contains(name)
            || described.contains(name)
            || described.contains(base)
            // Described by the crate that reads them.
            || name.starts_with("process_")
    };
    let metrics = metrics_of(expression).into_iter();
    metrics
        .filter(|name| !is_known(name) && !name.starts_with("__"))
        .collect()
}

#[test]
fn rules_and_dashboards_speak_of_metrics_that_the_service_has() {
    let described = described();
    assert!(described.contains("http_requests_total"), "{described:?}");
    let mut expressions = rules();
    let recorded: BTreeSet<String> = expressions
        .iter()
        .map(|rule| rule.0.clone())
        .filter(|name| name.starts_with(RECORDED))
        .collect();
    expressions.extend(panels());
    assert!(expressions.len() > 50, "{}", expressions.len());
    for (place, expression) in &expressions {
        let unknown = unknown(expression, &described, &recorded);
        assert!(unknown.is_empty(), "{place}: {unknown:?} in {expression}");
    }
    let wrong = "sum by (no_metric_here) (rate(http_request_total{status=\"5xx_200\"}[5m]))";
    assert_eq!(
        unknown(wrong, &described, &recorded),
        ["http_request_total", "no_metric_here"]
    );
}

/// A Prometheus may watch other services too, which have metrics of the same names.
#[test]
fn every_rule_is_about_this_service_alone() {
    let is_other_name = |rest: &str| {
        rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_' || next == ':')
    };
    for (rule, expression) in rules() {
        for metric in metrics_of(&expression) {
            for rest in expression.split(metric.as_str()).skip(1) {
                let is_ours = rest.starts_with("{job=\"app\"");
                assert!(is_ours || is_other_name(rest), "{rule}: {metric}");
            }
        }
    }
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let alerts = texts("prometheus/rules");
    let tests = texts("prometheus/tests");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks");
    let mut named = BTreeSet::new();
    for alert in alerts.split("- alert: ").skip(1) {
        let name = alert.lines().next().expect("a name");
        let page = alert.split("runbook: docs/runbooks/").nth(1);
        let page = page.and_then(|rest| rest.lines().next()).expect(name);
        let text = read(&folder.join(page));
        let listed = text.lines().find(|line| line.starts_with("Alerts: "));
        assert!(listed.expect(page).contains(name), "{page} lacks {name}");
        assert!(
            tests.contains(&format!("alertname: {name}\n")),
            "{name} has no test"
        );
        named.insert(page.to_owned());
    }
    let pages = files(&folder).into_iter();
    let pages = pages.map(|page| page.file_name().expect("a name").display().to_string());
    assert_eq!(pages.collect::<BTreeSet<_>>(), named);
    for dashboard in files(&monitoring().join("grafana/dashboards")) {
        for link in read(&dashboard).split("${runbooks}/").skip(1) {
            let page = link.split('"').next().unwrap_or_default();
            assert!(named.contains(page), "{}: {page}", dashboard.display());
        }
    }
}

#[test]
fn every_metric_of_the_code_is_described() {
    let described = described();
    let mut seen = 0;
    for (path, text) in sources() {
        for kind in [
            " counter!(\"",
            ":counter!(\"",
            " gauge!(\"",
            ":gauge!(\"",
            " histogram!(\"",
            ":histogram!(\"",
        ] {
            for call in text.split(kind).skip(1) {
                let name = call.split('"').next().unwrap_or_default();
                assert!(described.contains(name), "{}: {name}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "the check no longer finds any metric: {seen}");
}

#[test]
fn every_metric_of_ours_is_looked_at_by_some_test() {
    let mut tests: String = sources()
        .iter()
        .filter_map(|(_, text)| text.split_once("#[cfg(test)]"))
        .map(|(_, tests)| tests)
        .collect();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it")];
    while let Some(folder) = folders.pop() {
        for path in files(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                tests += &read(&path);
            }
        }
    }
    let ours = described();
    let forgotten: Vec<_> = ours.iter().filter(|name| !tests.contains(*name)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[tokio::test]
async fn what_is_done_to_the_service_shows_in_its_metrics() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Measured")).await;
    app.get(ARTICLES).await;
    app.call("POST", ARTICLES, &[], Body::from("no JSON")).await;
    let taken = app.post(ARTICLES, &published("Measured")).await;
    assert_eq!(taken.status, 409);
    let metrics = app.operator("/metrics").await;
    let metrics = metrics.text();
    for series in [
        "http_requests_total{method=\"POST\",route=\"/api/v1/articles\",status=\"201\"} ",
        "http_request_duration_seconds_count{method=\"GET\",route=\"/api/v1/articles\",status=\"200\"} ",
        "http_response_size_bytes_sum{method=\"GET\",route=\"/api/v1/articles\"} ",
        "http_request_size_bytes_count{method=\"POST\",route=\"/api/v1/articles\"} ",
        "database_query_duration_seconds_count{operation=",
        "database_query_errors_total{kind=\"unique\"} ",
        "database_connections_max ",
        "disk_available_bytes ",
        "disk_size_bytes ",
        "process_resident_memory_bytes ",
        "process_start_time_seconds ",
        "tokio_workers ",
        "tokio_alive_tasks ",
        "tokio_busy_seconds ",
        "build_info{",
    ] {
        let line = metrics.lines().find(|line| line.starts_with(series));
        let value = line
            .and_then(|line| line.rsplit_once(' '))
            .map(|(_, value)| value);
        let value: f64 = value
            .unwrap_or_else(|| panic!("no {series}"))
            .parse()
            .expect(series);
        assert!(value > 0.0, "{series}{value}");
    }
    for there_from_the_start in [
        "errors_total{kind=\"panic\",severity=\"error\"} ",
        "log_lines_dropped_total ",
        "http_requests_in_flight ",
        "http_connections{listener=\"public\"} ",
        "http_connections_max{listener=\"public\"} 10000\n",
        "business_events_total{event=\"uncounted\"} ",
        "cache_l2_up ",
        "cache_bytes{tier=\"l1\"} ",
        "tokio_global_queue_depth ",
    ] {
        assert!(
            metrics.contains(&format!("\n{there_from_the_start}")),
            "{there_from_the_start}"
        );
    }
}
