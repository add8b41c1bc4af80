//! How long calls took, kept so that percentiles can be told of any number of them.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies are kept from one microsecond to this, to three digits; slower ones count as this.
const LATENCY_MAX: Duration = Duration::from_secs(600);
/// Significant digits of a latency.
const LATENCY_DIGITS: u8 = 3;

/// How long calls took to be answered.
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

    /// Counts all calls of `other` too.
    pub fn absorb(&mut self, other: &Self) {
        // Both have the same bounds.
        self.micros.add(&other.micros).ok();
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn two_together_are_as_one_that_counted_all() {
        let (mut some, mut others) = (Latency::default(), Latency::default());
        some.record(Duration::from_micros(3));
        others.record(Duration::from_micros(900));
        others.record(Duration::from_micros(2_000));
        some.absorb(&others);
        assert_eq!(some.count(), 3);
        assert_eq!([0.3, 0.6, 1.0].map(|quantile| some.quantile_us(quantile)), [3, 900, 2_000]);
    }
}
