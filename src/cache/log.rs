//! Where a shard writes down what it changed, before anybody can see it.

use crate::model::{Key, ReadState, Sequence, UserId, Version};

/// Takes post-states in the order of their versions (I7).
///
/// Called under a shard's lock: it must neither wait nor do I/O (I1). Whoever makes a change has
/// seen to it before that there is room for its record.
pub trait Log: Send + Sync {
    /// Takes the state that `key` has from now on; the number of its record.
    fn append_state(&self, key: &Key, state: &ReadState) -> Sequence;

    /// Takes that everything `user` had up to `version` is gone; the number of the record.
    fn append_deletion(&self, user: UserId, version: Version) -> Sequence;
}

/// Takes nothing down: what is in memory only is lost with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl Log for NoLog {
    fn append_state(&self, _: &Key, _: &ReadState) -> Sequence {
        Sequence::ZERO
    }

    fn append_deletion(&self, _: UserId, _: Version) -> Sequence {
        Sequence::ZERO
    }
}
