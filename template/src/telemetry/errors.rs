//! Failures that are our fault, reported in one place: an event in the log, a metric, and whatever else was attached.

use std::sync::{PoisonError, RwLock};

use metrics::counter;

/// Something that must not happen, as it is reported.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    pub kind: FailureKind,
    /// The error and its causes, outermost first.
    pub cause: Option<&'a str>,
    /// The request that failed; empty outside of one.
    pub request_id: &'a str,
    /// The template of the route, if it is known.
    pub route: Option<&'a str>,
}

/// The label of the metric: a fixed, short list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Something panicked, for a request or beside all of them.
    Panic,
    /// A request ended in 500, 501 or 502.
    Internal,
    /// A request ended in 503: what it needs is away for a while.
    Unavailable,
    /// A request ended in 504.
    Timeout,
    /// A background task ended before it was told to.
    Task,
}

impl FailureKind {
    const ALL: [Self; 5] = [
        Self::Panic,
        Self::Internal,
        Self::Unavailable,
        Self::Timeout,
        Self::Task,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Task => "task",
        }
    }

    /// `error` for a defect, `warning` for what may pass.
    #[must_use]
    pub fn severity(self) -> &'static str {
        if self.is_defect() { "error" } else { "warning" }
    }

    /// Whether somebody has to mend it.
    #[must_use]
    pub fn is_defect(self) -> bool {
        matches!(self, Self::Panic | Self::Internal | Self::Task)
    }

    fn count(self, failures: u64) {
        let labels = [("kind", self.name()), ("severity", self.severity())];
        counter!("errors_total", &labels).increment(failures);
    }
}

type Sink = Box<dyn Fn(&Failure<'_>) + Send + Sync>;

static SINKS: RwLock<Vec<Sink>> = RwLock::new(Vec::new());

/// From now on every failure goes to `sink` too, for example to a service that collects them. It is called where the
/// failure happened; it must not wait, nor fail itself.
pub fn attach_sink(sink: impl Fn(&Failure<'_>) + Send + Sync + 'static) {
    let mut sinks = SINKS.write().unwrap_or_else(PoisonError::into_inner);
    sinks.push(Box::new(sink));
}

/// Every kind is there from the start, so that the first failure is an increase.
pub(super) fn register() {
    for kind in FailureKind::ALL {
        kind.count(0);
    }
}

pub fn report(failure: &Failure<'_>) {
    failure.kind.count(1);
    for sink in &*SINKS.read().unwrap_or_else(PoisonError::into_inner) {
        sink(failure);
    }
}
