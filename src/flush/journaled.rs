//! What the flusher does for the journal: it commits only what is durable there, knows what the
//! store has confirmed but not persisted, and so how much of the journal is still needed (I9).

use std::collections::{BTreeMap, HashSet};

use parking_lot::Mutex;
use tracing::warn;

use super::PassEnd;
use crate::{
    cache::{Cache, KEYS_PER_HOLD_MAX, UserDeletion},
    journal::{Journal, JournalError},
    model::{Key, ReadState, Sequence, UserId, Version},
    sabotage::{self, Fault},
    store::{CommitNumber, CommitReport, Row, Store, StoreError},
};

/// Rows and deletions that the store has confirmed and not persisted, at most; then it persists
/// before it gets more.
const UNPERSISTED_MAX: usize = 131_072;
/// Heap parts of those rows, at most; a batch may go beyond it.
const EXTRA_BYTES_MAX: usize = 16 << 20;
/// The memory of all that: a key, a state and their share of the index each, and the heap parts.
pub const UNPERSISTED_BYTES_MAX: u64 = (96 * UNPERSISTED_MAX + EXTRA_BYTES_MAX) as u64;

/// About what a record takes on disk; to tell how much a checkpoint copied.
const RECORD_BYTES: u64 = 64;

/// Why the journal could not be let go.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournaledError {
    /// The store did not persist, or did not take a ceiling.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The journal failed or has no room.
    #[error("{0}")]
    Journal(#[from] JournalError),
}

/// The flusher's view of the journal.
pub(super) struct Journaled {
    journal: Journal,
    unpersisted: Mutex<Unpersisted>,
    /// Held while a checkpoint copies, and while what the store has confirmed becomes clean: a
    /// state that became clean in the midst of it would be in neither part of the copy, or behind
    /// a newer record of itself (I7).
    settling: tokio::sync::Mutex<()>,
}

/// What the store has confirmed since it last persisted.
#[derive(Default)]
struct Unpersisted {
    rows: BTreeMap<Key, ReadState>,
    deletions: BTreeMap<UserId, Version>,
    /// Of all rows that were kept, replaced ones included.
    extra_bytes: usize,
    /// When the first of them was confirmed.
    since_ms: Option<u64>,
    /// What the store had persisted at last.
    commits: CommitNumber,
    /// The journal is being replayed: what of it is still to come is in no dirty state yet, so
    /// none of it may go (I9).
    replaying: bool,
}

impl Unpersisted {
    fn len(&self) -> usize {
        self.rows.len() + self.deletions.len()
    }

    fn keep_deletion(&mut self, UserDeletion { user, version }: UserDeletion) {
        // An older one may come later: what another owner had deleted before.
        let held = self.deletions.entry(user).or_default();
        *held = version.max(*held);
        // Written down anew behind the deletion they would come back.
        let rows = self.rows.range(Key::lowest_of(user)..);
        let rows = rows.take_while(|(key, _)| key.user == user);
        let gone: Vec<Key> =
            rows.filter(|(_, row)| row.version() <= version).map(|(key, _)| *key).collect();
        for key in gone {
            self.rows.remove(&key);
        }
    }
}

impl Journaled {
    pub fn new(journal: Journal, commits: CommitNumber) -> Self {
        let unpersisted = Mutex::new(Unpersisted { commits, ..Unpersisted::default() });
        Self { journal, unpersisted, settling: tokio::sync::Mutex::default() }
    }

    /// The last record that is durable.
    pub fn upto(&self) -> Sequence {
        self.journal.durable()
    }

    /// Returns once everything that was changed until now is durable.
    pub async fn durable(&self) -> Result<(), JournalError> {
        if sabotage::is(Fault::CommitUndurable) {
            return Ok(());
        }
        self.journal.reached(self.journal.last()).await
    }

    /// While this is held no checkpoint is made, and nothing becomes clean elsewhere.
    pub async fn settling(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.settling.lock().await
    }

    pub fn keep(&self, rows: Vec<Row>, report: &CommitReport, now_ms: u64) {
        let mut unpersisted = self.unpersisted.lock();
        unpersisted.since_ms.get_or_insert(now_ms);
        let failed: HashSet<&Key> = report.failed.iter().collect();
        for row in rows.into_iter().filter(|row| !failed.contains(&row.key)) {
            unpersisted.extra_bytes += row.state.extra_bytes();
            unpersisted.rows.insert(row.key, row.state);
        }
    }

    pub fn keep_deletion(&self, deletion: UserDeletion, now_ms: u64) {
        let mut unpersisted = self.unpersisted.lock();
        unpersisted.since_ms.get_or_insert(now_ms);
        unpersisted.keep_deletion(deletion);
    }

    /// The replay of the journal begins, or it ended.
    pub fn set_replaying(&self, replaying: bool) {
        self.unpersisted.lock().replaying = replaying;
    }

    /// As much is kept as may be.
    pub fn is_full(&self) -> bool {
        let unpersisted = self.unpersisted.lock();
        unpersisted.len() >= UNPERSISTED_MAX || unpersisted.extra_bytes >= EXTRA_BYTES_MAX
    }

    /// Something is kept for as long as may be.
    pub fn is_due(&self, now_ms: u64, after_ms: u64) -> bool {
        let since_ms = self.unpersisted.lock().since_ms;
        since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= after_ms)
    }

    pub fn wants_checkpoint(&self) -> bool {
        self.journal.wants_checkpoint()
    }

    /// Lets the store persist, and the journal go as far as that allows.
    pub async fn persist(&self, cache: &Cache, store: &dyn Store) -> Result<(), JournaledError> {
        // Before the store persists: what is needed now for records up to `last` stays needed until
        // it is confirmed, and all that is confirmed now is persisted then.
        let upto = self.needless_upto(cache).await?;
        let commits = if sabotage::is(Fault::AdvanceUnpersisted) {
            self.unpersisted.lock().commits
        } else {
            store.persist().await?
        };
        {
            // Nobody confirms meanwhile: whoever flushes is here.
            let mut unpersisted = self.unpersisted.lock();
            unpersisted.rows = BTreeMap::new();
            unpersisted.deletions = BTreeMap::new();
            unpersisted.extra_bytes = 0;
            unpersisted.since_ms = None;
            unpersisted.commits = commits;
            if unpersisted.replaying && !sabotage::is(Fault::ReplayLetsGo) {
                return Ok(());
            }
        }
        Ok(self.journal.advance(upto, commits)?)
    }

    /// The last record such that it, and all before it, are in the store or replaced by later
    /// records which are durable.
    async fn needless_upto(&self, cache: &Cache) -> Result<Sequence, JournalError> {
        let last = self.journal.last();
        let needed = cache.first_needed();
        // What was unpinned by then was replaced by records that may be newer than `last`.
        self.durable().await?;
        if sabotage::is(Fault::AdvanceUnconfirmed) {
            return Ok(last);
        }
        Ok(needed.map_or(last, |needed| last.min(needed.previous())))
    }

    /// Writes down anew what records until now are needed for, then lets them go. What the store
    /// has confirmed and not persisted is among it, so it is not needed for this that it does.
    pub async fn checkpoint(&self, cache: &Cache) -> Result<(), JournaledError> {
        let _settling = self.settling().await;
        let upto = self.journal.last();
        let (records_before, bytes_before) = (self.journal.last(), self.journal.usage().bytes);
        if !sabotage::is(Fault::CheckpointDirtyOnly) {
            self.copy_unpersisted(cache).await?;
        }
        for shard in 0..cache.shards() {
            self.copy_shard(cache, shard, upto).await?;
        }
        self.durable().await?;
        let commits = self.unpersisted.lock().commits;
        let upto = cache.first_needed().map_or(upto, |needed| upto.min(needed.previous()));
        let records = self.journal.last().as_u64() - records_before.as_u64();
        let files = self.journal.usage().bytes.saturating_sub(bytes_before);
        self.journal.note_checkpoint(files.max(records * RECORD_BYTES));
        Ok(self.journal.advance(upto, commits)?)
    }

    async fn copy_shard(
        &self,
        cache: &Cache,
        shard: usize,
        upto: Sequence,
    ) -> Result<(), JournalError> {
        let chunk = self.chunk();
        let mut more = true;
        while more {
            let _room = self.journal.reserve(chunk).await?;
            more = cache.move_up_deletions(shard, upto, chunk);
        }
        for step in 0.. {
            let _room = self.journal.reserve(chunk).await?;
            if !cache.move_up(shard, upto, step, chunk) {
                break;
            }
        }
        Ok(())
    }

    async fn copy_unpersisted(&self, cache: &Cache) -> Result<(), JournalError> {
        let (rows, deletions) = {
            let unpersisted = self.unpersisted.lock();
            let rows: Vec<(Key, ReadState)> =
                unpersisted.rows.iter().map(|(key, state)| (*key, state.clone())).collect();
            let deletions: Vec<(UserId, Version)> =
                unpersisted.deletions.iter().map(|(user, version)| (*user, *version)).collect();
            (rows, deletions)
        };
        for deletions in deletions.chunks(self.chunk()) {
            let _room = self.journal.reserve(deletions.len()).await?;
            for (user, version) in deletions {
                self.journal.append_deletion(*user, *version);
            }
        }
        for rows in rows.chunks(self.chunk()) {
            let _room = self.journal.reserve(rows.len()).await?;
            for (key, state) in rows {
                cache.copy_flushed(key, state);
            }
        }
        Ok(())
    }

    /// Records that are written down anew at a time: a small journal has no room for more.
    fn chunk(&self) -> usize {
        KEYS_PER_HOLD_MAX.min(self.journal.records_max())
    }

    /// Persists a ceiling of the clock.
    pub async fn raise_ceiling(&self, ceiling: Version) -> Result<(), JournalError> {
        let record = self.journal.append_ceiling(ceiling);
        self.journal.reached(record).await
    }
}

/// What became of the journal, as the end of a pass.
pub(super) fn ended(result: Result<(), JournaledError>, consequence: &str) -> PassEnd {
    match result {
        Ok(()) => PassEnd::Done,
        Err(error) => {
            warn!(%error, "{consequence}");
            PassEnd::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_deletion_of_a_user_does_not_take_the_place_of_a_newer_one() {
        let user = UserId::new(1).expect("not 0");
        let mut unpersisted = Unpersisted::default();
        for (micros, kept) in [(20, 20), (10, 20), (30, 30)] {
            let version = Version::from_micros(micros);
            unpersisted.keep_deletion(UserDeletion { user, version });
            let kept = Version::from_micros(kept);
            assert_eq!(unpersisted.deletions, BTreeMap::from([(user, kept)]));
        }
    }
}
