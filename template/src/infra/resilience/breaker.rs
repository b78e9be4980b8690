//! A circuit breaker: a part that fails too often is left alone for a while, then tried again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::clock::Clock;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// It opens when so many of the last `of` calls have failed. Where both are the same, that is failures in a row.
    pub failures: u32,
    /// At most 64.
    pub of: u32,
    /// How long it stays open before one call is let through to try.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            of: 5,
            open_for: Duration::from_secs(30),
        }
    }
}

impl BreakerSettings {
    fn opens_after(&self, calls: u64) -> bool {
        let counted = u64::MAX >> (64 - self.of.clamp(1, 64));
        (calls & counted).count_ones() >= self.failures
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
    /// Whether its state is a metric: of many by one name there is no one state.
    is_shown: bool,
    settings: BreakerSettings,
    clock: Clock,
    circuit: Mutex<Circuit>,
}

#[derive(Debug)]
struct Circuit {
    position: Position,
    /// Raised with every change of position: a call that began in an earlier one says nothing about now.
    epoch: u64,
}

#[derive(Debug)]
enum Position {
    Closed {
        /// The last calls, one bit each, the latest lowest; set for a failure.
        calls: u64,
    },
    Open {
        since: DateTime<Utc>,
        pause: Duration,
    },
    /// One call is on its way to try.
    Probing,
}

impl Breaker {
    /// A closed breaker; `name` is its label in the metrics.
    #[must_use]
    pub fn new(name: &'static str, settings: BreakerSettings, clock: Clock) -> Self {
        Self::with(name, true, settings, clock)
    }

    /// The same for one of many parts that go by the same name, whose failures are counted together.
    #[must_use]
    pub fn one_of_many(name: &'static str, settings: BreakerSettings, clock: Clock) -> Self {
        Self::with(name, false, settings, clock)
    }

    fn with(name: &'static str, is_shown: bool, settings: BreakerSettings, clock: Clock) -> Self {
        let breaker = Self(Arc::new(Inner {
            name,
            is_shown,
            settings,
            clock,
            circuit: Mutex::new(Circuit {
                position: Position::Closed { calls: 0 },
                epoch: 0,
            }),
        }));
        breaker.record(BreakerState::Closed);
        breaker
    }

    /// The right to make one call, or `None` while the part is left alone. Calls want a timeout: one that never ends keeps
    /// the others out if it is the one that tries.
    #[must_use]
    pub fn admit(&self) -> Option<Permit> {
        let mut circuit = self.circuit();
        match circuit.position {
            Position::Closed { .. } => {}
            Position::Open { since, pause } if self.has_passed(since, pause) => {
                self.turn(&mut circuit, Position::Probing);
            }
            Position::Open { .. } | Position::Probing => return None,
        }
        Some(Permit {
            breaker: self.clone(),
            epoch: circuit.epoch,
            is_settled: false,
        })
    }

    /// It stays open until a call comes that may try.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.circuit().position.state()
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        let circuit = self.0.circuit.lock();
        circuit.unwrap_or_else(PoisonError::into_inner)
    }

    fn has_passed(&self, since: DateTime<Utc>, pause: Duration) -> bool {
        let passed = self.0.clock.now() - since;
        // A clock that was set back must not keep it open.
        passed.to_std().map_or(true, |passed| passed >= pause)
    }

    fn open(&self, circuit: &mut Circuit, pause: Duration) {
        let since = self.0.clock.now();
        self.turn(circuit, Position::Open { since, pause });
    }

    fn turn(&self, circuit: &mut Circuit, position: Position) {
        self.record(position.state());
        circuit.position = position;
        circuit.epoch += 1;
    }

    fn record(&self, state: BreakerState) {
        if !self.0.is_shown {
            return;
        }
        let value = match state {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        metrics::gauge!("circuit_breaker_state", "name" => self.0.name).set(value);
    }
}

impl Position {
    fn state(&self) -> BreakerState {
        match self {
            Self::Closed { .. } => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::Probing => BreakerState::HalfOpen,
        }
    }
}

/// One call that was let through. Dropped without a word, it counts as neither success nor failure, and whoever comes
/// next may try.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    breaker: Breaker,
    epoch: u64,
    is_settled: bool,
}

impl Permit {
    pub fn succeed(self) {
        self.settle(|breaker, circuit| match &mut circuit.position {
            Position::Closed { calls } => *calls <<= 1,
            Position::Probing => {
                breaker.turn(circuit, Position::Closed { calls: 0 });
                tracing::info!(breaker = breaker.0.name, "the circuit breaker closed");
            }
            Position::Open { .. } => {}
        });
    }

    pub fn fail(self) {
        let name = self.breaker.0.name;
        metrics::counter!("circuit_breaker_failures_total", "name" => name).increment(1);
        self.settle(|breaker, circuit| {
            let settings = breaker.0.settings;
            match &mut circuit.position {
                Position::Closed { calls } => {
                    *calls = *calls << 1 | 1;
                    if settings.opens_after(*calls) {
                        breaker.open(circuit, settings.open_for);
                        tracing::warn!(breaker = name, "the circuit breaker opened");
                    }
                }
                Position::Probing => breaker.open(circuit, settings.open_for),
                Position::Open { .. } => {}
            }
        });
    }

    fn settle(mut self, settle: impl FnOnce(&Breaker, &mut Circuit)) {
        self.is_settled = true;
        let mut circuit = self.breaker.circuit();
        if circuit.epoch == self.epoch {
            settle(&self.breaker, &mut circuit);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let mut circuit = self.breaker.circuit();
        if circuit.epoch == self.epoch && matches!(circuit.position, Position::Probing) {
            self.breaker.open(&mut circuit, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(30);
    const NEARLY: Duration = Duration::from_millis(29_999);
    const THE_REST: Duration = Duration::from_millis(1);

    fn closed() -> (Breaker, Clock) {
        let clock = Clock::fixed(DateTime::UNIX_EPOCH);
        let breaker = Breaker::new("part", BreakerSettings::default(), clock.clone());
        (breaker, clock)
    }

    fn opened() -> (Breaker, Clock) {
        let (breaker, clock) = closed();
        fail(&breaker, 5);
        (breaker, clock)
    }

    /// One that lets a call through to try.
    fn due() -> Breaker {
        let (breaker, clock) = opened();
        clock.advance(OPEN_FOR);
        breaker
    }

    fn fail(breaker: &Breaker, times: usize) {
        for _ in 0..times {
            breaker.admit().unwrap().fail();
        }
    }

    #[test]
    fn its_state_and_what_it_has_seen_fail_show_in_the_metrics() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let (breaker, clock) = opened();
        let shows = |state, failures| {
            let text = metrics.render();
            for line in [
                format!("circuit_breaker_state{{name=\"part\"}} {state}"),
                format!("circuit_breaker_failures_total{{name=\"part\"}} {failures}"),
            ] {
                assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
            }
        };
        shows(2, 5);
        clock.advance(OPEN_FOR);
        breaker.admit().unwrap().succeed();
        shows(0, 5);
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let (breaker, _) = closed();
        fail(&breaker, 4);
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.admit().is_none());
    }

    #[test]
    fn a_success_in_between_starts_the_count_again() {
        let (breaker, _) = closed();
        fail(&breaker, 4);
        breaker.admit().unwrap().succeed();
        fail(&breaker, 4);
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_share_of_the_last_calls_opens_it_too() {
        let settings = BreakerSettings {
            failures: 3,
            of: 6,
            ..BreakerSettings::default()
        };
        let breaker = Breaker::new("part", settings, Clock::fixed(DateTime::UNIX_EPOCH));
        for _ in 0..20 {
            // Two of six, whichever six one takes.
            fail(&breaker, 1);
            breaker.admit().unwrap().succeed();
            breaker.admit().unwrap().succeed();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker, 1);
        breaker.admit().unwrap().succeed();
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_call_that_was_given_up_counts_as_neither() {
        let (breaker, _) = closed();
        fail(&breaker, 4);
        for _ in 0..10 {
            drop(breaker.admit());
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn it_stays_open_for_its_time() {
        let (breaker, clock) = opened();
        clock.advance(NEARLY);
        assert!(breaker.admit().is_none());
        assert_eq!(breaker.state(), BreakerState::Open);
        clock.advance(THE_REST);
        let probe = breaker.admit();
        assert!(probe.is_some());
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn one_call_is_let_through_to_try() {
        let breaker = due();
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_none());
        assert!(breaker.clone().admit().is_none());
        probe.succeed();
    }

    #[test]
    fn one_of_many_at_the_same_time_is_let_through_to_try() {
        let breaker = due();
        let admitted: Vec<_> = thread::scope(|scope| {
            let callers: Vec<_> = (0..16).map(|_| scope.spawn(|| breaker.admit())).collect();
            let admitted = callers.into_iter().map(|caller| caller.join().unwrap());
            admitted.collect()
        });
        assert_eq!(admitted.iter().flatten().count(), 1);
    }

    #[test]
    fn a_try_that_succeeds_closes_it() {
        let breaker = due();
        breaker.admit().unwrap().succeed();
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker, 4);
        assert_eq!(breaker.state(), BreakerState::Closed, "the count is new");
        fail(&breaker, 1);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_try_that_fails_opens_it_for_the_whole_time_again() {
        let (breaker, clock) = opened();
        for _ in 0..3 {
            clock.advance(OPEN_FOR);
            breaker.admit().unwrap().fail();
            assert_eq!(breaker.state(), BreakerState::Open);
            clock.advance(NEARLY);
            assert!(breaker.admit().is_none());
        }
    }

    #[test]
    fn a_try_that_is_given_up_leaves_it_to_the_next_one() {
        let breaker = due();
        for _ in 0..3 {
            drop(breaker.admit().unwrap());
            assert_eq!(breaker.state(), BreakerState::Open);
        }
        breaker.admit().unwrap().succeed();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_try_that_panics_leaves_it_to_the_next_one() {
        let breaker = due();
        let probe = breaker.admit().unwrap();
        let call = thread::spawn(move || {
            let _probe = probe;
            panic!("on purpose");
        });
        assert!(call.join().is_err());
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn the_end_of_a_call_from_before_changes_nothing_while_it_is_open() {
        let (breaker, clock) = closed();
        let mut before: Vec<_> = (0..5).filter_map(|_| breaker.admit()).collect();
        fail(&breaker, 5);
        before.pop().unwrap().succeed();
        assert_eq!(breaker.state(), BreakerState::Open);
        clock.advance(Duration::from_secs(20));
        before.pop().unwrap().fail();
        clock.advance(Duration::from_secs(10));
        let probe = breaker.admit();
        assert!(probe.is_some(), "a late failure does not prolong it");
        before.pop().unwrap().succeed();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        before.pop().unwrap().fail();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        drop(before.pop());
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.admit().is_none());
    }

    #[test]
    fn the_end_of_a_call_from_before_does_not_count_after_it_closed_again() {
        let (breaker, clock) = closed();
        let before: Vec<_> = (0..5).filter_map(|_| breaker.admit()).collect();
        let late = breaker.admit().unwrap();
        fail(&breaker, 5);
        clock.advance(OPEN_FOR);
        breaker.admit().unwrap().succeed();
        for permit in before {
            permit.fail();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker, 4);
        assert_eq!(breaker.state(), BreakerState::Closed);
        late.succeed();
        fail(&breaker, 1);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_it_open() {
        let clock = Clock::fixed(DateTime::UNIX_EPOCH);
        let breaker = Breaker::new("part", BreakerSettings::default(), clock);
        let later = DateTime::UNIX_EPOCH + Duration::from_hours(1);
        let pause = OPEN_FOR;
        breaker.circuit().position = Position::Open {
            since: later,
            pause,
        };
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn metrics_tell_its_state_and_failures() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let shows = |line: &str| {
            let text = metrics.render();
            assert!(text.lines().any(|shown| shown == line), "{text}");
        };
        metrics::with_local_recorder(&recorder, || {
            let (breaker, clock) = closed();
            shows(r#"circuit_breaker_state{name="part"} 0"#);
            fail(&breaker, 5);
            shows(r#"circuit_breaker_state{name="part"} 2"#);
            shows(r#"circuit_breaker_failures_total{name="part"} 5"#);
            clock.advance(OPEN_FOR);
            let probe = breaker.admit().unwrap();
            shows(r#"circuit_breaker_state{name="part"} 1"#);
            probe.succeed();
            shows(r#"circuit_breaker_state{name="part"} 0"#);
        });
    }
}
