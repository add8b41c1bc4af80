//! One pass of write-behind: collect what is due, commit it, settle what became of it.

use std::{sync::Arc, time::Instant};

use tracing::{debug, info, warn};

use crate::{
    cache::{Cache, UserDeletion},
    clock::Clock,
    journal::{Journal, JournalError},
    metrics::{Metrics, StoreOperation},
    model::{Key, ReadState, Version},
    store::{Batch, CommitNumber, CommitReport, Row, Store, StoreError},
};

use super::{
    journaled::{Journaled, JournaledError},
    under_way::UnderWay,
};

/// States that are collected in one hold of a shard's lock: whoever is served there meanwhile waits
/// for some microseconds only.
const COLLECTED_PER_HOLD: usize = 32;
/// Rows that are looked at in one step of deleting a user.
const DELETION_STEP_ROWS: usize = 1024;
/// Tombstones removed in one step of expiry.
const EXPIRY_STEP_ROWS: usize = 1024;
/// The part of their time that tombstones are kept beyond it.
const EXPIRY_SLACK: u64 = 16;

/// How write-behind behaves.
#[derive(Clone, Copy, Debug)]
pub struct FlushSettings {
    /// Milliseconds from the first unflushed change of a state to its commit.
    pub flush_after_ms: u64,
    /// Rows in one commit at most.
    pub batch_rows: usize,
    /// Milliseconds that tombstones and marks of deleted users are kept.
    pub tombstone_ttl_ms: u64,
    /// Milliseconds from a commit to the moment when the store has persisted it and the journal
    /// may forget it.
    pub persist_after_ms: u64,
}

/// What a pass takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What was evicted, and what was first changed `flush_after_ms` ago or earlier.
    Due,
    /// Everything that is dirty when the pass begins.
    Everything,
}

/// How a pass ended. The worse is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PassEnd {
    /// Everything in its scope is in the store.
    Done,
    /// Nothing failed, but it ended before it had everything: so much came up meanwhile, or a
    /// user's deletion had only just begun.
    Cut,
    /// The store is well but did not take some rows or deletions. They stay dirty, no others.
    Refused,
    /// The store took less than that; the rest stays dirty.
    Failed,
}

/// What a pass has in its hands.
#[derive(Default)]
struct Collected {
    rows: Vec<(Key, ReadState)>,
    /// Left out of commits by the store, each alone. They stay in flight until the pass ends, so
    /// that it does not take them again, and again, before it gets to all others.
    refused: Vec<(Key, Version)>,
}

/// Brings dirty states to the store. Every method is one step, so that a test can take them apart.
pub struct Flusher {
    pub(super) cache: Arc<Cache>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: FlushSettings,
    pub(super) journaled: Option<Journaled>,
    pub(super) under_way: UnderWay,
}

impl Flusher {
    /// Settings of 0 rows per batch are taken as 1.
    pub fn new(
        cache: Arc<Cache>,
        store: Arc<dyn Store>,
        clock: Clock,
        metrics: Arc<Metrics>,
        settings: FlushSettings,
    ) -> Self {
        let settings = FlushSettings { batch_rows: settings.batch_rows.max(1), ..settings };
        let under_way = UnderWay::default();
        Self { cache, store, clock, metrics, settings, journaled: None, under_way }
    }

    /// Commits only what is durable in `journal`, and lets go what the journal needs no more.
    /// `commits` is what the store had persisted, as the journal knows it.
    pub fn with_journal(mut self, journal: Journal, commits: CommitNumber) -> Self {
        self.journaled = Some(Journaled::new(journal, commits));
        self
    }

    /// Half of the dirty places are taken: what is not due yet has to go too, or updates are
    /// refused soon.
    pub fn is_pressed(&self) -> bool {
        self.cache.dirty() >= self.cache.sizing().dirty_limit.div_ceil(2)
    }

    /// Brings what is in `scope` to the store. Where a commit fails as a whole it ends; rows that
    /// fail alone, and users that cannot be deleted, hold up no others.
    pub async fn pass(&self, scope: Scope) -> PassEnd {
        let now_ms = self.clock.elapsed_ms();
        let changed_before_ms = match scope {
            Scope::Everything => u64::MAX,
            Scope::Due => now_ms.checked_sub(self.settings.flush_after_ms).map_or(0, |ms| ms + 1),
        };
        let deleted = self.delete_users().await;
        let mut collected = Collected::default();
        let written = self.pass_shards(changed_before_ms, &mut collected).await;
        let refused =
            if self.put_back(&collected.refused) { PassEnd::Refused } else { PassEnd::Done };
        deleted.max(written).max(refused)
    }

    async fn pass_shards(&self, changed_before_ms: u64, collected: &mut Collected) -> PassEnd {
        let mut end = PassEnd::Done;
        for shard in 0..self.cache.shards() {
            end = end.max(self.pass_shard(shard, changed_before_ms, collected).await);
            if end == PassEnd::Failed {
                return end;
            }
        }
        end.max(self.commit(collected).await)
    }

    /// Collects from one shard until nothing in scope is left there. What becomes due meanwhile is
    /// bounded by what the cache can hold, and waits for the next pass beyond that. As evicted
    /// states go first, it may be in front of what was dirty before: then the pass is cut.
    async fn pass_shard(
        &self,
        shard: usize,
        changed_before_ms: u64,
        collected: &mut Collected,
    ) -> PassEnd {
        let most = self.cache.sizing().entries;
        let mut taken = 0;
        let mut more = true;
        while more && taken <= most {
            let rows = &mut collected.rows;
            let before = rows.len();
            let room = COLLECTED_PER_HOLD.min(self.settings.batch_rows - before);
            more = self.cache.collect_due(shard, changed_before_ms, room, rows);
            taken += rows.len() - before;
            let full = rows.len() >= self.settings.batch_rows;
            if full && self.commit(collected).await == PassEnd::Failed {
                return PassEnd::Failed;
            }
        }
        if more { PassEnd::Cut } else { PassEnd::Done }
    }

    /// Commits what is collected. Fails only as a whole.
    async fn commit(&self, collected: &mut Collected) -> PassEnd {
        let Collected { rows, refused } = collected;
        if rows.is_empty() {
            return PassEnd::Done;
        }
        let keys: Vec<(Key, Version)> =
            rows.iter().map(|(key, state)| (*key, state.version())).collect();
        let rows: Vec<Row> = rows.drain(..).map(|(key, state)| Row { key, state }).collect();
        if !self.may_commit().await {
            self.put_back(&keys);
            return PassEnd::Failed;
        }
        let kept = self.journaled.as_ref().map(|_| rows.clone());
        let started = Instant::now();
        // Beside a journal nothing rests on the store's own log before it has persisted.
        let durable = self.journaled.is_none();
        let write = self.under_way.begin(self.clock.elapsed_ms());
        let upto = self.journaled.as_ref().map(Journaled::upto);
        let result = self.store.commit(Batch { rows, durable, upto }).await;
        drop(write);
        self.metrics.store.record(
            StoreOperation::Commit,
            started.elapsed(),
            result.as_ref().err().map(StoreError::kind),
        );
        self.metrics.flush.seconds.observe(started.elapsed().as_secs_f64());
        match result {
            Ok(report) => {
                self.metrics.flush.batches.inc();
                let _settling = self.settling().await;
                self.keep(kept, &report);
                self.settle(&keys, report, refused);
                PassEnd::Done
            }
            Err(error) => {
                warn!(%error, rows = keys.len(), "commit failed; its rows stay dirty");
                self.metrics.flush.failures.inc();
                self.put_back(&keys);
                PassEnd::Failed
            }
        }
    }

    fn settle(
        &self,
        keys: &[(Key, Version)],
        report: CommitReport,
        refused: &mut Vec<(Key, Version)>,
    ) {
        let now_ms = self.clock.elapsed_ms();
        let mut failed = report.failed;
        failed.sort_unstable();
        let refused_before = refused.len();
        for (key, version) in keys {
            if failed.binary_search(key).is_ok() {
                refused.push((*key, *version));
            } else {
                self.cache.settle(key, *version, true, now_ms);
            }
        }
        let failed = refused.len() - refused_before;
        self.metrics.flush.rows.inc_by((keys.len() - failed) as u64);
        if failed > 0 {
            self.metrics.flush.failures.inc();
            warn!(rows = keys.len(), failed, "rows of a commit failed; they stay dirty");
        }
    }

    /// Returns once everything that was changed until now is durable, where there is a journal.
    async fn durable(&self) -> Result<(), JournalError> {
        match &self.journaled {
            Some(journaled) => journaled.durable().await,
            None => Ok(()),
        }
    }

    /// Remembers what the store has confirmed but perhaps not persisted.
    fn keep(&self, rows: Option<Vec<Row>>, report: &CommitReport) {
        if let (Some(journaled), Some(rows)) = (&self.journaled, rows) {
            journaled.keep(rows, report, self.clock.elapsed_ms());
        }
    }

    /// Whether what was collected may be committed: once it is durable in the journal (I8), and
    /// while the store persists what it got before.
    async fn may_commit(&self) -> bool {
        if let Err(error) = self.durable().await {
            warn!(%error, "not in the journal; nothing is committed");
            return false;
        }
        let full = self.journaled.as_ref().is_some_and(Journaled::is_full);
        !full || self.persist().await == PassEnd::Done
    }

    /// Makes rows that were not written wait for the next pass; whether there are any.
    fn put_back(&self, keys: &[(Key, Version)]) -> bool {
        let now_ms = self.clock.elapsed_ms();
        for (key, version) in keys {
            self.cache.settle(key, *version, false, now_ms);
        }
        self.metrics.flush.retries.inc_by(keys.len() as u64);
        !keys.is_empty()
    }

    async fn delete_users(&self) -> PassEnd {
        let (deletions, withheld) = self.cache.offered_deletions();
        let mut end = if withheld { PassEnd::Cut } else { PassEnd::Done };
        if !deletions.is_empty() && self.durable().await.is_err() {
            return PassEnd::Failed;
        }
        for deletion in deletions {
            let started = Instant::now();
            let result = self.delete_user(deletion).await;
            self.metrics.store.record(
                StoreOperation::DeleteUser,
                started.elapsed(),
                result.as_ref().err().map(StoreError::kind),
            );
            let Err(error) = result else { continue };
            warn!(%error, "deletion of a user failed; it stays hidden in memory");
            debug!(error = error.named(), "whose deletion failed");
            // What is damaged is so for this user; anything else is likely to be so for all.
            if !matches!(error, StoreError::Corrupt(_)) {
                return PassEnd::Failed;
            }
            end = PassEnd::Refused;
        }
        end
    }

    /// Frees what is in memory of a deleted user, then removes the rows. Every state that the
    /// deletion hides is in the store or was purged with the dirty index; so once the rows are
    /// walked none is left in memory, and the deletion need not hide any more.
    async fn delete_user(&self, deletion: UserDeletion) -> Result<(), StoreError> {
        let UserDeletion { user, version } = deletion;
        let mut after = None;
        loop {
            let page = self.store.load_user(user, after, DELETION_STEP_ROWS).await?;
            let keys: Vec<Key> = page.rows.iter().map(|row| row.key).collect();
            self.cache.purge_older(user, &keys, version);
            if keys.len() < DELETION_STEP_ROWS {
                break;
            }
            after = keys.last().copied();
        }
        let write = self.under_way.begin(self.clock.elapsed_ms());
        let deleted = self.store.delete_user(user, version).await;
        drop(write);
        deleted?;
        let _settling = self.settling().await;
        if let Some(journaled) = &self.journaled {
            journaled.keep_deletion(deletion, self.clock.elapsed_ms());
        }
        self.cache.settle_deletion(deletion);
        Ok(())
    }

    /// Removes tombstones that were kept long enough; whether more of them may be left.
    ///
    /// # Errors
    /// Those of the store; the next turn goes on where this one ended.
    pub async fn expire(&self) -> Result<bool, StoreError> {
        let ttl_us = self.settings.tombstone_ttl_ms.saturating_mul(1000);
        // A little longer than deltas reach back, so that none that was begun in time misses one.
        let ttl_us = ttl_us.saturating_add(ttl_us / EXPIRY_SLACK);
        let before = Version::from_micros(self.clock.wall_us().saturating_sub(ttl_us));
        let started = Instant::now();
        let expired = self.store.expire(before, EXPIRY_STEP_ROWS).await;
        self.metrics.store.record(
            StoreOperation::Expire,
            started.elapsed(),
            expired.as_ref().err().map(StoreError::kind),
        );
        let expired = expired?;
        if expired > 0 {
            info!(expired, "tombstones expired");
        }
        Ok(expired >= EXPIRY_STEP_ROWS)
    }

    /// Keeps the clock's ceiling ahead of the versions.
    ///
    /// # Errors
    /// Those of the store or the journal; versions go on up to the old ceiling.
    pub async fn raise_ceiling(&self) -> Result<(), JournaledError> {
        let newest = self.cache.newest_version();
        let Some(journaled) = &self.journaled else {
            return Ok(super::raise_ceiling(&self.clock, self.store.as_ref(), newest).await?);
        };
        if let Some(ceiling) = self.clock.wanted_ceiling(newest) {
            // Who writes there next may not have this journal, and has to begin above it.
            if self.store.is_shared() {
                self.store.raise_clock_ceiling(ceiling).await?;
            }
            journaled.raise_ceiling(ceiling).await?;
            self.clock.raise_ceiling(ceiling);
        }
        Ok(())
    }
}
