//! A journal that was read and checked and is held by a lock, but is not changed yet: what a start
//! learns from it, before it goes on appending.

use std::{io, path::Path, sync::Arc};

use tracing::{error, warn};

use crate::{
    model::{Sequence, Version},
    sabotage::{self, Fault as Sabotage},
    store::{CommitNumber, StoreIdentity},
};

use super::{
    Disk, FolderDisk, JournalError, JournalOptions, Record,
    chain::{Chain, Segment, read_file},
    disk::FOLDER,
    error::Fault,
    frame::Frames,
    group::Group,
    scan::groups,
};

/// Held while a process has the journal.
pub(super) const LOCK: &str = "lock";

/// How a store compares with what its journal knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heal {
    /// It has everything that it confirmed.
    InStep,
    /// It lost what it had confirmed, and the journal still has it: a replay brings it back.
    Healed {
        /// The last commit that it has.
        from: CommitNumber,
        /// The last one that it had persisted.
        to: CommitNumber,
    },
}

/// What a replay read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records, those without a state included.
    pub records: u64,
    /// Bytes of their groups.
    pub bytes: u64,
    /// Bytes of a last group that was cut off while it was written, and dropped.
    pub torn_bytes: u64,
}

/// From where a replay begins, and which store the journal then belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) store: u64,
    pub(super) horizon: Sequence,
    pub(super) commits: CommitNumber,
}

/// Everything read and checked, the lock held, nothing changed yet.
pub struct Recovery {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: JournalOptions,
    /// Shared with the writer from [`Self::begin`] on.
    pub(super) lock: Arc<dyn Send + Sync>,
    pub(super) chain: Chain,
    pub(super) base: Base,
    /// The store may have seen more than the journal.
    store_is_ahead: bool,
}

impl Recovery {
    /// Locks the journal on `disk` and reads it.
    ///
    /// # Errors
    /// [`JournalError::Locked`], [`JournalError::Damaged`], [`JournalError::NewerFormat`] and
    /// [`JournalError::Io`].
    pub fn open(disk: Arc<dyn Disk>, options: JournalOptions) -> Result<Self, JournalError> {
        let lock = Arc::from(lock(disk.as_ref())?);
        let chain = Chain::read(disk.as_ref(), &mut Err)?;
        let manifest = chain.manifest.as_ref();
        let base = Base {
            store: manifest.map_or(0, |manifest| manifest.store),
            horizon: chain.horizon(),
            commits: manifest.map_or_else(CommitNumber::default, |manifest| manifest.commits),
        };
        let recovery = Self { disk, options, lock, chain, base, store_is_ahead: false };
        recovery.tell_torn();
        Ok(recovery)
    }

    /// As [`Self::open`], for the journal in the directory `data_dir`; it is made if need be.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in(data_dir: &Path, options: JournalOptions) -> Result<Self, JournalError> {
        let disk = FolderDisk::of_journal(data_dir).map_err(|error| JournalError::Io {
            doing: "making",
            file: data_dir.join(FOLDER).display().to_string(),
            error: Arc::new(error),
        })?;
        Self::open(Arc::new(disk), options)
    }

    /// What the store had persisted for certain, so far as the journal knows; after
    /// [`Self::check_store`], what of that it still has.
    pub fn commits(&self) -> CommitNumber {
        self.base.commits
    }

    /// Whether there is nothing in it, not even a segment.
    pub fn is_new(&self) -> bool {
        self.chain.segments.is_empty()
    }

    /// No version above this one was given out.
    pub fn ceiling(&self) -> Version {
        self.chain.ceiling()
    }

    /// Compares the store with what the journal knows of it (I11), and says from where
    /// [`Self::replay`] will begin. A journal that is new takes any store for its own.
    ///
    /// # Errors
    /// [`JournalError::StoreForeign`] where the store is another one, and
    /// [`JournalError::StoreLost`] where it lost more than the journal can bring back.
    pub fn check_store(&mut self, store: StoreIdentity) -> Result<Heal, JournalError> {
        if self.is_new() {
            self.base.store = store.id;
            self.base.commits = CommitNumber::default();
            return Ok(Heal::InStep);
        }
        if self.base.store != 0 && self.base.store != store.id {
            return Err(self.foreign(store));
        }
        let persisted = self.base.commits;
        self.base.store = store.id;
        self.store_is_ahead = match store.upto {
            Some(upto) => upto > self.chain.next().previous(),
            None => store.commits > persisted,
        };
        if store.commits >= persisted {
            return Ok(Heal::InStep);
        }
        let Some(segment) = self.healing_segment(store.commits) else {
            return Err(self.lost(store));
        };
        (self.base.horizon, self.base.commits) = segment;
        let (from, to) = (store.commits, persisted);
        error!(
            from_commit = from.0,
            to_commit = to.0,
            from_record = self.base.horizon.next().as_u64(),
            "the store lost writes that it had confirmed; they are replayed from the journal"
        );
        Ok(Heal::Healed { from, to })
    }

    /// Whether the store may have newer rows than the records that [`Self::replay`] gives: then no
    /// record may take a row's place without a look at it.
    ///
    /// That is so where the store has rows of records behind the journal's end: it is an older
    /// copy. A store that does not remember so much is taken to have some where it goes on beyond
    /// what the journal knows of it, though mostly it has only confirmed what it has not persisted.
    /// And it is so where a repair may have left out the newer one of two records.
    pub fn may_be_behind(&self) -> bool {
        let replayed =
            self.chain.segments.iter().filter(|s| s.scanned.end.last > self.base.horizon);
        let mut headers = replayed.filter_map(|segment| segment.header);
        self.store_is_ahead || headers.any(|header| header.repaired)
    }

    /// How many records [`Self::replay`] gives at most.
    pub fn records(&self) -> u64 {
        let last = self.chain.next().previous().as_u64();
        last.saturating_sub(self.base.horizon.as_u64())
    }

    /// Gives every record that the store may lack to `each`, in order.
    ///
    /// # Errors
    /// What `each` answers with; a [`JournalError`] where a record does not parse or a file is not
    /// any more what it was at [`Self::open`].
    pub fn replay<E: From<JournalError>>(
        &self,
        each: &mut dyn FnMut(Sequence, Record) -> Result<(), E>,
    ) -> Result<Replayed, E> {
        let mut replayed = Replayed { torn_bytes: self.torn_bytes(), ..Replayed::default() };
        let mut buffer = Vec::new();
        for segment in &self.chain.segments {
            if segment.scanned.end.last > self.base.horizon {
                self.replay_segment(segment, &mut buffer, &mut replayed, each)?;
            }
        }
        Ok(replayed)
    }

    /// Makes the last group durable for certain, as the next segment will promise that it is.
    ///
    /// The process before this one may have ended before it synced that group, or its sync failed
    /// and the system took the pages for clean: then it is read from memory and may not be on the
    /// disk. The same bytes are written in their place once more. No other group is in doubt, as
    /// each is synced before the next is written.
    pub(super) fn settle_tail(&self) -> Result<(), JournalError> {
        let Some(segment) = self.chain.segments.last() else { return Ok(()) };
        let Some(start) = segment.scanned.last_group else { return Ok(()) };
        if sabotage::is(Sabotage::NoRepersist) {
            return Ok(());
        }
        let name = segment.id.file_name();
        let settle = || {
            let file = self.disk.open(&name)?;
            let mut group = vec![0; (segment.scanned.end.end - start) as usize];
            file.read_at(start, &mut group)?;
            file.write_at(start, &group)?;
            file.sync_data()
        };
        settle().map_err(|error| JournalError::io("syncing", self.disk.as_ref(), &name, error))
    }

    fn replay_segment<E: From<JournalError>>(
        &self,
        segment: &Segment,
        buffer: &mut Vec<u8>,
        replayed: &mut Replayed,
        each: &mut dyn FnMut(Sequence, Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let disk = self.disk.as_ref();
        let name = segment.id.file_name();
        let bytes = read_file(disk, &name, buffer)?;
        let end = segment.scanned.end;
        // One that a start began and did not get to write to has no group.
        let mut last = segment.header.map(|header| header.first.previous());
        let whole = segment.header.iter().flat_map(|header| groups(bytes, header.home()));
        for group in whole.take_while(|group| group.end as u64 <= end.end) {
            last = Some(group.next().previous());
            if last > Some(self.base.horizon) {
                self.replay_group(&name, &group, replayed, each)?;
            }
        }
        if last != Some(end.last) {
            return Err(Fault::damaged("it changed while it was read").at(disk, &name, 0).into());
        }
        Ok(())
    }

    fn replay_group<E: From<JournalError>>(
        &self,
        name: &str,
        group: &Group<'_>,
        replayed: &mut Replayed,
        each: &mut dyn FnMut(Sequence, Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let wrong = |fault: Fault| fault.at(self.disk.as_ref(), name, group.offset as u64);
        let mut sequence = group.first;
        for frame in Frames::of(group.payload) {
            let record = frame.and_then(|frame| frame.decode()).map_err(wrong)?;
            if sequence > self.base.horizon {
                each(sequence, record)?;
                replayed.records += 1;
            }
            sequence = sequence.next();
        }
        replayed.bytes += (group.end - group.offset) as u64;
        Ok(())
    }

    /// The newest horizon of which this store has everything and after which every record is still
    /// there, with the commit that it was of.
    fn healing_segment(&self, commits: CommitNumber) -> Option<(Sequence, CommitNumber)> {
        let headers = || self.chain.segments.iter().filter_map(|segment| segment.header);
        let reach = headers().next()?.first;
        let newest = headers().rev().find(|header| header.commits <= commits)?;
        (reach <= newest.horizon.next()).then_some((newest.horizon, newest.commits))
    }

    fn foreign(&self, store: StoreIdentity) -> JournalError {
        let what = if store.commits <= CommitNumber(1) {
            "the one beside it was just made and is empty, so the files of the right one are gone"
        } else {
            "the one beside it was made by another journal"
        };
        JournalError::StoreForeign { folder: self.disk.path(), what: what.to_owned() }
    }

    fn lost(&self, store: StoreIdentity) -> JournalError {
        let (has, had) = (store.commits.0, self.base.commits.0);
        let what = format!("it had persisted commit {had}, and now its last is {has}");
        JournalError::StoreLost { folder: self.disk.path(), what }
    }

    fn torn_bytes(&self) -> u64 {
        self.chain.segments.last().map_or(0, |segment| segment.scanned.torn_bytes)
    }

    fn tell_torn(&self) {
        let Some(segment) = self.chain.segments.last() else { return };
        let bytes = segment.scanned.torn_bytes;
        if bytes > 0 {
            warn!(
                file = %segment.id.file_name(),
                offset = segment.scanned.end.end,
                bytes,
                "the last group was cut off while it was written; nobody was told that it is \
                 durable, and it is dropped"
            );
        }
    }
}

/// Locks the journal for this process.
pub(super) fn lock(disk: &dyn Disk) -> Result<Box<dyn Send + Sync>, JournalError> {
    disk.lock(LOCK).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => JournalError::Locked { folder: disk.path() },
        _ => JournalError::io("locking", disk, LOCK, error),
    })
}
