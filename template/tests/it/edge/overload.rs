//! More requests than there are places for.

use std::sync::Arc;

use app::component::Routes;
use app::telemetry::Exporter;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::Edge;
use crate::support::Answer;

/// A service whose handlers say that they have begun, and end when they are let go.
struct Busy {
    edge: Edge,
    begun: mpsc::UnboundedReceiver<()>,
    gate: Arc<Semaphore>,
}

impl Busy {
    fn with(overrides: &[(&str, &str)]) -> Self {
        let (begin, started) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let open = Arc::clone(&gate);
        let handler = move || {
            let (begin, open) = (begin.clone(), Arc::clone(&open));
            async move {
                let _ = begin.send(());
                open.acquire().await.expect("a gate").forget();
                "done"
            }
        };
        let routes = Routes::new()
            .any("/work", handler)
            .get("/health/ready", async || "ok");
        let own = [("APP__SERVER__CONCURRENCY", "2")];
        Self {
            edge: Edge::around(routes, &[&own[..], overrides].concat()),
            begun: started,
            gate,
        }
    }

    fn ask(&self, method: &'static str) -> JoinHandle<Answer> {
        let edge = self.edge.clone();
        tokio::spawn(async move { edge.ask(method, "/work", &[]).await })
    }

    /// Waits until a handler runs.
    async fn begins(&mut self) {
        self.begun.recv().await.expect("a handler");
    }
}

const NO_QUEUE: [(&str, &str); 1] = [("APP__SERVER__QUEUE_DEPTH", "0")];

/// Longer than any test takes.
const PATIENT: [(&str, &str); 2] = [
    ("APP__SERVER__QUEUE_DEPTH", "1"),
    ("APP__SERVER__QUEUE_TIMEOUT", "10m"),
];

#[tokio::test]
async fn requests_up_to_the_limit_are_answered_and_one_more_is_not() {
    Exporter::install().expect("metrics");
    let mut busy = Busy::with(&NO_QUEUE);
    let (first, second) = (busy.ask("GET"), busy.ask("GET"));
    busy.begins().await;
    busy.begins().await;

    let shed = busy.edge.get("/work").await;
    assert_eq!(shed.status, 503);
    assert_eq!(shed.json()["type"], "/problems/overloaded");
    assert_eq!(shed.header("retry-after"), "1");
    assert_eq!(busy.edge.get("/health/ready").await.status, 200);

    busy.gate.add_permits(3);
    assert_eq!(first.await.expect("an answer").status, 200);
    assert_eq!(second.await.expect("an answer").status, 200);
    assert_eq!(
        busy.edge.get("/work").await.status,
        200,
        "there is room again"
    );
    let metrics = Exporter::install().expect("metrics").render();
    assert!(metrics.contains("http_requests_shed_total{reason=\"queue_full\"}"));
}

#[tokio::test]
async fn a_request_in_the_queue_gets_the_next_place() {
    let mut busy = Busy::with(&PATIENT);
    let running = [busy.ask("GET"), busy.ask("GET")];
    busy.begins().await;
    busy.begins().await;
    let waiting = busy.ask("GET");
    // It runs up to where it waits: on the one thread of this test, before the next line.
    tokio::task::yield_now().await;
    assert_eq!(
        busy.edge.get("/work").await.status,
        503,
        "the queue is full"
    );
    busy.gate.add_permits(3);
    busy.begins().await;
    assert_eq!(waiting.await.expect("an answer").status, 200);
    for answer in running {
        assert_eq!(answer.await.expect("an answer").status, 200);
    }
}

#[tokio::test]
async fn patience_ends() {
    Exporter::install().expect("metrics");
    let mut busy = Busy::with(&[("APP__SERVER__QUEUE_TIMEOUT", "5ms")]);
    let running = [busy.ask("GET"), busy.ask("GET")];
    busy.begins().await;
    busy.begins().await;
    assert_eq!(busy.edge.get("/work").await.status, 503);
    let metrics = Exporter::install().expect("metrics").render();
    assert!(metrics.contains("http_requests_shed_total{reason=\"queue_timeout\"}"));
    drop(running);
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_place_and_its_turn() {
    let mut busy = Busy::with(&NO_QUEUE);
    let clients = [busy.ask("GET"), busy.ask("GET")];
    busy.begins().await;
    busy.begins().await;
    for client in clients {
        client.abort();
        assert!(client.await.is_err());
    }
    let next = busy.ask("GET");
    busy.begins().await;
    busy.gate.add_permits(1);
    assert_eq!(next.await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_write_keeps_its_place_after_its_client() {
    let mut busy = Busy::with(&NO_QUEUE);
    let clients = [busy.ask("POST"), busy.ask("POST")];
    busy.begins().await;
    busy.begins().await;
    for client in clients {
        client.abort();
        assert!(client.await.is_err());
    }
    assert_eq!(busy.edge.get("/work").await.status, 503);
}

#[tokio::test]
async fn no_limit_is_one_too() {
    let mut busy = Busy::with(&[("APP__SERVER__CONCURRENCY", "0"), NO_QUEUE[0]]);
    let clients: Vec<_> = (0..5).map(|_| busy.ask("GET")).collect();
    for _ in &clients {
        busy.begins().await;
    }
    busy.gate.add_permits(clients.len());
    for client in clients {
        assert_eq!(client.await.expect("an answer").status, 200);
    }
}

#[tokio::test]
async fn what_stops_the_handler_frees_the_place() {
    let routes = Routes::new().get("/panics", async || -> &'static str { panic!("broken") });
    let overrides = [("APP__SERVER__CONCURRENCY", "1"), NO_QUEUE[0]];
    let edge = Edge::around(routes, &overrides);
    for _ in 0..3 {
        assert_eq!(edge.get("/panics").await.status, 500);
    }
}
