//! The state under test, used as the cache uses it: guard, operation, and a version if it changed.

use readstates::model::{
    Guard, LEDGER_MAX, MentionOutcome, MessageId, Operation, ReadState, Version, View,
};

/// A message id for tests, where 0 is a mistake.
pub fn message(id: u64) -> MessageId {
    MessageId::new(id).expect("tests name messages above 0")
}

pub fn ack(id: u64) -> Operation {
    Operation::Ack { message: message(id), flags: None, last_viewed_day: None }
}

pub fn mention(id: u64) -> Operation {
    Operation::Mention { message: message(id), initial_acked_id: None }
}

pub fn mention_from(id: u64, initial_acked_id: u64) -> Operation {
    Operation::Mention { message: message(id), initial_acked_id: Some(initial_acked_id) }
}

pub fn increment(count: u32) -> Operation {
    Operation::Increment { count, initial_acked_id: None }
}

pub fn mark_unread(last_acked_id: u64, mention_count: Option<u32>) -> Operation {
    Operation::MarkUnread { last_acked_id, mention_count }
}

pub fn retract(id: u64) -> Operation {
    Operation::Retract { message: message(id) }
}

pub fn restore(last_acked_id: u64, mention_count: u32) -> Operation {
    Operation::Restore { last_acked_id, mention_count, marked_unread: false }
}

/// What an operation answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub changed: bool,
    pub outcome: Option<MentionOutcome>,
}

/// One state and the clock of its user.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    pub state: ReadState,
    clock: Version,
}

impl Subject {
    /// A state that has seen these operations.
    pub fn after(operations: &[Operation]) -> Self {
        let mut subject = Self::default();
        for operation in operations {
            subject.apply(operation);
        }
        subject
    }

    pub fn apply(&mut self, operation: &Operation) -> Answer {
        let transition = self.state.apply(operation);
        if transition.changed {
            self.clock = self.clock.next();
            self.state.set_version(self.clock);
        }
        Answer { changed: transition.changed, outcome: transition.outcome }
    }

    /// As [`Self::apply`]; `None` where the guard refuses.
    pub fn guarded(&mut self, operation: &Operation, guard: &Guard) -> Option<Answer> {
        guard.check(&self.state).ok()?;
        Some(self.apply(operation))
    }

    pub fn view(&self) -> View {
        self.state.view()
    }

    /// Watermark and count, which most scenarios are about.
    pub fn position(&self) -> (u64, u32) {
        (self.state.last_acked_id(), self.state.mention_count())
    }

    /// Checks what holds of every state, whatever was done to it.
    pub fn check(&self) {
        let parts = self.state.to_parts();
        let bound = parts.last_acked_id.max(parts.fold_top);
        for ids in [&parts.counted, &parts.zeroed] {
            assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "not sorted: {parts:?}");
            assert!(ids.iter().all(|id| *id > bound), "an id at or below {bound}: {parts:?}");
        }
        assert!(parts.zeroed.iter().all(|id| !parts.counted.contains(id)), "shared: {parts:?}");
        assert!(parts.counted.len() + parts.zeroed.len() <= LEDGER_MAX, "too long: {parts:?}");
        assert!(parts.fold_top == 0 || parts.fold_top > parts.last_acked_id, "{parts:?}");
        let sum =
            parts.counted.len() as u64 + u64::from(parts.folded) + u64::from(parts.unpositioned);
        let sum = u32::try_from(sum).unwrap_or(u32::MAX);
        assert_eq!(self.state.mention_count(), sum, "{parts:?}");
        if self.state.version() != Version::ZERO {
            let again = ReadState::from_parts(parts.clone());
            assert_eq!(again.expect("a state's own parts are valid"), self.state, "{parts:?}");
        }
        if self.state.is_deleted() {
            assert_eq!(self.state, ReadState::tombstone(self.state.version()));
        }
    }
}
