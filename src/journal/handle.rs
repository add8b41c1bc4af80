//! The handle of a journal: reserve, append, wait until it is durable.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{
    clock::Clock,
    metrics::{JournalSnapshot, Metrics},
    model::{Key, ReadState, Sequence, UserId, Version},
    store::CommitNumber,
};

use super::{
    JournalError, Reservation, Usage,
    record::{put_deletion, put_state},
    shared::{Observer, Shared},
    sync::Ordering,
};

/// An open journal. Clones are the same one.
#[derive(Clone)]
pub struct Journal(pub(super) Arc<Shared>);

impl Journal {
    /// Room for up to `records` records, when there is some. Never ask for more while holding
    /// some: two who do would wait for each other.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`] where the disk has no room for them, which may change;
    /// [`JournalError::Failed`] and [`JournalError::Closed`] where nothing is taken any more;
    /// [`JournalError::TooMany`] where so many never fit, see [`Self::records_max`].
    pub async fn reserve(&self, records: usize) -> Result<Reservation, JournalError> {
        match self.0.reserve(records).await {
            Ok(bytes) => Ok(Reservation::new(Arc::clone(&self.0), bytes)),
            Err(error) => {
                self.0.observed(|metrics| metrics.refuse(error.kind()));
                Err(error)
            }
        }
    }

    /// As [`Self::reserve`], where there is room at once; `None` where one would have to wait, or
    /// be refused.
    pub fn try_reserve(&self, records: usize) -> Option<Reservation> {
        let bytes = self.0.try_reserve(records)?;
        Some(Reservation::new(Arc::clone(&self.0), bytes))
    }

    /// The most records of one reservation.
    pub fn records_max(&self) -> usize {
        self.0.limits.records_max()
    }

    /// Appends what the state of `key` became. The caller holds a [`Reservation`] for it, and may
    /// hold a shard's lock: this neither waits nor allocates (I1). Nothing is durable yet.
    pub fn append_state(&self, key: &Key, state: &ReadState) -> Sequence {
        self.0.append(|bytes| put_state(bytes, key, state))
    }

    /// As [`Self::append_state`], for the deletion of all states of a user up to `version`.
    pub fn append_deletion(&self, user: UserId, version: Version) -> Sequence {
        self.0.append(|bytes| put_deletion(bytes, user, version))
    }

    /// Appends how far versions may rise: up to `ceiling`, or to the highest that this journal has
    /// had while it is open, so that the last one is that of them all. Needs no reservation: some
    /// room is kept for this.
    pub fn append_ceiling(&self, ceiling: Version) -> Sequence {
        let sequence = self.0.append_ceiling(ceiling);
        self.0.nudge();
        sequence
    }

    /// The last record appended.
    pub fn last(&self) -> Sequence {
        self.0.tail.last()
    }

    /// The last record that is durable, with all before it.
    pub fn durable(&self) -> Sequence {
        self.0.durable.now()
    }

    /// Waits until `sequence` is durable; not at all where it is.
    ///
    /// # Errors
    /// [`JournalError::Failed`] and [`JournalError::Closed`]: whether it survives is not known.
    pub async fn reached(&self, sequence: Sequence) -> Result<(), JournalError> {
        if self.durable() >= sequence {
            return Ok(());
        }
        self.0.nudge();
        self.0.durable.reached(sequence).await
    }

    /// Waits until the journal fails, if it ever does.
    pub async fn failed(&self) -> JournalError {
        self.0.durable.failed().await
    }

    /// Why the journal failed, if it did.
    pub fn failure(&self) -> Option<JournalError> {
        self.0.durable.failure()
    }

    /// Wakes the waiters of the runtime that runs this, until the journal ends. One per runtime;
    /// where there is none the writer wakes each waiter itself, which takes its time.
    pub async fn herald(self) {
        self.0.durable.herald().await;
    }

    /// Says that every record up to `horizon` is not needed any more once the store has what it
    /// had persisted at `commits`, and removes segments below it where there are too many. Does
    /// I/O; call it from a thread that may wait.
    ///
    /// # Errors
    /// [`JournalError::Io`] where the disk has no room for a new manifest: nothing changed, a
    /// later call may succeed. [`JournalError::Failed`] where it did otherwise fail: so has the
    /// journal. [`JournalError::Closed`].
    pub fn advance(&self, horizon: Sequence, commits: CommitNumber) -> Result<(), JournalError> {
        self.0.advance(horizon, commits)
    }

    /// Whether what is dirty should be copied to the end, so that segments can go.
    pub fn wants_checkpoint(&self) -> bool {
        self.0.books.lock().wants_checkpoint(self.0.limits.size_bytes)
    }

    /// Says that a checkpoint was made and how many bytes it copied. The next one is wanted once
    /// the journal has twice as many.
    pub fn note_checkpoint(&self, bytes: u64) {
        self.0.books.lock().checkpoint_bytes = bytes;
        self.0.observed(|metrics| metrics.checkpoints.inc());
    }

    /// Says what the recovery before this had to do, for the metrics.
    pub fn note_recovery(&self, records: u64, took: Duration) {
        let (records_place, us_place) = &self.0.recovered;
        records_place.store(records, Ordering::Relaxed);
        us_place.store(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// What the journal takes of memory and disk.
    pub fn usage(&self) -> Usage {
        Usage::of(&self.0)
    }

    /// Counts in `metrics` from now on. Only the first call counts.
    pub fn observe(&self, metrics: &Metrics, clock: Clock) {
        let observer = Observer { clock, metrics: metrics.journal.clone() };
        if self.0.observer.set(observer).is_err() {
            return;
        }
        self.0.note_progress();
        let shared: Weak<Shared> = Arc::downgrade(&self.0);
        metrics.observe_journal(move || {
            shared.upgrade().map_or_else(JournalSnapshot::default, |shared| {
                Usage::of(&shared).snapshot(&shared)
            })
        });
    }
}
