//! What a journal takes, and how far it is, at one moment.

use crate::{metrics::JournalSnapshot, model::Sequence};

use super::{shared::Shared, sync::Ordering};

/// A look at a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all segment files.
    pub bytes: u64,
    /// Segment files.
    pub segments: usize,
    /// Bytes reserved, or appended and not durable yet.
    pub pending_bytes: u64,
    /// The most that they may be, by memory and by the disk.
    pub pending_limit_bytes: u64,
    /// Bytes of records that are appended and not durable yet.
    pub lag_bytes: u64,
    /// The last record appended.
    pub last: Sequence,
    /// The last record that is durable.
    pub durable: Sequence,
    /// The last record that is not needed any more.
    pub horizon: Sequence,
}

impl Usage {
    pub(super) fn of(shared: &Shared) -> Self {
        // In this order, so that what became durable meanwhile does not look as if it came later.
        let durable = shared.durable.now();
        let last = shared.tail.last();
        let writing = shared.writing_bytes.load(Ordering::Relaxed);
        let (pending_bytes, pending_limit_bytes) = shared.allowance.pending_bytes();
        let lag_bytes = writing + shared.tail.payload_bytes() as u64;
        let books = shared.books.lock();
        Self {
            bytes: books.bytes(),
            segments: books.segments(),
            pending_bytes,
            pending_limit_bytes,
            lag_bytes,
            last,
            durable,
            horizon: books.manifest.horizon,
        }
    }

    pub(super) fn snapshot(&self, shared: &Shared) -> JournalSnapshot {
        if self.horizon >= self.last {
            shared.note_progress();
        }
        let now_ms = shared.observer.get().map_or(0, |observer| observer.clock.elapsed_ms());
        let age_ms = now_ms.saturating_sub(shared.progress_ms.load(Ordering::Relaxed));
        let (records, us) = &shared.recovered;
        JournalSnapshot {
            durable_lag_records: self.last.as_u64() - self.durable.as_u64(),
            durable_lag_bytes: self.lag_bytes,
            pending_bytes: self.pending_bytes,
            pending_limit_bytes: self.pending_limit_bytes,
            bytes: self.bytes,
            segments: self.segments as u64,
            checkpoint_age_seconds: age_ms as f64 / 1e3,
            recovery_seconds: us.load(Ordering::Relaxed) as f64 / 1e6,
            recovered_records: records.load(Ordering::Relaxed),
            failed: shared.durable.failure().is_some(),
        }
    }
}
