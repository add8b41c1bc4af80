//! Write-behind: what is due goes to the store in batches, and is clean once the store says so.
//!
//! One thread runs everything here: a key is in at most one commit at a time (I12), and a commit
//! that hangs holds up no request. Beside the passes it keeps the clock's ceiling ahead, lets
//! tombstones expire, and looks how long the store takes: a write that hangs is told of, and the
//! journal is kept short without it.

mod backoff;
mod ceiling;
mod flusher;
mod journal_log;
mod journaled;
mod older;
mod rounds;
mod thread;
mod under_way;
mod upkeep;

pub use ceiling::raise_ceiling;
pub use flusher::{FlushSettings, Flusher, PassEnd, Scope};
pub use journal_log::JournalLog;
pub use journaled::{JournaledError, UNPERSISTED_BYTES_MAX};
pub use older::{Met, Newer};
pub use rounds::{FlushFailed, Rounds};
pub use thread::{FlushThread, run};
pub use upkeep::WRITE_HANGS_AFTER_MS;
