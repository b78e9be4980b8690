//! The clock of a connection: one timer of the runtime, wound up again for every request.
//!
//! hyper asks for a timer before each head that it reads and drops it afterwards. To make one is to register it with the
//! runtime and to drop it is to take it out again; moving the one that is there costs neither.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

type Slot = Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>;

/// For one connection, which waits for one thing at a time.
#[derive(Default)]
pub(super) struct ConnectionTimer(Slot);

struct Lent {
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    slot: Slot,
}

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = match slot.take() {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline.into());
                sleep
            }
            None => Box::pin(tokio::time::sleep_until(deadline.into())),
        };
        Box::pin(Lent {
            sleep: Some(sleep),
            slot: Arc::clone(&self.0),
        })
    }
}

impl Future for Lent {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.as_mut();
        sleep.map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(context))
    }
}

impl Sleep for Lent {}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = self.sleep.take();
    }
}
