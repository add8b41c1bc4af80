//! What a call may do to one state, told to a model that knows nothing of how the server does it.

use readstates::proto::{MentionOutcome, operation::Operation};

use crate::naive::Naive;

/// One change of one state.
#[derive(Clone, Debug)]
pub enum Act {
    Operation(Operation),
    /// The mention of this message is taken back.
    Retract(u64),
    /// An ack is undone that was done just now on a state like this.
    Undo(Box<Naive>),
}

impl Act {
    /// The state after it, whether that differs, and what became of a mention.
    pub fn on(&self, before: &Naive) -> (Naive, bool, MentionOutcome) {
        let mut after = before.clone();
        let (changed, outcome) = match self {
            Self::Operation(operation) => after.apply(operation),
            Self::Retract(id) => (after.retract(*id), MentionOutcome::Unspecified),
            Self::Undo(acked) => {
                after.undo_ack(acked);
                (after != *before, MentionOutcome::Unspecified)
            }
        };
        (after, changed, outcome)
    }

    /// The version that the state must have for this to be done at all.
    pub fn guard(&self) -> Option<u64> {
        match self {
            Self::Operation(Operation::Ack(request)) => request.expected_version,
            Self::Operation(Operation::Reset(request)) => request.expected_version,
            Self::Operation(Operation::MarkUnread(request)) => request.expected_version,
            Self::Operation(Operation::Delete(request)) => request.expected_version,
            _ => None,
        }
    }
}
