//! The one door through which locks come into this room, so that a scheduler can stand in.

pub(super) use parking_lot::Mutex;
