//! What `monitoring/` is worth: a real Prometheus and a real Alertmanager watch the real service, whole and broken.

mod watch;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use watch::Watch;
use xtask::monitoring::{dashboards, expressions, panels, without_data};
use xtask::postgres::free_port;
use xtask::process;
use xtask::prometheus::program;
use xtask::redis::Redis;
use xtask::repo;

fn monitoring() -> PathBuf {
    repo::root().join("monitoring")
}

/// Every file in a folder of `monitoring/`.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(monitoring().join(folder)).expect(folder);
    entries.map(|file| file.expect("a file").path()).collect()
}

#[test]
fn promtool_and_amtool_have_nothing_to_say() {
    let checks = [
        (
            "promtool",
            "check config --lint=all --lint-fatal",
            vec![monitoring().join("prometheus/prometheus.yml")],
        ),
        (
            "promtool",
            "check rules --lint=all --lint-fatal",
            files("prometheus/rules"),
        ),
        ("promtool", "test rules", files("prometheus/tests")),
        ("amtool", "check-config", files("alertmanager")),
    ];
    for (tool, words, files) in checks {
        let tool = program(tool).expect("it can be installed");
        let mut check = Command::new(tool);
        check.args(words.split(' ')).args(&files);
        process::capture(&mut check).unwrap_or_else(|error| panic!("{files:?}: {error:#}"));
    }
}

#[test]
fn dashboards_are_complete() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards(&monitoring()).expect("dashboards") {
        let uid = dashboard["uid"].as_str().expect("a uid");
        assert!(uids.insert(uid.to_owned()), "{uid} is there twice");
        let variables = dashboard["templating"]["list"]
            .as_array()
            .expect("variables");
        let variables: Vec<_> = variables.iter().map(|one| one["name"].as_str()).collect();
        for wanted in ["datasource", "job", "namespace", "instance", "runbooks"] {
            assert!(variables.contains(&Some(wanted)), "{name} lacks ${wanted}");
        }
        let deployments = &dashboard["annotations"]["list"][0]["expr"];
        assert!(
            deployments
                .as_str()
                .is_some_and(|expr| expr.contains("build_info"))
        );
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().expect("a title");
            assert!(
                ids.insert(panel["id"].as_u64()),
                "{name}: {title}: its id is taken"
            );
            assert!(
                panel["description"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.')),
                "{title}"
            );
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(defaults["unit"].is_string(), "{name}: {title} has no unit");
            assert!(
                defaults["thresholds"]["steps"].is_array(),
                "{name}: {title}"
            );
            let place = &panel["gridPos"];
            let right = place["x"].as_u64().expect("x") + place["w"].as_u64().expect("w");
            assert!(right <= 24, "{name}: {title} is too wide");
            assert!(!panel["targets"].as_array().expect("targets").is_empty());
        }
    }
}

/// Settings with which a service does all it can.
fn everything<'a>(redis: &'a str, collector: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("REDIS_URL", redis),
        ("APP__OTEL__ENDPOINT", collector),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ]
}

/// A collector that is not there.
fn nowhere() -> String {
    let port = free_port().expect("a free port");
    format!("http://127.0.0.1:{port}")
}

#[test]
fn every_panel_and_every_recorded_ratio_has_data_under_load() {
    let redis = Redis::start().expect("Redis");
    let (url, nowhere) = (redis.url(), nowhere());
    let settings = everything(&url, &nowhere);
    let watch = Watch::start(&settings).expect("a service that is watched");
    let mut wanted = expressions(&monitoring()).expect("dashboards");
    for file in files("prometheus/rules") {
        let rules = fs::read_to_string(file).expect("rules");
        let lines = rules.lines().map(str::trim);
        let recorded = lines.filter_map(|line| line.strip_prefix("- record: "));
        wanted.extend(recorded.map(|name| ("a rule".to_owned(), name.to_owned())));
    }
    assert!(wanted.len() > 60, "{}", wanted.len());
    let missing = without_data(watch.prometheus(), wanted).expect("expressions");
    assert!(
        missing.is_empty(),
        "without data: {missing:#?}\n{}",
        watch.log()
    );
}

#[test]
fn what_breaks_is_told_and_what_is_mended_too() {
    let redis = Redis::start().expect("Redis");
    let (url, nowhere) = (redis.url(), nowhere());
    let settings = everything(&url, &nowhere);
    let mut watch = Watch::start(&settings).expect("a service that is watched");
    // First of all: what was fast before would have to be outweighed.
    watch
        .hang_until("LatencyBudgetBurnsFast")
        .expect("it hangs and goes on");
    let port = redis.kill();
    let without_redis = ["CacheSecondTierDown", "RateLimitsFailOpen"];
    watch.wait_for("firing", &without_redis);
    watch.wait_for("firing", &["SpansLost"]);
    let _redis = Redis::start_on(port).expect("Redis");
    watch.wait_for("resolved", &without_redis);
    watch.wait_for("resolved", &["LatencyBudgetBurnsFast"]);
    watch.damage_database().expect("the file can be written");
    watch.wait_for(
        "firing",
        &["DatabaseCallsFail", "AvailabilityBudgetBurnsFast"],
    );
    watch.restart(|_| Ok(())).expect("a fresh service");
    watch.wait_for("resolved", &["DatabaseCallsFail", "SpansLost"]);
    watch.stop();
    watch.wait_for("firing", &["TargetDown"]);
    let no_folder = |data: &std::path::Path| fs::write(data.join("cache"), "no folder");
    watch
        .restart(no_folder)
        .expect("a service without a second tier");
    watch.wait_for("firing", &["CacheSecondTierDown"]);
    watch.wait_for("resolved", &["TargetDown"]);
    watch.restart(|_| Ok(())).expect("a fresh service");
    watch.wait_for(
        "resolved",
        &["CacheSecondTierDown", "AvailabilityBudgetBurnsFast"],
    );
}
