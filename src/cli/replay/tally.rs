//! What was played and how long it took.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{operation::Operation, schedule::Step};

/// Latencies are kept from one microsecond to this, to three digits; slower ones count as this.
const LATENCY_MAX: Duration = Duration::from_secs(600);
/// Significant digits of a latency.
const LATENCY_DIGITS: u8 = 3;

/// How long calls took from sending to the answer. Of a call that was tried again only the try
/// that was answered counts.
#[derive(Clone, Debug)]
pub struct Latency {
    micros: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        let max = LATENCY_MAX.as_micros() as u64;
        let micros = Histogram::new_with_bounds(1, max, LATENCY_DIGITS);
        Self { micros: micros.expect("the bounds are constant and right") }
    }
}

impl Latency {
    /// Counts one call.
    pub fn record(&mut self, latency: Duration) {
        self.micros.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many calls were counted.
    pub fn count(&self) -> u64 {
        self.micros.len()
    }

    /// What `quantile` (0 to 1) of the calls stayed within, in microseconds; 1 for the slowest.
    pub fn quantile_us(&self, quantile: f64) -> u64 {
        self.micros.value_at_quantile(quantile).min(self.micros.max())
    }
}

/// Counts of what the server answered.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Acks, duplicates not counted.
    pub acks: u64,
    /// Fan-outs, duplicates not counted.
    pub fan_outs: u64,
    /// Users named by those fan-outs.
    pub mentions: u64,
    /// Operations of either kind that were sent a second time.
    pub duplicates: u64,
    /// Of acks, duplicates included.
    pub ack_latency: Latency,
    /// Of fan-outs, duplicates included.
    pub fan_out_latency: Latency,
}

impl Tally {
    /// Counts a step that was answered after `latency`.
    pub fn record(&mut self, step: &Step, latency: Duration) {
        let (calls, histogram) = match &step.operation {
            Operation::Ack { .. } => (&mut self.acks, &mut self.ack_latency),
            Operation::FanOut { .. } => (&mut self.fan_outs, &mut self.fan_out_latency),
        };
        histogram.record(latency);
        if step.duplicate {
            self.duplicates += 1;
            return;
        }
        *calls += 1;
        if let Operation::FanOut { users, .. } = &step.operation {
            self.mentions += users.len() as u64;
        }
    }

    /// Operations in all, duplicates included.
    pub fn operations(&self) -> u64 {
        self.acks + self.fan_outs + self.duplicates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(operation: &Operation, duplicate: bool) -> Step {
        Step { operation: operation.clone(), duplicate }
    }

    #[test]
    fn duplicates_are_counted_apart_but_timed_with_the_others() {
        let ack = Operation::Ack { user: 1, channel: 2, message: 3 };
        let fan_out = Operation::FanOut { channel: 2, message: 3, users: [1, 4].into() };
        let mut tally = Tally::default();
        for (operation, duplicate) in [(&ack, false), (&fan_out, false), (&fan_out, true)] {
            tally.record(&step(operation, duplicate), Duration::from_millis(1));
        }
        assert_eq!((tally.acks, tally.fan_outs), (1, 1));
        assert_eq!((tally.mentions, tally.duplicates, tally.operations()), (2, 1, 3));
        assert_eq!((tally.ack_latency.count(), tally.fan_out_latency.count()), (1, 2));
    }

    #[test]
    fn quantiles_are_true_to_three_digits() {
        let mut latency = Latency::default();
        for micros in 1..=1_000 {
            latency.record(Duration::from_micros(micros));
        }
        assert_eq!(latency.quantile_us(0.5), 500);
        assert_eq!(latency.quantile_us(0.999), 999);
        assert_eq!(latency.quantile_us(1.0), 1_000);
        latency.record(Duration::MAX);
        let max = latency.quantile_us(1.0);
        assert!(max.abs_diff(LATENCY_MAX.as_micros() as u64) < max / 500, "{max}");
    }

    #[test]
    fn nothing_measured_is_zero() {
        assert_eq!(Latency::default().quantile_us(0.99), 0);
    }
}
