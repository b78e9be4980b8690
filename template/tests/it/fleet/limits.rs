//! Quotas that the nodes of a fleet share, and what is left of them without Redis.

use std::time::Duration;

use app::infra::rate_limit::{Quota, RateLimiter, RateLimits};
use app::settings::{Secret, Settings};
use app::telemetry::Exporter;
use tokio::task::JoinSet;

use crate::support::redis::RedisServer;
use crate::support::{fixed_clock, settings_alone};

/// Whatever a test takes, nothing comes back meanwhile.
const TEN_A_DAY: Duration = Duration::from_hours(24);

fn node(url: &str, name: &'static str) -> RateLimiter {
    let timeout = ("APP__REDIS__TIMEOUT", "300ms");
    let Settings { redis, .. } = settings_alone(&[("REDIS_URL", url), timeout]);
    let limits = RateLimits::shared(&redis, &Secret::new(url), fixed_clock());
    limits
        .expect("a url")
        .limiter(name, Quota::new(10, TEN_A_DAY))
}

#[tokio::test]
async fn all_nodes_together_grant_a_quota_once() {
    let server = RedisServer::start().await;
    let nodes = [node(&server.url(), "shared"), node(&server.url(), "shared")];
    let mut calls = JoinSet::new();
    for n in 0..30 {
        let node = nodes[n % 2].clone();
        calls.spawn(async move { node.check("ada").await.is_ok() });
    }
    let granted = calls.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(granted, 10);
    let refused = nodes[1].check("ada").await.expect_err("used up");
    assert!(refused.retry_after > TEN_A_DAY / 11);
    assert!(nodes[0].check("bob").await.is_ok());
    let other = node(&server.url(), "other");
    assert_eq!(other.check("ada").await.expect("another name").remaining, 9);
}

#[tokio::test]
async fn without_redis_each_node_goes_by_its_own_count() {
    let exporter = Exporter::install().expect("metrics");
    let server = RedisServer::start().await;
    let url = server.url();
    let lonely = node(&url, "alone");
    let none = "rate_limit_errors_total{scope=\"alone\"} 0\n";
    assert!(exporter.render().contains(none));
    assert!(lonely.check("ada").await.is_ok());
    drop(server);
    for remaining in (0..9).rev() {
        let standing = lonely.check("ada").await.expect("its own count");
        assert_eq!(standing.remaining, remaining);
    }
    assert!(lonely.check("ada").await.is_err());
    let metrics = exporter.render();
    assert!(metrics.contains("rate_limit_errors_total{scope=\"alone\"}"));
    assert!(!metrics.contains(none));
}

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_once() {
    let exporter = Exporter::install().expect("metrics");
    let server = RedisServer::start().await;
    let limiter = node(&server.url(), "frozen");
    assert!(limiter.check("ada").await.is_ok());
    server.freeze();
    for _ in 0..5 {
        assert!(limiter.check("ada").await.is_ok());
    }
    server.thaw();
    // Its clock stands still, so the pause that follows does not end.
    let metrics = exporter.render();
    let once = "rate_limit_errors_total{scope=\"frozen\"} 1";
    assert!(metrics.lines().any(|line| line == once), "{metrics}");
}
