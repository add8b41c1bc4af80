//! Takes what was appended, makes it durable, says so.

use std::sync::Arc;

use tracing::warn;

use crate::{
    model::{Sequence, Version},
    sabotage::{self, Fault},
};

use super::{
    JournalError, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentId,
    current::Current,
    group::group_bytes,
    numbers,
    shared::Shared,
    sync::Ordering,
    tail::{Group, Take},
};

/// What a step of the writer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing waited.
    Idle,
    /// A group is durable.
    Committed {
        /// Records in it.
        records: u32,
        /// Its bytes in the segment.
        bytes: u64,
    },
    /// What waits does not fit into the segment, and the disk does not give another yet.
    NoRoom,
    /// The journal has ended, now or before (I10).
    Failed,
}

/// The one that writes the journal's records. Whoever has it says when: a thread of its own, or a
/// test. With it goes the lock of the journal's folder, so dropping it ends the journal.
pub struct Writer {
    shared: Arc<Shared>,
    current: Current,
    /// The one of two buffers that the tail does not have.
    buffer: Vec<u8>,
    _lock: Arc<dyn Send + Sync>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, current: Current, lock: Arc<dyn Send + Sync>) -> Self {
        let buffer = Vec::with_capacity(shared.limits.buffer_bytes());
        Self { shared, current, buffer, _lock: lock }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Makes what was appended before durable as one group, and whoever waits for it hear of it.
    pub fn step(&mut self) -> Step {
        let shared = Arc::clone(&self.shared);
        if shared.durable.is_ended() {
            return Step::Failed;
        }
        shared.spares.tend_unthreaded(&shared);
        // A spare that is there stays: nobody else takes it.
        let room = match shared.spares.is_ready() {
            true => self.current.group_room().max(shared.limits.group_room()),
            false => self.current.group_room(),
        };
        let fits = |payload: usize| group_bytes(payload) as u64 <= room;
        let mut group = match shared.tail.take(&mut self.buffer, fits) {
            Take::Empty => return Step::Idle,
            Take::NoRoom => return Step::NoRoom,
            Take::Group(group) => group,
        };
        let step = match self.commit(&mut group) {
            Ok(step) => step,
            Err(error) => {
                shared.fail(&error);
                Step::Failed
            }
        };
        self.buffer = group.buffer;
        step
    }

    fn commit(&mut self, group: &mut Group) -> Result<Step, JournalError> {
        let shared = Arc::clone(&self.shared);
        let payload = group.payload_bytes();
        shared.writing_bytes.store(payload as u64, Ordering::Relaxed);
        let timer = shared.observer.get().map(|observer| observer.metrics.time_commit());
        if sabotage::is(Fault::AckBeforeSync) {
            shared.durable.publish(group.last());
        }
        let written = self.write(group);
        shared.writing_bytes.store(0, Ordering::Relaxed);
        if let Some(timer) = timer {
            let _ =
                if written.is_ok() { timer.stop_and_record() } else { timer.stop_and_discard() };
        }
        written?;
        self.note(group);
        shared.durable.publish(group.last());
        shared.allowance.committed(payload, self.current.room_bytes(&shared.limits));
        Ok(Step::Committed { records: group.records, bytes: group.buffer.len() as u64 })
    }

    fn write(&mut self, group: &mut Group) -> Result<(), JournalError> {
        let left = Sequence::new(sabotage::noted());
        if sabotage::is(Fault::DropOnCancel) && (group.first..=group.last()).contains(&left) {
            return Ok(());
        }
        if group_bytes(group.payload_bytes()) as u64 > self.current.group_room() {
            self.roll()?;
        }
        self.current.write(self.shared.disk.as_ref(), group)
    }

    /// Goes on in the next segment. The new one is there for good, and says where the old one
    /// ends, before the old one says that it does.
    fn roll(&mut self) -> Result<(), JournalError> {
        let shared = Arc::clone(&self.shared);
        let folder = shared.folder.lock();
        // Whoever held the folder before may have lost names that are not synced yet.
        if let Some(end) = shared.durable.ended() {
            return Err(end);
        }
        let disk = shared.disk.as_ref();
        let next = numbers::segment_after(self.current.id(), disk)?;
        let segment_bytes = shared.limits.segment_bytes;
        let room = shared.limits.room_bytes(segment_bytes, SEGMENT_HEADER_BYTES as u64);
        let spare = shared.spares.take(&shared.allowance, room);
        let spare = spare.ok_or_else(|| shared.disk_full())?;
        let header = self.next_header(next, spare.bytes());
        let begun = spare.take_place(disk, header).inspect_err(|error| shared.fail(error))?;
        shared.spares.left();
        let last = self.current.link().last;
        let next = Current::begin(header, begun);
        let ended = std::mem::replace(&mut self.current, next);
        shared.books.lock().roll(last, header.segment, header.segment_bytes);
        drop(folder);
        ended.close(disk, header.segment)
    }

    fn next_header(&self, segment: SegmentId, segment_bytes: u64) -> SegmentHeader {
        let books = self.shared.books.lock();
        let previous = self.current.link();
        SegmentHeader {
            journal: self.current.header().journal,
            segment,
            segment_bytes,
            first: previous.last.next(),
            ceiling: books.ceiling,
            horizon: books.manifest.horizon,
            commits: books.manifest.commits,
            previous,
            repaired: false,
        }
    }

    /// Remembers what a durable group brought.
    fn note(&self, group: &Group) {
        let mut books = self.shared.books.lock();
        books.ceiling = group.ceiling.unwrap_or(books.ceiling);
        let caught_up = books.manifest.horizon >= group.first.previous();
        drop(books);
        if caught_up {
            self.shared.note_progress();
        }
        self.shared.observed(|metrics| {
            metrics.commits.inc();
            metrics.commit_records.observe(group.records.into());
            metrics.commit_bytes.observe(group.buffer.len() as f64);
            metrics.seals.inc_by(group.seals);
        });
    }

    /// Makes a seal durable behind what was appended, unless there is one.
    pub fn seal(&mut self) -> Step {
        self.shared.tail.append_seal(&self.shared.allowance);
        self.step()
    }

    /// Makes everything durable that was appended, then `ceiling` if given and a seal, and ends
    /// the journal. A lower ceiling than before says that no version above it was given out.
    ///
    /// # Errors
    /// Where not everything became durable.
    pub fn close(mut self, ceiling: Option<Version>) -> Result<(), JournalError> {
        if let Some(ceiling) = ceiling {
            self.shared.append_last_ceiling(ceiling);
        }
        loop {
            match self.seal() {
                Step::Committed { .. } => {}
                Step::Idle => break,
                Step::NoRoom => return Err(self.shared.disk_full()),
                Step::Failed => {
                    return Err(self.shared.durable.ended().unwrap_or(JournalError::Closed));
                }
            }
        }
        if let Err(error) = self.shared.spares.discard(self.shared.disk.as_ref()) {
            warn!(%error, "an unused segment stays on the disk for now");
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is at work on the folder when its lock goes.
        let _folder = self.shared.folder.lock();
        self.shared.close();
    }
}
