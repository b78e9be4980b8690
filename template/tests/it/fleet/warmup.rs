//! The warm-up of a node that joins a fleet.

use app::infra::cache::{LoadFailed, Loaded, Policy, Source, Warm};
use tokio_util::sync::CancellationToken;

use super::{Node, eventually};
use crate::support::Log;
use crate::support::redis::RedisServer;

impl Node {
    /// Warms the value of `key` and says what was logged about it.
    async fn warm_up(&self, key: &'static str) -> String {
        let log = Log::start();
        let values = self.strings();
        let fetch = async move {
            let load = async || Ok::<_, LoadFailed>(Loaded::new("value".to_owned()));
            values.fetch(key, &Policy::new(), load).await
        };
        let visit = async |_| Ok(Source::Loader);
        let warm = vec![Warm::value("value", fetch)];
        self.store
            .warm_up(warm, visit, CancellationToken::new())
            .await;
        log.lines("the cache is warmed without").join("\n") + &log.lines("cache is warm ").join("")
    }
}

#[tokio::test]
async fn a_node_that_joins_takes_over_what_the_others_have_made() {
    let server = RedisServer::start().await;
    let first = Node::start(&server.url());
    let log = first.warm_up("key").await;
    assert!(log.contains("made=1 skipped=0 failed=0"), "{log}");
    let onlooker = Node::join(&server.url()).await;
    eventually("it is in Redis", async || {
        onlooker.strings().get("key").await.is_some()
    })
    .await;
    for _ in 0..10 {
        let log = Node::start(&server.url()).warm_up("key").await;
        assert!(log.contains("made=0 skipped=1 failed=0"), "{log}");
    }
}

#[tokio::test]
async fn without_redis_a_node_is_warmed_alone() {
    let url = RedisServer::start().await.url();
    let log = Node::start(&url).warm_up("key").await;
    assert!(log.contains("without its second tier"), "{log}");
    assert!(log.contains("made=1 skipped=0 failed=0"), "{log}");
}
