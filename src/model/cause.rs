//! Why a watcher is told something.

use super::Operation;

/// What made a change, or what an event is besides one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the contract's of its name")]
pub enum Cause {
    Ack,
    Increment,
    Reset,
    MarkUnread,
    AckPins,
    Retract,
    Restore,
    Delete,
    CatchUp,
    CaughtUp,
    Resync,
}

impl Cause {
    /// All of them, in the contract's order.
    pub const ALL: [Self; 11] = [
        Self::Ack,
        Self::Increment,
        Self::Reset,
        Self::MarkUnread,
        Self::AckPins,
        Self::Retract,
        Self::Restore,
        Self::Delete,
        Self::CatchUp,
        Self::CaughtUp,
        Self::Resync,
    ];
}

impl From<&Operation> for Cause {
    fn from(operation: &Operation) -> Self {
        match operation {
            Operation::Ack { .. } => Self::Ack,
            Operation::Mention { .. } | Operation::Increment { .. } => Self::Increment,
            Operation::Reset => Self::Reset,
            Operation::MarkUnread { .. } => Self::MarkUnread,
            Operation::AckPins { .. } => Self::AckPins,
            Operation::Retract { .. } => Self::Retract,
            Operation::Restore { .. } => Self::Restore,
            Operation::Delete => Self::Delete,
        }
    }
}
