//! The clock of an HTTP/1 connection: one timer of the runtime, wound up again for every request.
//!
//! hyper asks for a timer before each head that it reads and drops it afterwards. To make one is to register it with the
//! runtime and to drop it is to take it out again; moving the one that is there costs neither.
//!
//! hyper knows one limit for the time until a head is there. Here are two: until its client begins to say something, and
//! from then on until all of it is said.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// What a connection and its timer know of each other.
#[derive(Default)]
pub(super) struct Watched {
    /// Set when something has been read since the last request.
    pub has_spoken: AtomicBool,
    /// Set when the first head has been waited for.
    has_begun: AtomicBool,
    sleep: Mutex<Option<Pin<Box<tokio::time::Sleep>>>>,
}

/// For one connection, which waits for one thing at a time.
pub(super) struct ConnectionTimer {
    pub watched: Arc<Watched>,
    /// How long a client may take for a head, once it has begun.
    pub head: Duration,
    /// How long a client may say nothing between two requests.
    pub idle: Duration,
}

struct Lent {
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    watched: Arc<Watched>,
    /// The limit from the moment on when the client begins; taken when that has happened.
    head: Option<Duration>,
}

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    /// hyper's `deadline` is for the head of a client who is expected to speak at once, as a new one is.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let watched = &self.watched;
        let is_first = !watched.has_begun.swap(true, Ordering::Relaxed);
        watched.has_spoken.store(is_first, Ordering::Relaxed);
        let (deadline, head) = if is_first {
            (deadline, None)
        } else {
            let idle = (deadline + self.idle).checked_sub(self.head);
            (idle.unwrap_or(deadline), Some(self.head))
        };
        let mut slot = watched.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = match slot.take() {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline.into());
                sleep
            }
            None => Box::pin(tokio::time::sleep_until(deadline.into())),
        };
        Box::pin(Lent {
            sleep: Some(sleep),
            watched: Arc::clone(watched),
            head,
        })
    }
}

impl Future for Lent {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(sleep) = &mut this.sleep else {
            return Poll::Ready(());
        };
        if this.head.is_some()
            && this.watched.has_spoken.load(Ordering::Relaxed)
            && let Some(head) = this.head.take()
        {
            sleep.as_mut().reset(tokio::time::Instant::now() + head);
        }
        sleep.as_mut().poll(context)
    }
}

impl Sleep for Lent {}

impl Drop for Lent {
    fn drop(&mut self) {
        let sleep = &self.watched.sleep;
        *sleep.lock().unwrap_or_else(PoisonError::into_inner) = self.sleep.take();
    }
}
