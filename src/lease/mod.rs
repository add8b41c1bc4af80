//! One writer at a time: two services on one keyspace would overwrite each other's users, so a
//! service takes a lease before it serves, and serves only while it holds it.
//!
//! The lease is one row {owner, incarnation, beat, epoch, ceiling} that only lightweight
//! transactions touch. Its owner renews it every second, by a further beat. Who else wants it
//! watches the beat, and takes over once it stands still.
//!
//! # Why there are never two
//!
//! - **L1** No row is written twice: every write, whatever becomes of it, has a beat that its
//!   incarnation has not used before. So who sees the same row twice knows that nothing happened
//!   in between, however long he slept; and a swap of a row that was replaced is in vain for ever.
//! - **L2** An owner believes in its lease until [`HELD_FOR`] after the moment *before it sent*
//!   the swap that was then confirmed. The row is thus never older than that belief.
//! - **L3** A watcher takes over a row of another's that he *first received* at least
//!   [`TAKE_OVER_AFTER`] ago, on his own clock, and only if it is still that row.
//!
//! So from the row's being written, the owner believes in it for 5 s of his clock at most, and
//! nobody replaces it for 8 s of the other's at least. No clock is compared with another: only
//! their speeds count, and those may differ by more than a half (8 : 5) before two would believe at
//! once; both 10 % off, each to the wrong side, still leave 1.7 s between them. The clock goes on
//! through a suspend ([`BootClock`]), so that a sleeper wakes with a lease that has lapsed.
//!
//! What neither clock nor check can hold back is what is already under way: a write that was sent
//! in time and lands late. That is what the fence is for:
//!
//! - **L4** No owner gives out a version above the row's ceiling, and none reaches the store
//!   ([`Leased`]). The next owner's versions begin above the ceiling that it finds, which is final:
//!   it took the place of exactly that row. So a late write of the old owner is older than anything
//!   the new one writes, in every cell, whatever the old one's clock says.
//!
//! A lease covers a whole keyspace. Where many nodes share one, each slot of it will have a row.

mod acquire;
mod boot_clock;
mod error;
mod holding;
mod leased;
mod settle;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use acquire::Acquire;
pub use boot_clock::BootClock;
pub use error::{AcquireError, LeaseError, NotOwner};
pub use holding::Lease;
pub use leased::Leased;
pub use settle::ANSWER_WITHIN;

/// The owner writes a further beat this often.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);
/// The lease is good for so long after the send of what was last confirmed (L2).
pub const HELD_FOR: Duration = Duration::from_secs(5);
/// A beat that stands still for so long is that of a dead owner (L3).
pub const TAKE_OVER_AFTER: Duration = Duration::from_secs(8);
/// Who wants the lease looks at the row this often.
pub const POLL_EVERY: Duration = Duration::from_millis(500);
/// Who follows the lease looks at it this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A start without `--standby` gives up once the database has not answered for so long.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

// Clocks whose speeds differ by up to 10 % each, with a second to spare.
const _: () = assert!(TAKE_OVER_AFTER.as_millis() * 9 / 11 >= HELD_FOR.as_millis() + 1000);

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
