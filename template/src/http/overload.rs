//! What happens when more is asked than can be answered: some requests wait a moment, the rest is told to come later.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};
use super::server::ServerSettings;

/// The places in which requests are answered, and those in which they wait for one. A cheap handle.
#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    patience: Duration,
}

/// Why a request is shed.
const FULL: &str = "queue_full";
const TIMEOUT: &str = "queue_timeout";

fn count(reason: &'static str, shed: u64) {
    counter!("http_requests_shed_total", "reason" => reason).increment(shed);
}

/// The place of a request. It is free again when this is dropped, so work that outlives its client can hold it.
pub(super) type Place = OwnedSemaphorePermit;

impl Places {
    /// `None` if the settings name no limit.
    pub fn of(settings: &ServerSettings) -> Option<Self> {
        let places = settings.concurrency as usize;
        // So that the first one that is shed is an increase.
        for reason in [FULL, TIMEOUT] {
            count(reason, 0);
        }
        (places > 0).then(|| Self {
            free: Arc::new(Semaphore::new(places)),
            queue: Arc::new(Semaphore::new(settings.queue_depth as usize)),
            patience: settings.queue_timeout,
        })
    }

    /// A place, or an answer that says when to come back. Whoever stops asking leaves the queue.
    pub async fn enter(&self) -> Result<Place, Problem> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(place);
        }
        self.wait().await.map_err(|reason| {
            count(reason, 1);
            Problem::new(Kind::Overloaded)
                .detail("There are too many requests at the moment.")
                .retry_after_seconds(1)
        })
    }

    async fn wait(&self) -> Result<Place, &'static str> {
        let _turn = self.queue.try_acquire().map_err(|_| FULL)?;
        let place = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout(self.patience, place).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(TIMEOUT),
        }
    }
}
