//! What happens when more is asked than can be answered: some requests wait a moment, the rest is told to come later.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
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

/// The place of a request. It is free again when every copy is dropped, so work that outlives its client can hold one.
#[derive(Clone)]
pub(super) struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Places {
    /// `None` if the settings name no limit.
    pub fn of(settings: &ServerSettings) -> Option<Self> {
        let places = settings.concurrency as usize;
        (places > 0).then(|| Self {
            free: Arc::new(Semaphore::new(places)),
            queue: Arc::new(Semaphore::new(settings.queue_depth as usize)),
            patience: settings.queue_timeout,
        })
    }

    /// A place, or the reason why there is none. Whoever stops asking leaves the queue.
    async fn enter(&self) -> Result<Place, &'static str> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        Ok(Place {
            _permit: Arc::new(permit),
        })
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, &'static str> {
        let _turn = self.queue.try_acquire().map_err(|_| "queue_full")?;
        let place = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout(self.patience, place).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err("queue_timeout"),
        }
    }
}

/// Gives a request a place, or an answer that says when to come back. Health has always one: an instance that is busy is not
/// ill.
pub(super) async fn shed(
    State(places): State<Places>,
    mut request: Request,
    next: Next,
) -> Response {
    if super::is_health(request.uri().path()) {
        return next.run(request).await;
    }
    match places.enter().await {
        Ok(place) => {
            request.extensions_mut().insert(place.clone());
            let response = next.run(request).await;
            drop(place);
            response
        }
        Err(reason) => {
            counter!("http_requests_shed_total", "reason" => reason).increment(1);
            Problem::new(Kind::Overloaded)
                .detail("There are too many requests at the moment.")
                .retry_after_seconds(1)
                .into_response()
        }
    }
}
