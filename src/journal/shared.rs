//! What the handles of a journal, its writer and its threads share.
//!
//! Locks, from the outermost: the folder's (held over I/O), the books', then one of: the spare's
//! and under it the limit's; the tail's. The tail's alone is also locked under a shard's (I1).

use std::sync::{Arc, OnceLock};

use tracing::error;

use crate::{
    clock::Clock,
    metrics::JournalMetrics,
    model::{Sequence, Version},
};

use super::{
    Disk, JournalError,
    allowance::{Allowance, Taken},
    bell::Bell,
    books::Books,
    durable::Durable,
    limits::{Limits, RESERVED_BYTES},
    spare::Spares,
    sync::{AtomicU64, Mutex, Ordering},
    tail::Tail,
};

/// Who watches the journal.
pub(super) struct Observer {
    pub clock: Clock,
    pub metrics: JournalMetrics,
}

pub(super) struct Shared {
    pub disk: Arc<dyn Disk>,
    pub limits: Limits,
    pub tail: Tail,
    pub allowance: Allowance,
    pub durable: Durable,
    pub bell: Bell,
    pub spares: Spares,
    pub books: Mutex<Books>,
    /// One at a time changes the folder's names. A sync of the folder that failed may have lost a
    /// name of another's, whose own sync then would succeed: so whoever sees one fail ends the
    /// journal before it lets go of this.
    pub folder: Mutex<()>,
    pub observer: OnceLock<Observer>,
    /// Bytes of the group that is being written.
    pub writing_bytes: AtomicU64,
    /// When the horizon last moved or had nothing to move over, on the observer's clock.
    pub progress_ms: AtomicU64,
    /// Records recovered at the start, and microseconds that took.
    pub recovered: (AtomicU64, AtomicU64),
}

impl Shared {
    pub fn append(&self, put: impl FnOnce(&mut Vec<u8>)) -> Sequence {
        self.tail.append(&self.allowance, put)
    }

    pub fn append_ceiling(&self, ceiling: Version) -> Sequence {
        self.tail.append_ceiling(&self.allowance, ceiling)
    }

    /// As [`Self::append_ceiling`], also where it is lower than those before.
    pub fn append_last_ceiling(&self, ceiling: Version) -> Sequence {
        self.tail.append_last_ceiling(&self.allowance, ceiling)
    }

    /// Wakes the writer where something waits for it.
    pub fn nudge(&self) {
        if self.tail.last() > self.durable.now() {
            self.bell.ring();
        }
    }

    /// Ends the journal: nothing is acknowledged any more (I10).
    pub fn fail(&self, why: &JournalError) {
        if self.durable.end(JournalError::Failed(Arc::new(why.clone()))) {
            error!(error = %why, "the journal failed");
        }
        self.allowance.call();
    }

    /// Ends it in order.
    pub fn close(&self) {
        self.durable.end(JournalError::Closed);
        self.allowance.call();
    }

    pub fn observed(&self, tell: impl FnOnce(&JournalMetrics)) {
        if let Some(observer) = self.observer.get() {
            tell(&observer.metrics);
        }
    }

    /// The horizon moved, or there is nothing behind it.
    pub fn note_progress(&self) {
        if let Some(observer) = self.observer.get() {
            self.progress_ms.store(observer.clock.elapsed_ms(), Ordering::Relaxed);
        }
    }

    /// Takes room for `records`, where there is some at once.
    pub fn try_reserve(&self, records: usize) -> Option<i64> {
        let bytes = records as i64 * RESERVED_BYTES;
        let is_fit = records <= self.limits.records_max() && !self.durable.is_ended();
        (is_fit && self.allowance.try_take(bytes)).then_some(bytes)
    }

    /// Takes room for `records`, at once or when there is some.
    pub async fn reserve(&self, records: usize) -> Result<i64, JournalError> {
        let records_max = self.limits.records_max();
        if records > records_max {
            return Err(JournalError::TooMany { records, records_max });
        }
        if let Some(bytes) = self.try_reserve(records) {
            return Ok(bytes);
        }
        if let Some(end) = self.durable.ended() {
            return Err(end);
        }
        let bytes = records as i64 * RESERVED_BYTES;
        match self.allowance.take(bytes, || self.durable.is_ended()).await {
            Some(Taken::Yes) => Ok(bytes),
            Some(_) => Err(self.disk_full()),
            None => Err(self.durable.ended().unwrap_or(JournalError::Closed)),
        }
    }

    /// Why the disk takes nothing new.
    pub fn disk_full(&self) -> JournalError {
        let why = self.spares.refusal().unwrap_or_else(|| "it was a moment ago".to_owned());
        let what = format!("{why}; free some, it goes on by itself");
        JournalError::DiskFull { folder: self.disk.path(), what }
    }
}
