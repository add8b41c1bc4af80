//! What was played and how long it took.

use std::time::Duration;

use super::{operation::Operation, schedule::Step};
use crate::cli::latency::Latency;

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
}
