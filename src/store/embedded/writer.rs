//! Everything that changes the store, one after the other on one thread. Every batch carries the
//! meta row with the next commit number, so a store that lost writes can be told (I11).

use std::{
    thread,
    time::{Duration, Instant},
};

use fjall::{OwnedWriteBatch, PersistMode, Slice};

use crate::{
    model::{UserId, Version},
    store::{Batch, CommitNumber, CommitReport, Row, StoreError, codec},
};

use super::{
    layout::{
        Expiring, META, bounds_of, expiring_of, expiry_bound, expiry_key, just_above, mark_key,
        mark_value, row_key, version_of_mark,
    },
    meta::Meta,
    reader,
    tables::Tables,
};

/// Rows or entries that one batch of a deletion or expiry looks at.
const CHUNK: usize = 1_000;
/// How often `persist` looks whether the disk is done; the engine does not tell.
const REST_POLL: Duration = Duration::from_millis(2);

/// What the writer thread works with.
pub(super) struct Writer {
    tables: Tables,
    /// As the last batch that succeeded wrote it.
    meta: Meta,
    persist_within: Duration,
}

impl Writer {
    pub(super) fn open(tables: Tables, persist_within: Duration) -> Result<Self, StoreError> {
        let meta = tables.meta()?.unwrap_or_default();
        Ok(Self { tables, meta, persist_within })
    }

    /// An error means that no read sees any of it, nor ever will before the store is reopened: the
    /// engine then takes no more writes. Reopened it may have all of it.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<CommitReport, StoreError> {
        let mut write = self.tables.batch(batch.durable);
        for Row { key, state } in &batch.rows {
            write.insert(self.tables.tree(), row_key(key), codec::encode(key, state));
            if state.is_deleted() {
                self.index(&mut write, state.version(), Expiring::Tombstone(*key));
            }
        }
        self.write(write, self.meta.clock_ceiling)?;
        Ok(CommitReport::default())
    }

    pub(super) fn persist(&mut self) -> Result<CommitNumber, StoreError> {
        rest(&self.tables, self.persist_within)?;
        Ok(self.meta.commits)
    }

    /// Hands what was written to the disk, so that it survives a power cut.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.tables.sync(PersistMode::SyncAll)
    }

    /// In chunks, so that no batch grows with the user. The mark goes with the first chunk: whoever
    /// sees a row gone sees it too, and a deletion that was cut off shows and can be done again.
    pub(super) fn delete_user(&mut self, user: UserId, version: Version) -> Result<(), StoreError> {
        let mut write = self.tables.batch(true);
        self.mark(&mut write, user, version)?;
        let (first, last) = bounds_of(user);
        let (mut from, to) = (row_key(&first).to_vec(), just_above(&last));
        loop {
            let chunk = self.rows(&from, &to)?;
            for row in chunk.iter().filter(|row| row.state.version() <= version) {
                write.remove(self.tables.tree(), row_key(&row.key));
            }
            self.write(write, self.meta.clock_ceiling)?;
            let Some(end) = chunk.last() else { return Ok(()) };
            from = just_above(&end.key);
            write = self.tables.batch(true);
        }
    }

    fn rows(&self, from: &[u8], to: &[u8]) -> Result<Vec<Row>, StoreError> {
        self.tables.view().range(from, to).take(CHUNK).map(reader::row).collect()
    }

    /// Leaves the mark where there is none with a later version.
    fn mark(
        &self,
        write: &mut OwnedWriteBatch,
        user: UserId,
        version: Version,
    ) -> Result<(), StoreError> {
        if self.marked_at(user)?.is_none_or(|marked_at| marked_at < version) {
            write.insert(self.tables.tree(), mark_key(user), mark_value(version));
            self.index(write, version, Expiring::Mark(user));
        }
        Ok(())
    }

    fn marked_at(&self, user: UserId) -> Result<Option<Version>, StoreError> {
        let value = self.tables.view().find(&mark_key(user))?;
        value.map(|value| version_of_mark(user, &value)).transpose()
    }

    fn index(&self, write: &mut OwnedWriteBatch, version: Version, what: Expiring) {
        write.insert(self.tables.tree(), expiry_key(version, what), []);
    }

    /// Goes through the expiry index in chunks. Entries whose row or mark was replaced are dropped
    /// on the way and not counted.
    pub(super) fn expire(&mut self, before: Version, limit: usize) -> Result<usize, StoreError> {
        let (mut from, to) = (expiry_bound(Version::ZERO).to_vec(), expiry_bound(before));
        let mut removed = 0;
        while removed < limit && from[..] < to[..] {
            let entries = self.expiring(&from, &to)?;
            let Some(last) = entries.last() else { break };
            from = [&last[..], &[0]].concat();
            let mut write = self.tables.batch(false);
            for entry in &entries {
                if removed == limit {
                    break;
                }
                removed += usize::from(self.expire_entry(&mut write, entry)?);
            }
            self.write(write, self.meta.clock_ceiling)?;
        }
        Ok(removed)
    }

    fn expiring(&self, from: &[u8], to: &[u8]) -> Result<Vec<Slice>, StoreError> {
        let entries = self.tables.view().range(from, to).take(CHUNK);
        entries.map(|entry| Ok(entry.key()?)).collect()
    }

    /// Whether what the entry is of goes with it.
    fn expire_entry(&self, write: &mut OwnedWriteBatch, entry: &Slice) -> Result<bool, StoreError> {
        let (version, what) = expiring_of(entry)?;
        write.remove(self.tables.tree(), entry.clone());
        if !self.is_current(version, what)? {
            return Ok(false);
        }
        match what {
            Expiring::Mark(user) => write.remove(self.tables.tree(), mark_key(user)),
            Expiring::Tombstone(key) => write.remove(self.tables.tree(), row_key(&key)),
        }
        Ok(true)
    }

    /// Whether nothing has replaced it since.
    fn is_current(&self, version: Version, what: Expiring) -> Result<bool, StoreError> {
        Ok(match what {
            Expiring::Mark(user) => self.marked_at(user)? == Some(version),
            Expiring::Tombstone(key) => reader::load(&self.tables.view(), &key)?
                .is_some_and(|state| state.is_deleted() && state.version() == version),
        })
    }

    pub(super) fn clock_ceiling(&self) -> Version {
        self.meta.clock_ceiling
    }

    pub(super) fn raise_clock_ceiling(&mut self, ceiling: Version) -> Result<(), StoreError> {
        if ceiling <= self.meta.clock_ceiling {
            return Ok(());
        }
        self.write(self.tables.batch(true), ceiling)
    }

    fn write(
        &mut self,
        mut batch: OwnedWriteBatch,
        clock_ceiling: Version,
    ) -> Result<(), StoreError> {
        let commits = CommitNumber(self.meta.commits.0 + 1);
        let meta = Meta { commits, clock_ceiling };
        batch.insert(self.tables.tree(), META, meta.encode());
        batch.commit()?;
        self.meta = meta;
        Ok(())
    }
}

/// Waits until everything written rests in the engine's own files, which it syncs, and nothing
/// depends on its log.
pub(super) fn rest(tables: &Tables, within: Duration) -> Result<(), StoreError> {
    let deadline = Instant::now() + within;
    // An engine that has failed would take the rotation and never end it.
    tables.sync(PersistMode::Buffer)?;
    tables.tree().rotate_memtable()?;
    // Whatever that answered: one that was sealed before may still be on its way.
    while tables.tree().sealed_memtable_count() > 0 {
        tables.sync(PersistMode::Buffer)?;
        if Instant::now() >= deadline {
            return Err(StoreError::Unavailable(format!("its disk was not done in {within:?}")));
        }
        thread::park_timeout(REST_POLL);
    }
    Ok(())
}
