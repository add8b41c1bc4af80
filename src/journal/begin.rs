//! From a journal that was read to one that is appended to, or to none at all.

use std::sync::{Arc, OnceLock};

use tracing::info;

use super::{
    Disk, Journal, JournalError, JournalId, Manifest, Recovery, SegmentHeader, SegmentId, Spare,
    Writer,
    allowance::{Allowance, Space, SpareState},
    books::{Books, Kept},
    chain::read_file,
    current::Current,
    durable::Durable,
    limits::Limits,
    manifest::MANIFEST,
    numbers,
    shared::Shared,
    sync::{AtomicU64, Mutex},
    tail::Tail,
};

impl Recovery {
    /// Begins a new segment and appends to that from now on. What was read stays as it is, for
    /// [`Self::replay`], until [`Journal::advance`] lets it go: the caller has it in the store, or
    /// appended anew, by then. To be called once.
    ///
    /// A last segment that nothing was ever written to is replaced: starts that end before they
    /// come to anything, one after the other, leave one behind, not one each.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`] where there is no room for a segment beside the reserve, and
    /// [`JournalError::NumbersExhausted`] where there are no numbers left: nothing was written.
    /// [`JournalError::Io`]: the journal can be opened again.
    pub fn begin(&self) -> Result<(Journal, Writer), JournalError> {
        let limits = Limits::of(&self.options);
        let disk = Arc::clone(&self.disk);
        let segment = self.segment()?;
        self.remove_leftovers()?;
        check_room(disk.as_ref(), &limits)?;
        // Before a header says where it ends.
        self.settle_tail()?;
        let mut manifest = self.manifest();
        if self.chain.manifest.is_none() {
            // A segment without a manifest would be damage; a manifest without segments is a new
            // journal.
            manifest.write(disk.as_ref())?;
        }
        let header = self.header(&manifest, segment, limits.segment_bytes);
        let spare = Spare::prepare(disk.as_ref(), limits.segment_bytes).inspect_err(|_| {
            // Room for whoever comes to make some.
            Spare::discard(disk.as_ref()).ok();
        })?;
        let file = spare.take_place(disk.as_ref(), header)?;
        manifest.newest = header.segment;
        manifest.write(disk.as_ref())?;
        let books = self.books(manifest, &header);
        info!(
            folder = disk.path(),
            segment = %header.segment,
            next_record = %header.first,
            horizon = %manifest.horizon,
            bytes = books.bytes(),
            "the journal is open"
        );
        let current = Current::begin(header, file);
        let shared = Arc::new(shared(disk, limits, books, &current));
        Ok((Journal(Arc::clone(&shared)), Writer::new(shared, current, Arc::clone(&self.lock))))
    }

    /// Removes the journal: everything in it is in the store, or is not wanted. Whether there was
    /// one.
    ///
    /// # Errors
    /// [`JournalError::NumbersExhausted`]: nothing was changed. [`JournalError::Io`]: a part may be
    /// gone then, and the rest is an empty journal, or all of it counts as before; see
    /// [`Self::still_counts`].
    pub fn retire(&self) -> Result<bool, JournalError> {
        let disk = self.disk.as_ref();
        let oldest = numbers::segment_after(self.chain.newest(), disk)?;
        self.remove_leftovers()?;
        let Some(manifest) = self.chain.manifest else { return Ok(false) };
        // First nothing counts any more, so that an end in the middle of this is no damage.
        let horizon = self.chain.next().previous();
        Manifest { horizon, oldest, ..manifest }.write(disk)?;
        for segment in &self.chain.segments {
            remove(disk, &segment.id.file_name())?;
        }
        disk.sync().map_err(|error| JournalError::io("syncing", disk, "", error))?;
        remove(disk, MANIFEST)?;
        disk.sync().map_err(|error| JournalError::io("syncing", disk, "", error))?;
        Ok(true)
    }

    /// Whether all that was read counts on the disk yet, for certain, once a retirement has failed.
    pub fn still_counts(&self) -> bool {
        let mut bytes = Vec::new();
        let now = read_file(self.disk.as_ref(), MANIFEST, &mut bytes);
        now.is_ok_and(|now| self.chain.manifest.is_some_and(|before| now == before.encode()))
    }

    fn remove_leftovers(&self) -> Result<(), JournalError> {
        self.chain.leftovers.iter().try_for_each(|name| remove(self.disk.as_ref(), name))
    }

    /// What is true before the new segment is there. A store that was behind and is healed is at
    /// an earlier commit than the manifest of before had; from here on that is what counts.
    fn manifest(&self) -> Manifest {
        let before = self.chain.manifest;
        Manifest {
            journal: self.chain.journal().unwrap_or_else(JournalId::random),
            store: self.base.store,
            horizon: self.base.horizon,
            commits: self.base.commits,
            oldest: self.chain.oldest(),
            newest: before.map_or(SegmentId::NONE, |manifest| manifest.newest),
            ceiling: self.chain.ceiling(),
        }
    }

    /// The segment to begin.
    fn segment(&self) -> Result<SegmentId, JournalError> {
        let disk = self.disk.as_ref();
        numbers::check_records(self.chain.next(), disk)?;
        let vacant = self.chain.vacant().map(|vacant| vacant.segment);
        vacant.map_or_else(|| numbers::segment_after(self.chain.newest(), disk), Ok)
    }

    fn header(&self, manifest: &Manifest, segment: SegmentId, segment_bytes: u64) -> SegmentHeader {
        let vacant = self.chain.vacant();
        SegmentHeader {
            journal: manifest.journal,
            segment,
            segment_bytes,
            first: self.chain.next(),
            ceiling: manifest.ceiling,
            horizon: manifest.horizon,
            commits: manifest.commits,
            previous: vacant.map_or_else(|| self.chain.end(), |vacant| vacant.previous),
            repaired: false,
        }
    }

    fn books(&self, manifest: Manifest, header: &SegmentHeader) -> Books {
        let before = self.chain.segments.iter().filter(|segment| segment.id != header.segment);
        let kept = before.map(|segment| Kept {
            segment: segment.id,
            last: segment.scanned.end.last,
            bytes: segment.file_bytes,
        });
        Books {
            manifest,
            kept: kept.collect(),
            current: (header.segment, header.segment_bytes),
            ceiling: manifest.ceiling,
            checkpoint_bytes: 0,
        }
    }
}

fn shared(disk: Arc<dyn Disk>, limits: Limits, books: Books, current: &Current) -> Shared {
    let last = current.header().first.previous();
    let room_bytes = current.room_bytes(&limits);
    let space = Space { room_bytes, spare: SpareState::Preparing, low: false };
    Shared {
        disk,
        limits,
        tail: Tail::new(last, books.ceiling, limits.buffer_bytes()),
        allowance: Allowance::new(limits.pending_bytes_max, space),
        durable: Durable::new(last),
        bell: Default::default(),
        spares: Default::default(),
        books: Mutex::new(books),
        folder: Mutex::new(()),
        observer: OnceLock::new(),
        writing_bytes: AtomicU64::new(0),
        progress_ms: AtomicU64::new(0),
        recovered: Default::default(),
    }
}

/// A segment more must leave the reserve free: what is brought back could not be written down anew
/// otherwise, and each start would leave a segment behind.
fn check_room(disk: &dyn Disk, limits: &Limits) -> Result<(), JournalError> {
    // A disk that does not say how much is free is taken to have enough: writing will tell.
    let free = disk.free_bytes().unwrap_or(u64::MAX);
    let (segment, reserve) = (limits.segment_bytes, limits.reserve_bytes);
    let needed = reserve.saturating_add(segment);
    if free >= needed {
        return Ok(());
    }
    let what = format!(
        "{free} bytes are free, and a start needs {needed}: a segment of {segment} and the reserve \
         of {reserve}. Nothing was written. Free some, or lower --disk-reserve, and start again"
    );
    Err(JournalError::DiskFull { folder: disk.path(), what })
}

fn remove(disk: &dyn Disk, name: &str) -> Result<(), JournalError> {
    disk.remove(name).map_err(|error| JournalError::io("removing", disk, name, error))
}
