//! Panics, reported like other failures wherever they happen: in a handler, a loader of the cache, a task, a thread.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

use tracing::Level;

use super::errors::{Failure, FailureKind, report};
use super::in_request;

/// From now on a panic is a line of the log that names its request, is counted, and goes to the sink. Where nothing is
/// logged it is printed as before.
pub fn report_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let cause = described(panic);
        if tracing::enabled!(Level::ERROR) {
            log(&cause);
        } else {
            print(panic);
        }
        report(&Failure {
            kind: FailureKind::Panic,
            cause: Some(&cause),
            request_id: in_request::id().as_deref().unwrap_or_default(),
            route: None,
        });
    }));
}

fn described(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(place) => format!("panicked at {place}: {message}"),
        None => format!("panicked: {message}"),
    }
}

fn log(cause: &str) {
    // As RUST_BACKTRACE says.
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(error = cause, backtrace, "a panic");
}
