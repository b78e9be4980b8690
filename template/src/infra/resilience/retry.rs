//! Another try after a failure, later each time and never in step with others who failed at the same moment.
//!
//! The pause is any part of a limit that doubles: of the ways to vary it, the one with the fewest collisions
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::time::Duration;

/// How often to try, and how long to wait in between.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first one included.
    pub attempts: u32,
    /// The longest pause before the second attempt.
    pub first: Duration,
    /// The longest pause at all.
    pub longest: Duration,
}

impl Backoff {
    /// How long to wait after `failures`, the first of which is number 1.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        self.limit(failures).mul_f64(fastrand::f64())
    }

    fn limit(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

/// Calls `attempt` until it succeeds, fails in a way that `is_worth_it` does not hold for, or has failed often enough.
/// `name` is the label of the metric.
///
/// # Errors
/// That of the last attempt.
pub async fn retry<T, E, F>(
    name: &'static str,
    backoff: Backoff,
    is_worth_it: impl Fn(&E) -> bool,
    attempt: impl Fn() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut result = attempt().await;
    for failures in 1..backoff.attempts {
        match &result {
            Err(error) if is_worth_it(error) => {}
            _ => break,
        }
        tokio::time::sleep(backoff.pause(failures)).await;
        result = attempt().await;
        count(name, result.is_ok());
    }
    result
}

/// Counts an attempt that was not the first.
pub(in crate::infra) fn count(name: &'static str, is_success: bool) {
    let result = if is_success { SUCCESS } else { FAILURE };
    metrics::counter!("retries_total", "name" => name, "result" => result).increment(1);
}

/// Has no attempts yet that were not the first, so that the first one is an increase.
pub(in crate::infra) fn count_from_now(name: &'static str) {
    for result in [SUCCESS, FAILURE] {
        metrics::counter!("retries_total", "name" => name, "result" => result).increment(0);
    }
}

const SUCCESS: &str = "success";
const FAILURE: &str = "failure";

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const AT_ONCE: Backoff = Backoff {
        attempts: 4,
        first: Duration::ZERO,
        longest: Duration::ZERO,
    };

    /// How many attempts are made of a call that succeeds at number `success`.
    async fn attempts(success: u32, is_worth_it: bool) -> (u32, Result<(), u32>) {
        let made = Cell::new(0);
        let attempt = || async {
            made.set(made.get() + 1);
            if made.get() == success {
                Ok(())
            } else {
                Err(made.get())
            }
        };
        let result = retry("test", AT_ONCE, |_| is_worth_it, attempt).await;
        (made.get(), result)
    }

    #[tokio::test]
    async fn it_tries_until_it_succeeds_or_has_tried_often_enough() {
        assert_eq!(attempts(1, true).await, (1, Ok(())));
        assert_eq!(attempts(3, true).await, (3, Ok(())));
        assert_eq!(attempts(4, true).await, (4, Ok(())));
        assert_eq!(attempts(5, true).await, (4, Err(4)));
    }

    #[tokio::test]
    async fn a_failure_that_repeating_does_not_help_ends_it() {
        assert_eq!(attempts(3, false).await, (1, Err(1)));
    }

    #[test]
    fn the_limit_of_the_pause_doubles_up_to_the_longest() {
        let backoff = Backoff {
            attempts: 9,
            first: Duration::from_millis(10),
            longest: Duration::from_millis(70),
        };
        let limits = [1, 2, 3, 4, 100].map(|failures| backoff.limit(failures).as_millis());
        assert_eq!(limits, [10, 20, 40, 70, 70]);
        for failures in 1..9 {
            assert!(backoff.pause(failures) <= backoff.limit(failures));
        }
    }

    #[tokio::test]
    async fn attempts_after_the_first_are_counted() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let _ = attempts(3, true).await;
        let text = metrics.render();
        for line in [
            r#"retries_total{name="test",result="failure"} 1"#,
            r#"retries_total{name="test",result="success"} 1"#,
        ] {
            assert!(text.lines().any(|shown| shown == line), "{text}");
        }
    }
}
