//! In which order operations are sent, and which are sent again: decided by a seed alone, so that a
//! run can be repeated.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    path::PathBuf,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::{
    input::{InputError, Meter},
    operation::Operation,
    trace::Trace,
};

/// How many operations later, at most, a duplicate is sent; bounds those that wait.
const DUPLICATE_LAG_MAX: u64 = 100_000;

/// What is to be played, and how.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The trace.
    pub trace: PathBuf,
    /// Only its first so many messages.
    pub limit: Option<u64>,
    /// Shuffle all operations by this seed.
    pub shuffle: Option<u64>,
    /// The probability that an operation is sent again.
    pub duplicate: f64,
}

/// One operation to be sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// What.
    pub operation: Operation,
    /// Whether it was sent before.
    pub duplicate: bool,
}

/// The steps of a schedule in order.
pub struct Steps {
    steps: Duplicates<Box<dyn Iterator<Item = Result<Operation, InputError>> + Send>>,
    length: Length,
}

/// How many operations there are, before duplicates.
enum Length {
    Known(u64),
    Reading(Meter),
}

impl Schedule {
    /// Opens the trace; with `shuffle`, reads all of it.
    pub fn open(&self) -> Result<Steps, InputError> {
        let operations = self.operations()?;
        let meter = operations.trace.meter();
        let Some(seed) = self.shuffle else {
            // The order is the trace's own, so any fixed seed will do for the duplicates.
            return Ok(self.steps(operations, 0, Length::Reading(meter)));
        };
        let all = shuffled(operations.collect::<Result<_, _>>()?, seed);
        let length = Length::Known(all.len() as u64);
        Ok(self.steps(all.into_iter().map(Ok), seed, length))
    }

    fn operations(&self) -> Result<Operations, InputError> {
        Ok(Operations { trace: Trace::open(&self.trace, self.limit)?, fan_out: None })
    }

    fn steps(
        &self,
        operations: impl Iterator<Item = Result<Operation, InputError>> + Send + 'static,
        seed: u64,
        length: Length,
    ) -> Steps {
        Steps { steps: Duplicates::new(Box::new(operations), self.duplicate, seed), length }
    }

    /// Every user in the trace.
    pub fn users(&self) -> Result<HashSet<u64>, InputError> {
        let mut users = HashSet::new();
        for operation in self.operations()? {
            users.extend(operation?.users());
        }
        Ok(users)
    }
}

impl Steps {
    /// About how many steps there are in all, `sent` of which have been taken.
    pub fn estimate(&self, sent: u64) -> u64 {
        match &self.length {
            Length::Known(length) => (*length as f64 * (1.0 + self.steps.probability)) as u64,
            Length::Reading(meter) => (sent as f64 / meter.fraction().max(f64::EPSILON)) as u64,
        }
    }
}

impl Iterator for Steps {
    type Item = Result<Step, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.steps.next()
    }
}

/// The operations of a trace in its order.
struct Operations {
    trace: Trace,
    fan_out: Option<Operation>,
}

impl Iterator for Operations {
    type Item = Result<Operation, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(fan_out) = self.fan_out.take() {
            return Some(Ok(fan_out));
        }
        let message = self.trace.next()?;
        Some(message.map(|message| {
            let (ack, fan_out) = Operation::of(message);
            self.fan_out = fan_out;
            ack
        }))
    }
}

fn shuffled(mut operations: Vec<Operation>, seed: u64) -> Vec<Operation> {
    operations.shuffle(&mut StdRng::seed_from_u64(seed));
    operations
}

/// Sends some operations a second time, some random number of operations after the first.
struct Duplicates<I> {
    operations: I,
    probability: f64,
    rng: StdRng,
    sent: u64,
    /// By the number of operations after which each is due.
    waiting: BinaryHeap<Reverse<(u64, Operation)>>,
}

impl<I> Duplicates<I> {
    fn new(operations: I, probability: f64, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_add(1));
        Self { operations, probability, rng, sent: 0, waiting: BinaryHeap::new() }
    }

    /// A duplicate whose time has come.
    fn due(&mut self) -> Option<Step> {
        let Reverse((due, _)) = self.waiting.peek()?;
        if *due > self.sent { None } else { self.earliest() }
    }

    fn earliest(&mut self) -> Option<Step> {
        let Reverse((_, operation)) = self.waiting.pop()?;
        Some(Step { operation, duplicate: true })
    }

    fn first(&mut self, operation: Operation) -> Step {
        self.sent += 1;
        if self.probability > 0.0 && self.rng.random_bool(self.probability) {
            let due = self.sent + self.rng.random_range(1..=DUPLICATE_LAG_MAX);
            self.waiting.push(Reverse((due, operation.clone())));
        }
        Step { operation, duplicate: false }
    }
}

impl<I: Iterator<Item = Result<Operation, InputError>>> Iterator for Duplicates<I> {
    type Item = Result<Step, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(step) = self.due() {
            return Some(Ok(step));
        }
        match self.operations.next() {
            Some(operation) => Some(operation.map(|operation| self.first(operation))),
            None => self.earliest().map(Ok),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: u64 = 1_000;

    fn numbered(count: u64) -> Vec<Operation> {
        (1..=count).map(|message| Operation::Ack { user: 1, channel: 2, message }).collect()
    }

    fn duplicated(operations: &[Operation], probability: f64, seed: u64) -> Vec<Step> {
        let operations = operations.iter().cloned().map(Ok);
        Duplicates::new(operations, probability, seed).collect::<Result<_, _>>().unwrap()
    }

    /// Two operations for every message with an odd number, one for the others.
    fn schedule(directory: &tempfile::TempDir) -> Schedule {
        let mut text = "ts_ms,event,user_id,channel_id,message_id,mentioned_user_ids\n".to_owned();
        for message in 1..=MESSAGES {
            let mentioned = if message % 2 == 1 { "7 8" } else { "" };
            text += &format!("{message},message,5,6,{message},{mentioned}\n");
        }
        let trace = directory.path().join("t.csv");
        std::fs::write(&trace, text).unwrap();
        Schedule { trace, limit: None, shuffle: None, duplicate: 0.0 }
    }

    fn steps(schedule: &Schedule) -> Vec<Step> {
        schedule.open().unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn without_a_seed_the_order_is_that_of_the_trace() {
        let directory = tempfile::tempdir().unwrap();
        let steps = steps(&schedule(&directory));
        assert_eq!(steps.len() as u64, MESSAGES + MESSAGES / 2);
        assert!(matches!(steps[0].operation, Operation::Ack { message: 1, .. }));
        assert!(matches!(steps[1].operation, Operation::FanOut { message: 1, .. }));
        assert!(matches!(steps[2].operation, Operation::Ack { message: 2, .. }));
        assert!(steps.iter().all(|step| !step.duplicate));
    }

    #[test]
    fn a_shuffle_keeps_every_operation_and_repeats_by_its_seed() {
        let directory = tempfile::tempdir().unwrap();
        let plain = schedule(&directory);
        let shuffled = |seed| steps(&Schedule { shuffle: Some(seed), ..plain.clone() });
        let in_order = steps(&plain);
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        assert_ne!(shuffled(1), in_order);
        let (mut a, mut b) = (shuffled(1), in_order);
        a.sort();
        b.sort();
        assert_eq!(a, b);
    }

    #[test]
    fn a_shuffle_parts_the_mentions_of_a_message_from_its_ack() {
        let directory = tempfile::tempdir().unwrap();
        let steps = steps(&Schedule { shuffle: Some(3), ..schedule(&directory) });
        let message = |step: &Step| match step.operation {
            Operation::Ack { message, .. } | Operation::FanOut { message, .. } => message,
        };
        let together = steps.windows(2).filter(|pair| message(&pair[0]) == message(&pair[1]));
        let together = together.count() as u64;
        assert!(together < MESSAGES / 50, "{together} messages still have both in a row");
    }

    #[test]
    fn duplicates_come_after_the_first_sending_and_nothing_is_lost() {
        let operations = numbered(10_000);
        let steps = duplicated(&operations, 0.1, 7);
        let firsts: Vec<_> = steps
            .iter()
            .filter(|step| !step.duplicate)
            .map(|step| step.operation.clone())
            .collect();
        assert_eq!(firsts, operations);
        let mut seen = HashSet::new();
        for step in &steps {
            let Operation::Ack { message, .. } = step.operation else { unreachable!() };
            assert_eq!(seen.insert(message), !step.duplicate, "{step:?}");
        }
        let duplicates = steps.len() - operations.len();
        assert!((800..1_200).contains(&duplicates), "{duplicates} of 1,000 expected");
    }

    #[test]
    fn duplicates_repeat_by_their_seed() {
        let operations = numbered(2_000);
        assert_eq!(duplicated(&operations, 0.5, 7), duplicated(&operations, 0.5, 7));
        assert_ne!(duplicated(&operations, 0.5, 7), duplicated(&operations, 0.5, 8));
    }

    #[test]
    fn certain_duplicates_send_everything_twice_and_spread_them_over_the_run() {
        let count = 2 * DUPLICATE_LAG_MAX;
        let steps = duplicated(&numbered(count), 1.0, 7);
        assert_eq!(steps.len() as u64, 2 * count);
        let first = steps.iter().position(|step| step.duplicate).unwrap();
        let last = steps.iter().rposition(|step| !step.duplicate).unwrap();
        assert!(first < last, "duplicates wait for the end");
    }

    #[test]
    fn users_are_all_authors_and_all_mentioned() {
        let directory = tempfile::tempdir().unwrap();
        let users = schedule(&directory).users().unwrap();
        assert_eq!(users, HashSet::from([5, 7, 8]));
    }

    #[test]
    fn the_limit_counts_messages_and_not_operations() {
        let directory = tempfile::tempdir().unwrap();
        let steps = steps(&Schedule { limit: Some(2), ..schedule(&directory) });
        assert_eq!(steps.len(), 3);
    }
}
