//! Leaves a failing store alone for a while: loads then fail at once instead of each finding out.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::store::StoreError;

/// Failures in a row after which the store counts as failing. A load that got no answer in time
/// counts for all of them: others would wait as long.
const FAILURES_MAX: u32 = 5;
/// How long the store is left alone, doubled from probe to probe up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Closed while the store answers. Open it lets one load through after each pause.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    pauses: u32,
    /// Nobody but the next probe is let through; from then on that one.
    closed_until: Option<Instant>,
}

impl Breaker {
    /// Whether to ask the store.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while it is left alone.
    pub fn admit(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let Some(until) = state.closed_until else { return Ok(()) };
        let now = Instant::now();
        if now < until {
            let why = "its last loads have failed; it is asked again in a moment".to_owned();
            return Err(StoreError::Unavailable(why));
        }
        // This caller is the probe; it may never come back, so the others wait one more pause.
        state.closed_until = Some(now + state.next_pause());
        Ok(())
    }

    /// The store has answered, or has not.
    pub fn record(&self, error: Option<&StoreError>, in_time: bool) {
        let mut state = self.state.lock();
        match error {
            Some(StoreError::Unavailable(_) | StoreError::Io(_)) => {}
            // Damage is of one row, and says that the store is there.
            _ => return *state = State::default(),
        }
        state.failures = if in_time { state.failures.saturating_add(1) } else { FAILURES_MAX };
        if state.failures >= FAILURES_MAX && state.closed_until.is_none() {
            state.closed_until = Some(Instant::now() + state.next_pause());
        }
    }
}

impl State {
    fn next_pause(&mut self) -> Duration {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.pauses.min(10)).min(LONGEST_PAUSE);
        self.pauses = self.pauses.saturating_add(1);
        longest.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn outage() -> StoreError {
        StoreError::Unavailable("gone".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_lets_one_probe_through_per_pause() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            breaker.record(Some(&outage()), true);
        }
        breaker.record(None, true);
        for _ in 0..FAILURES_MAX {
            assert!(breaker.admit().is_ok());
            breaker.record(Some(&outage()), true);
        }
        assert!(breaker.admit().is_err());
        advance(FIRST_PAUSE).await;
        assert!(breaker.admit().is_ok());
        assert!(breaker.admit().is_err(), "a second probe");
        breaker.record(Some(&outage()), true);
        advance(FIRST_PAUSE * 2).await;
        assert!(breaker.admit().is_ok());
        breaker.record(None, true);
        assert!(breaker.admit().is_ok() && breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_load_without_an_answer_is_enough_and_a_damaged_row_is_an_answer() {
        let breaker = Breaker::default();
        breaker.record(Some(&outage()), false);
        assert!(breaker.admit().is_err());
        breaker.record(Some(&StoreError::Corrupt("a row".to_owned().into())), true);
        assert!(breaker.admit().is_ok());
    }
}
