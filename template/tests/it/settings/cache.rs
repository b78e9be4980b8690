//! `[cache]`: what can be set, and what is said about values that make no sense.

use std::time::Duration;

use bytesize::ByteSize;

use super::{load, problem};

#[test]
fn the_defaults_are_those_that_are_promised() {
    let cache = load("", &[]).settings.cache;
    assert_eq!(cache.l1_ttl, Duration::from_mins(5));
    assert_eq!(cache.l2_ttl, Duration::from_hours(24));
    assert_eq!(cache.negative_ttl, Duration::from_mins(1));
    assert_eq!(cache.stale_for, Duration::from_mins(1));
    assert!((cache.jitter - 0.1).abs() < f64::EPSILON);
    assert_eq!(cache.l1_capacity, None);
    assert_eq!(cache.l2_capacity, ByteSize::gib(1));
    assert_eq!(cache.dir.to_str(), Some("data/cache"));
    assert_eq!(cache.gc_interval, Duration::from_hours(1));
    assert_eq!(cache.lock_ttl, Duration::from_secs(30));
    assert_eq!(cache.refresh_timeout, Duration::from_secs(10));
    assert_eq!(cache.warmup_concurrency, 4);
    assert!(cache.warmup_enabled && !cache.warmup_before_ready);
    assert!(cache.read_enabled && cache.delete_enabled);
}

#[test]
fn every_setting_can_be_a_variable() {
    let cache = load(
        "",
        &[
            ("APP__CACHE__L1_TTL", "1s"),
            ("APP__CACHE__L2_TTL", "2s"),
            ("APP__CACHE__NEGATIVE_TTL", "3ms"),
            ("APP__CACHE__STALE_FOR", "4h"),
            ("APP__CACHE__JITTER", "0.5"),
            ("APP__CACHE__L1_CAPACITY", "5MiB"),
            ("APP__CACHE__L2_CAPACITY", "6GiB"),
            ("APP__CACHE__GC_INTERVAL", "7m"),
            ("APP__CACHE__LOCK_TTL", "8s"),
            ("APP__CACHE__REFRESH_TIMEOUT", "9s"),
            ("APP__CACHE__WARMUP_ENABLED", "false"),
            ("APP__CACHE__WARMUP_CONCURRENCY", "10"),
            ("APP__CACHE__WARMUP_BEFORE_READY", "true"),
            ("APP__CACHE__READ_ENABLED", "false"),
            ("APP__CACHE__DELETE_ENABLED", "false"),
        ],
    )
    .settings
    .cache;
    assert_eq!(cache.l1_ttl, Duration::from_secs(1));
    assert_eq!(cache.l2_ttl, Duration::from_secs(2));
    assert_eq!(cache.negative_ttl, Duration::from_millis(3));
    assert_eq!(cache.stale_for, Duration::from_hours(4));
    assert!((cache.jitter - 0.5).abs() < f64::EPSILON);
    assert_eq!(cache.l1_capacity, Some(ByteSize::mib(5)));
    assert_eq!(cache.l2_capacity, ByteSize::gib(6));
    assert_eq!(cache.gc_interval, Duration::from_mins(7));
    assert_eq!(cache.lock_ttl, Duration::from_secs(8));
    assert_eq!(cache.refresh_timeout, Duration::from_secs(9));
    assert_eq!(cache.warmup_concurrency, 10);
    assert!(!cache.warmup_enabled && cache.warmup_before_ready);
    assert!(!cache.read_enabled && !cache.delete_enabled);
}

#[test]
fn every_rule_is_checked_at_both_ends() {
    let zero = "must be longer than 0s";
    let long = "must be at most 10years";
    let share = "must be between 0 and 1";
    for (line, expected) in [
        ("cache.l1_ttl = \"11years\"", long),
        ("cache.l2_ttl = \"11years\"", long),
        ("cache.negative_ttl = \"11years\"", long),
        ("cache.stale_for = \"11years\"", long),
        ("cache.gc_interval = \"0s\"", zero),
        ("cache.gc_interval = \"11years\"", long),
        ("cache.lock_ttl = \"0s\"", zero),
        ("cache.lock_ttl = \"11years\"", long),
        ("cache.refresh_timeout = \"0s\"", zero),
        ("cache.refresh_timeout = \"11years\"", long),
        ("cache.jitter = 2", share),
        ("cache.jitter = 1.0001", share),
        ("cache.jitter = -0.1", share),
        ("cache.jitter = nan", share),
        ("cache.l2_capacity = \"1MiB\"", "must be at least 8MiB"),
        ("cache.l2_capacity = 0", "must be at least 8MiB"),
        ("cache.warmup_concurrency = 0", "must be at least 1"),
    ] {
        let (key, _) = line.split_once(" = ").expect("a line");
        assert_eq!(
            problem(line, &[]),
            (key.to_owned(), expected.to_owned()),
            "{line}"
        );
    }
    load(
        "cache.l1_ttl = \"0s\"\ncache.l2_ttl = \"0s\"\ncache.negative_ttl = \"0s\"\ncache.stale_for = \"0s\"\n\
         cache.jitter = 0\ncache.l1_capacity = \"0B\"\ncache.l2_capacity = \"8MiB\"\n\
         cache.gc_interval = \"1ms\"\ncache.lock_ttl = \"1ms\"\ncache.refresh_timeout = \"1ms\"\n\
         cache.warmup_concurrency = 1\n",
        &[],
    );
    load("cache.jitter = 1\ncache.l2_ttl = \"10years\"\n", &[]);
}

#[test]
fn a_value_of_the_wrong_kind_is_explained_in_plain_words() {
    for (line, expected) in [
        ("cache.jitter = \"much\"", "must be a number, not `much`"),
        ("cache.jitter = true", "must be a number, not `true`"),
        (
            "cache.warmup_concurrency = -1",
            "must be a whole number, 0 or more, not `-1`",
        ),
        (
            "cache.warmup_concurrency = \"few\"",
            "must be a whole number, 0 or more, not `few`",
        ),
        (
            "cache.warmup_before_ready = 1",
            "must be true or false, not `1`",
        ),
        (
            "cache.warmup_enabled = \"yes\"",
            "must be true or false, not `yes`",
        ),
        (
            "cache.read_enabled = \"\"",
            "must be true or false, not empty",
        ),
        ("cache.delete_enabled = 0", "must be true or false, not `0`"),
        (
            "cache.l2_capacity = \"much\"",
            "must be a size like \"64KiB\" or \"10MiB\", not `much`",
        ),
        (
            "cache.stale_for = 60",
            "must be a duration like \"250ms\", \"5m\" or \"24h\", not `60`",
        ),
    ] {
        let (key, _) = line.split_once(" = ").expect("a line");
        assert_eq!(
            problem(line, &[]),
            (key.to_owned(), expected.to_owned()),
            "{line}"
        );
    }
}
