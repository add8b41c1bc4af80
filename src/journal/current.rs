//! The segment that is being written.

use super::{
    Disk, DiskFile, JournalError, Link, SegmentHeader, SegmentId,
    group::{close_group, open_group},
    limits::Limits,
    record::put_next,
    tail::Group,
};
use crate::{
    model::Sequence,
    sabotage::{self, Fault},
};

/// Groups go one behind the other, each made durable before the next one is written.
pub(super) struct Current {
    header: SegmentHeader,
    file: Box<dyn DiskFile>,
    /// Just behind the last group.
    end: u64,
    last: Sequence,
    group_crc: u32,
}

impl Current {
    /// A segment without a group, which has its place on the disk.
    pub fn begin(header: SegmentHeader, file: Box<dyn DiskFile>) -> Self {
        let end = super::SEGMENT_HEADER_BYTES as u64;
        Self { header, file, end, last: header.first.previous(), group_crc: 0 }
    }

    pub fn id(&self) -> SegmentId {
        self.header.segment
    }

    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The longest group that can be written yet.
    pub fn group_room(&self) -> u64 {
        Limits::group_room_at(self.header.segment_bytes, self.end)
    }

    /// What of that may be reserved.
    pub fn room_bytes(&self, limits: &Limits) -> u64 {
        limits.room_bytes(self.header.segment_bytes, self.end)
    }

    /// Its end, as the next one remembers it.
    pub fn link(&self) -> Link {
        let (segment, last) = (self.header.segment, self.last);
        Link { segment, end: self.end, last, group_crc: self.group_crc }
    }

    /// Writes a group that fits, for good.
    ///
    /// # Errors
    /// [`JournalError::Io`]: what of it survives is not known (I10).
    pub fn write(&mut self, disk: &dyn Disk, group: &mut Group) -> Result<(), JournalError> {
        let Group { buffer, first, records, .. } = group;
        self.group_crc = close_group(buffer, self.header.home(), *first, *records);
        self.put(disk, &group.buffer)?;
        self.last = group.last();
        Ok(())
    }

    /// Writes, for good, that `next` follows, which has its place by now. Room for this is left by
    /// every group.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn close(mut self, disk: &dyn Disk, next: SegmentId) -> Result<(), JournalError> {
        let mut mark = Vec::new();
        open_group(&mut mark);
        put_next(&mut mark, next);
        close_group(&mut mark, self.header.home(), self.last.next(), 0);
        self.put(disk, &mark)
    }

    /// IMPORTANT: neither the write nor the sync is tried again where it fails. The kernel may
    /// take pages that it could not write for written, and the second sync would say so.
    fn put(&mut self, disk: &dyn Disk, bytes: &[u8]) -> Result<(), JournalError> {
        let failed =
            |doing, error| JournalError::io(doing, disk, &self.header.segment.file_name(), error);
        self.file.write_at(self.end, bytes).map_err(|error| failed("writing", error))?;
        let mut synced = self.file.sync_data();
        if synced.is_err() && sabotage::is(Fault::RetryFailedSync) {
            synced = self.file.sync_data();
        }
        synced.map_err(|error| failed("syncing", error))?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}
