//! A circuit breaker: after failures in a row a part is left alone for a while, then tried again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::clock::Clock;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call is let through to try.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    HalfOpen,
    Open,
}

/// Counts the failures of one part. A cheap handle; clones share the count.
#[derive(Clone, Debug)]
pub struct Breaker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: &'static str,
    settings: BreakerSettings,
    clock: Clock,
    circuit: Mutex<Circuit>,
}

#[derive(Debug)]
enum Circuit {
    Closed {
        failures: u32,
    },
    Open {
        until: DateTime<Utc>,
    },
    /// One call is on its way to try.
    Probing,
}

impl Breaker {
    /// A closed breaker; `name` is its label in the metrics.
    #[must_use]
    pub fn new(name: &'static str, settings: BreakerSettings, clock: Clock) -> Self {
        let breaker = Self(Arc::new(Inner {
            name,
            settings,
            clock,
            circuit: Mutex::new(Circuit::Closed { failures: 0 }),
        }));
        breaker.record_state(BreakerState::Closed);
        breaker
    }

    /// The right to make one call, or `None` while the part is left alone.
    #[must_use]
    pub fn admit(&self) -> Option<Permit> {
        let mut circuit = self.circuit();
        let is_probe = match *circuit {
            Circuit::Closed { .. } => false,
            Circuit::Open { until } if self.0.clock.now() >= until => {
                *circuit = Circuit::Probing;
                self.record_state(BreakerState::HalfOpen);
                true
            }
            Circuit::Open { .. } | Circuit::Probing => return None,
        };
        Some(Permit {
            breaker: self.clone(),
            is_probe,
            is_settled: false,
        })
    }

    #[must_use]
    pub fn state(&self) -> BreakerState {
        match *self.circuit() {
            Circuit::Closed { .. } => BreakerState::Closed,
            Circuit::Open { .. } => BreakerState::Open,
            Circuit::Probing => BreakerState::HalfOpen,
        }
    }

    fn circuit(&self) -> std::sync::MutexGuard<'_, Circuit> {
        self.0
            .circuit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, circuit: &mut Circuit, pause: Duration) {
        *circuit = Circuit::Open {
            until: self.0.clock.now() + pause,
        };
        self.record_state(BreakerState::Open);
    }

    fn record_state(&self, state: BreakerState) {
        let value = match state {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        metrics::gauge!("circuit_breaker_state", "name" => self.0.name).set(value);
    }
}

/// One call that was let through. Dropped without a word, it counts as neither success nor failure, and whoever comes
/// next may try.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    breaker: Breaker,
    is_probe: bool,
    is_settled: bool,
}

impl Permit {
    pub fn succeed(mut self) {
        self.is_settled = true;
        let mut circuit = self.breaker.circuit();
        // A call that began before the breaker opened says nothing about now.
        if self.is_probe || matches!(*circuit, Circuit::Closed { .. }) {
            *circuit = Circuit::Closed { failures: 0 };
            self.breaker.record_state(BreakerState::Closed);
        }
    }

    pub fn fail(mut self) {
        self.is_settled = true;
        let inner = &self.breaker.0;
        metrics::counter!("circuit_breaker_failures_total", "name" => inner.name).increment(1);
        let mut circuit = self.breaker.circuit();
        match &mut *circuit {
            Circuit::Closed { failures } => {
                *failures += 1;
                if *failures >= inner.settings.failures {
                    self.breaker.open(&mut circuit, inner.settings.open_for);
                    tracing::warn!(breaker = inner.name, "the circuit breaker opened");
                }
            }
            Circuit::Probing if self.is_probe => {
                self.breaker.open(&mut circuit, inner.settings.open_for);
            }
            Circuit::Probing | Circuit::Open { .. } => {}
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_probe && !self.is_settled {
            let mut circuit = self.breaker.circuit();
            self.breaker.open(&mut circuit, Duration::ZERO);
        }
    }
}
