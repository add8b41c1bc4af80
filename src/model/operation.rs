//! What can be asked of a read state, and under which condition.

use super::{MessageId, ReadState, Version};

/// An operation on one read state. Watermarks may be 0 ("nothing read") where they go backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the contract's requests")]
pub enum Operation {
    /// Moves the watermark forward and drops the mentions it passes.
    Ack { message: MessageId, flags: Option<u32>, last_viewed_day: Option<u32> },
    /// Counts one message's mention, once.
    Mention { message: MessageId, initial_acked_id: Option<u64> },
    /// Adds mentions without a position, once per call.
    Increment { count: u32, initial_acked_id: Option<u64> },
    /// Sets the mention count to 0.
    Reset,
    /// Sets the watermark anywhere, and the user's own dot.
    MarkUnread { last_acked_id: u64, mention_count: Option<u32> },
    /// Moves the watermark for pins forward.
    AckPins { pinned_at_ms: u64 },
    /// Takes one message's mention back.
    Retract { message: MessageId },
    /// Sets the watermark back; the count is that between it and the current watermark.
    Restore { last_acked_id: u64, mention_count: u32, marked_unread: bool },
    /// Leaves a tombstone.
    Delete,
}

/// What became of a mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MentionOutcome {
    /// It was counted.
    Incremented,
    /// It had been counted before.
    Duplicate,
    /// Its message is at or below the watermark.
    AlreadyRead,
}

/// The conditions under which an operation is done at all; without any it always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// The state must have this version; 0 means that it must not exist.
    pub version: Option<Version>,
    /// The watermark must be this one.
    pub last_acked_id: Option<u64>,
}

/// A guard did not match; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The current version; 0 where there is no state.
    pub current: Version,
}

impl Guard {
    /// Checks the conditions, before anything else and for calls that would change nothing too.
    ///
    /// # Errors
    /// Where one does not match. A tombstone matches both 0 and its own version.
    pub fn check(&self, state: &ReadState) -> Result<(), Mismatch> {
        let version_matches = self.version.is_none_or(|expected| {
            expected == state.version() || (expected == Version::ZERO && !state.exists())
        });
        let watermark_matches =
            self.last_acked_id.is_none_or(|expected| expected == state.last_acked_id());
        if version_matches && watermark_matches {
            return Ok(());
        }
        Err(Mismatch { current: state.version() })
    }
}

/// An operation and its guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// What to do.
    pub operation: Operation,
    /// Under which condition.
    pub guard: Guard,
}

impl From<Operation> for Update {
    fn from(operation: Operation) -> Self {
        Self { operation, guard: Guard::default() }
    }
}
