//! What a read state is and how it moves: ids, the state with its ledger, and pure transitions.
//! Nothing here knows of time, threads or storage, so every rule can be tested by itself.

mod cause;
mod extra;
mod id;
mod ledger;
mod merge;
mod operation;
mod parts;
mod state;
mod transition;

pub use cause::Cause;
pub use extra::Extra;
pub use id::{ChannelId, Key, Kind, MessageId, Sequence, UserId, Version};
pub use ledger::{LEDGER_MAX, Ledger};
pub use operation::{Guard, MentionOutcome, Mismatch, Operation, Update};
pub use parts::{InvalidParts, PartialAck, Parts};
pub use state::{ReadState, View};
pub use transition::Transition;
