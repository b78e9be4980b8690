//! What happened, told to whoever listens: metrics today; webhooks, sockets and jobs as they arrive.

use chrono::{DateTime, Utc};
use tokio::sync::broadcast;
use uuid::Uuid;

/// A fact about one thing, published after it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `noun.verb`, one of a fixed set of names, for example `article.published`.
    pub name: &'static str,
    /// The id of the thing it happened to.
    pub subject: Uuid,
    pub at: DateTime<Utc>,
}

/// How many events a slow listener may fall behind before it loses the oldest.
const BACKLOG: usize = 1024;

/// The in-process bus. Publishing never waits and never fails; with no listener an event is dropped.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Events {
    pub fn publish(&self, event: Event) {
        // `send` fails only when nobody listens.
        let _ = self.0.send(event);
    }

    /// Receives every event published from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
