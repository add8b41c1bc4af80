//! How long to leave a failing store alone.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from 50 ms to 5 s; each delay is drawn between half of it and the whole, so that many
/// services do not come back to one store at the same moment.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub fn next_delay(&mut self) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound_and_start_anew_after_success() {
        let mut backoff = Backoff::default();
        for exponent in 0..40 {
            let ceiling = FIRST.saturating_mul(1 << exponent.min(10)).min(LONGEST);
            let delay = backoff.next_delay();
            assert!(delay <= ceiling && delay >= ceiling / 2, "{delay:?} of {ceiling:?}");
        }
        backoff.succeeded();
        assert!(backoff.next_delay() <= FIRST);
    }
}
