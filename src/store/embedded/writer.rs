//! Everything that changes the store, one after the other on one thread. Every batch carries the
//! meta row with the next commit number, so a store that lost writes can be told (I11).

use std::{
    thread,
    time::{Duration, Instant},
};

use fjall::{OwnedWriteBatch, PersistMode, Slice};

use crate::{
    model::{Sequence, UserId, Version},
    store::{
        Batch, CommitNumber, CommitReport, Row, StoreError, StoreIdentity, codec,
        user_bounds::user_bounds,
    },
};

use super::{
    layout::{
        Expiring, META, expiring_of, expiry_bound, expiry_key, just_above, mark_key, mark_value,
        row_key, version_of_mark,
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
        let mut writer = Self { tables, meta, persist_within };
        if meta.id == 0 {
            // An earlier release made it, which gave stores no number.
            let batch = writer.tables.batch(true);
            writer.write(batch, meta.with_id())?;
        }
        Ok(writer)
    }

    pub(super) fn identity(&self) -> StoreIdentity {
        let upto = Some(Sequence::new(self.meta.upto)).filter(|upto| *upto != Sequence::ZERO);
        StoreIdentity { id: self.meta.id, commits: self.meta.commits, upto }
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
        let upto = batch.upto.unwrap_or_default().as_u64();
        self.write(write, Meta { upto, ..self.meta })?;
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
        let (first, last) = user_bounds(user);
        let (mut from, to) = (row_key(&first).to_vec(), just_above(&last));
        loop {
            let chunk = self.rows(&from, &to)?;
            for row in chunk.iter().filter(|row| row.state.version() <= version) {
                write.remove(self.tables.tree(), row_key(&row.key));
            }
            // Which record that is of is not known here.
            self.write(write, Meta { upto: 0, ..self.meta })?;
            let Some(end) = chunk.last().filter(|_| chunk.len() == CHUNK) else { return Ok(()) };
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
            // Durable, so that at most the last batch of the log is not (see `log`).
            let mut write = self.tables.batch(true);
            let removed_before = removed;
            for entry in &entries {
                if removed == limit {
                    break;
                }
                removed += usize::from(self.expire_entry(&mut write, entry)?);
            }
            let mut meta = self.meta;
            if removed > removed_before {
                meta.expired_before = meta.expired_before.max(before);
            }
            self.write(write, meta)?;
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

    pub(super) fn forget_before(&mut self, version: Version) -> Result<(), StoreError> {
        if version <= self.meta.expired_before {
            return Ok(());
        }
        let meta = Meta { expired_before: version, ..self.meta };
        self.write(self.tables.batch(true), meta)
    }

    pub(super) fn clock_ceiling(&self) -> Version {
        self.meta.clock_ceiling
    }

    pub(super) fn raise_clock_ceiling(&mut self, ceiling: Version) -> Result<(), StoreError> {
        if ceiling <= self.meta.clock_ceiling {
            return Ok(());
        }
        let meta = Meta { clock_ceiling: ceiling, ..self.meta };
        self.write(self.tables.batch(true), meta)
    }

    fn write(&mut self, mut batch: OwnedWriteBatch, meta: Meta) -> Result<(), StoreError> {
        let commits = CommitNumber(self.meta.commits.0 + 1);
        let meta = Meta { commits, ..meta };
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{
        model::{ChannelId, Key, ReadState},
        store::embedded::{EmbeddedOptions, reader::Reader},
    };

    const USER: UserId = UserId::new(5).expect("not 0");

    fn key(channel: u64) -> Key {
        Key::channel(USER, ChannelId::new(channel).expect("not 0"))
    }

    fn open() -> (TempDir, Tables, Writer) {
        let folder = tempfile::tempdir().expect("a folder");
        let tables = Tables::open(&EmbeddedOptions::new(folder.path())).expect("a new store");
        let writer = Writer::open(tables.clone(), Duration::from_secs(60)).expect("a new store");
        (folder, tables, writer)
    }

    fn tombstones(channels: std::ops::RangeInclusive<u64>) -> Batch {
        let state = ReadState::tombstone(Version::from_micros(3));
        let rows = channels.map(|channel| Row { key: key(channel), state: state.clone() });
        Batch { rows: rows.collect(), durable: false, upto: None }
    }

    fn damage(tables: &Tables, key: &Key) {
        tables.tree().insert(row_key(key), "damaged").expect("a write");
    }

    #[test]
    fn a_deletion_that_is_cut_off_has_left_its_mark_with_the_first_rows() {
        let (_folder, tables, mut writer) = open();
        writer.commit(&tombstones(1..=CHUNK as u64 + 2)).expect("a commit");
        damage(&tables, &key(CHUNK as u64 + 1));
        let deleted = writer.delete_user(USER, Version::from_micros(4));
        assert!(matches!(deleted, Err(StoreError::Corrupt(_))), "{deleted:?}");
        let end = key(CHUNK as u64 + 1);
        assert_eq!(writer.marked_at(USER).expect("a mark"), Some(Version::from_micros(4)));
        let reader = Reader::new(tables);
        let left = reader.load_user(USER, Some(end), 9).expect("what is not damaged");
        assert_eq!((left.rows.len(), left.deleted_at), (1, Some(Version::from_micros(4))));
        assert_eq!(reader.load(&key(CHUNK as u64)).expect("a load"), None);
    }

    #[test]
    fn a_damaged_row_is_an_error_by_name_and_hides_no_other() {
        let (_folder, tables, mut writer) = open();
        writer.commit(&tombstones(1..=3)).expect("a commit");
        damage(&tables, &key(2));
        let reader = Reader::new(tables);
        let Err(StoreError::Corrupt(damage)) = reader.load(&key(2)) else { panic!("it was read") };
        let named = damage.named();
        assert!(named.starts_with("the row of user 5, type 1, channel 2 "), "{named}");
        assert!(damage.to_string().starts_with("a row "), "{damage}");
        assert!(reader.scan(None, 9).is_err());
        let scanned = reader.scan_past_damage(None, 2).expect("what is damaged is told");
        assert_eq!((scanned.rows.len(), scanned.damaged[0].0), (1, key(2)));
        let scanned = reader.scan_past_damage(Some(key(2)), 2).expect("and passed");
        assert_eq!((scanned.rows[0].key, scanned.damaged.len()), (key(3), 0));
        assert!(reader.load_user(USER, None, 9).is_err());
        assert!(reader.load(&key(3)).expect("not damaged").is_some());
    }

    #[test]
    fn expired_entries_leave_nothing_behind() {
        let (_folder, tables, mut writer) = open();
        writer.commit(&tombstones(1..=9)).expect("a commit");
        writer.delete_user(USER, Version::from_micros(4)).expect("a deletion");
        // The tombstones went with the user and are not counted; their entries go all the same.
        assert_eq!(writer.expire(Version::from_micros(9), 100).expect("an expiry"), 1);
        let left = tables.tree().iter().count();
        assert_eq!(left, 1, "all but the meta row");
    }
}
