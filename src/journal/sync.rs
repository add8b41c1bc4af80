//! The one door through which locks and atomics come into this room, so that a scheduler can
//! stand in.

pub(super) use parking_lot::{Condvar, Mutex};
pub(super) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
