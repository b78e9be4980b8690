//! The clock of an HTTP/1 connection: one timer of the runtime, wound up again for every request.
//!
//! hyper asks for a timer before each head that it reads and drops it afterwards. To make one is to register it with the
//! runtime and to drop it is to take it out again; moving the one that is there costs neither.
//!
//! hyper knows one limit for the time until a head is there. Here are two: until its client begins to say something, and
//! from then on until all of it is said.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// What a connection and its timer know of each other.
#[derive(Default)]
pub(super) struct Watched {
    /// Set when something has been read since the last request.
    pub has_spoken: AtomicBool,
    /// Set when the first head has been waited for.
    has_begun: AtomicBool,
    /// Set when hyper has taken all of an answer.
    has_ended: AtomicBool,
    /// When the last request was answered that hyper did not hear of, since it began to wait.
    answered: Mutex<Option<tokio::time::Instant>>,
    sleep: Mutex<Option<Pin<Box<tokio::time::Sleep>>>>,
}

impl Watched {
    /// A request has come and gone without hyper.
    pub fn answered(&self, at: tokio::time::Instant) {
        self.has_spoken.store(false, Ordering::Relaxed);
        *lock(&self.answered) = Some(at);
    }

    /// Whether hyper has taken all of an answer; true once for each.
    pub fn has_ended(&self) -> bool {
        self.has_ended.swap(false, Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held by the body of an answer: notes its end.
pub(super) struct Ending(pub Arc<Watched>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Relaxed);
    }
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
    head: Duration,
    idle: Duration,
    /// Whether the time for the head is still to begin, when the client does.
    is_idle: bool,
}

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// hyper's `deadline` is for the head of a client who is expected to speak at once, as a new one is.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let watched = &self.watched;
        let is_first = !watched.has_begun.swap(true, Ordering::Relaxed);
        watched.has_spoken.store(is_first, Ordering::Relaxed);
        lock(&watched.answered).take();
        let deadline = if is_first {
            deadline
        } else {
            let idle = (deadline + self.idle).checked_sub(self.head);
            idle.unwrap_or(deadline)
        };
        let sleep = match lock(&watched.sleep).take() {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline.into());
                sleep
            }
            None => Box::pin(tokio::time::sleep_until(deadline.into())),
        };
        Box::pin(Lent {
            sleep: Some(sleep),
            watched: Arc::clone(watched),
            head: self.head,
            idle: self.idle,
            is_idle: !is_first,
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
        loop {
            let has_spoken = this.watched.has_spoken.load(Ordering::Relaxed);
            if this.is_idle && has_spoken {
                this.is_idle = false;
                // What was answered before counts no more.
                lock(&this.watched.answered).take();
                sleep
                    .as_mut()
                    .reset(tokio::time::Instant::now() + this.head);
            } else if !this.is_idle
                && !has_spoken
                && let Some(answered) = lock(&this.watched.answered).take()
            {
                // The head that was waited for has come and gone without hyper.
                this.is_idle = true;
                sleep.as_mut().reset(answered + this.idle);
            }
            ready!(sleep.as_mut().poll(context));
            // It was not moved for each of the requests that hyper did not hear of.
            let Some(answered) = lock(&this.watched.answered).take() else {
                return Poll::Ready(());
            };
            this.is_idle = true;
            sleep.as_mut().reset(answered + this.idle);
        }
    }
}

impl Sleep for Lent {}

impl Drop for Lent {
    fn drop(&mut self) {
        *lock(&self.watched.sleep) = self.sleep.take();
    }
}
