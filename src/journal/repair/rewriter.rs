//! Writes records that were kept to new segments, group by group.

use crate::{
    journal::{
        Disk, DiskFile, GROUP_HEADER_BYTES, Home, JournalError, JournalId, Link, Manifest,
        RECORD_BYTES_MAX, Record, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES,
        SegmentHeader, SegmentId, Spare, close_group, group_bytes, numbers, open_group,
        survey::Survey,
    },
    model::Sequence,
};

/// A group is written once its records take this many bytes.
const PAYLOAD_BYTES: usize = 1 << 20;

pub(super) struct Rewriter<'a> {
    disk: &'a dyn Disk,
    segment_bytes: u64,
    /// What the manifest will be; its newest segment is the one that is written to.
    manifest: Manifest,
    file: Option<Box<dyn DiskFile>>,
    end: Link,
    /// Records that wait to be written, and how many they are.
    group: Vec<u8>,
    records: u32,
    names: Vec<String>,
}

impl<'a> Rewriter<'a> {
    /// Nothing is written yet.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`] where there is no room for what is kept, and
    /// [`JournalError::NumbersExhausted`] where there are no numbers for it.
    pub(super) fn new(
        disk: &'a dyn Disk,
        segment_bytes: u64,
        survey: &Survey,
    ) -> Result<Self, JournalError> {
        let segment_bytes = segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        check_room(disk, segment_bytes, survey.bytes)?;
        let oldest = numbers::segment_after(survey.newest_segment, disk)?;
        numbers::check_records(survey.next, disk)?;
        let chain = &survey.chain;
        let last = survey.next.previous();
        let told = chain.manifest.map(|manifest| manifest.ceiling).unwrap_or_default();
        let manifest = Manifest {
            journal: chain.journal().unwrap_or_else(JournalId::random),
            store: chain.manifest.map_or(0, |manifest| manifest.store),
            horizon: last,
            commits: survey.commits,
            oldest,
            newest: SegmentId::NONE,
            ceiling: survey.ceiling.max(chain.ceiling()).max(told),
        };
        let mut group = Vec::new();
        open_group(&mut group);
        // Of no segment: what follows it is no part of the damaged chain.
        let end = Link { end: SEGMENT_HEADER_BYTES as u64, last, ..Link::default() };
        let (file, names) = (None, Vec::new());
        Ok(Self { disk, segment_bytes, manifest, file, end, group, records: 0, names })
    }

    pub(super) fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let next = group_bytes(self.group.len() - GROUP_HEADER_BYTES + RECORD_BYTES_MAX) as u64;
        let is_full = self.records > 0 && self.end.end + next > self.segment_bytes;
        if is_full || self.group.len() > PAYLOAD_BYTES {
            self.write_group()?;
        }
        record.encode_into(&mut self.group);
        self.records += 1;
        Ok(())
    }

    /// Seals the new segments: the manifest that makes them count, and their names.
    ///
    /// The last ceiling among the records is the one that counts, and a newer one may be gone: so
    /// the newest known of comes last.
    pub(super) fn finish(&mut self) -> Result<(Manifest, Vec<String>), JournalError> {
        self.append(&Record::Ceiling(self.manifest.ceiling))?;
        self.append(&Record::Seal)?;
        self.write_group()?;
        self.sync()?;
        Ok((self.manifest, self.names.clone()))
    }

    /// Removes the new segments: nothing refers to them. What cannot be removed is refused, or
    /// rewritten once more, by the next repair.
    pub(super) fn give_up(&mut self) {
        Spare::discard(self.disk).ok();
        for name in self.names.drain(..) {
            self.disk.remove(&name).ok();
        }
        self.disk.sync().ok();
    }

    fn write_group(&mut self) -> Result<(), JournalError> {
        let bytes = group_bytes(self.group.len() - GROUP_HEADER_BYTES) as u64;
        let room = self.segment_bytes.saturating_sub(self.end.end);
        if self.file.is_none() || room < bytes {
            self.begin_segment()?;
        }
        let Some(file) = &self.file else { return Ok(()) };
        let home = Home { journal: self.manifest.journal, segment: self.manifest.newest };
        let first = self.end.last.next();
        let group_crc = close_group(&mut self.group, home, first, self.records);
        let written = file.write_at(self.end.end, &self.group);
        written.map_err(|error| self.failed("writing", error))?;
        let last = Sequence::new(self.end.last.as_u64() + u64::from(self.records));
        self.end = Link { end: self.end.end + bytes, last, group_crc, ..self.end };
        open_group(&mut self.group);
        self.records = 0;
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        let segment = match self.manifest.newest {
            SegmentId::NONE => self.manifest.oldest,
            newest => numbers::segment_after(newest, self.disk)?,
        };
        // Its name first: what has it may have to be removed.
        self.names.push(segment.file_name());
        let header = SegmentHeader {
            journal: self.manifest.journal,
            segment,
            segment_bytes: self.segment_bytes,
            first: self.end.last.next(),
            ceiling: self.manifest.ceiling,
            horizon: self.manifest.horizon,
            commits: self.manifest.commits,
            previous: if self.file.is_some() { self.end } else { Link::default() },
            repaired: true,
        };
        let spare = Spare::prepare(self.disk, self.segment_bytes)?;
        self.file = Some(spare.take_place(self.disk, header)?);
        self.manifest.newest = segment;
        let end = SEGMENT_HEADER_BYTES as u64;
        self.end = Link { segment, end, last: self.end.last, group_crc: 0 };
        Ok(())
    }

    fn sync(&self) -> Result<(), JournalError> {
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_data().map_err(|error| self.failed("syncing", error))
    }

    fn failed(&self, doing: &'static str, error: std::io::Error) -> JournalError {
        JournalError::io(doing, self.disk, &self.manifest.newest.file_name(), error)
    }
}

fn check_room(disk: &dyn Disk, segment_bytes: u64, kept_bytes: u64) -> Result<(), JournalError> {
    let usable = segment_bytes - SEGMENT_HEADER_BYTES as u64 - group_bytes(RECORD_BYTES_MAX) as u64;
    let needed = (kept_bytes / usable + 1).saturating_mul(segment_bytes);
    let free = disk.free_bytes().map_err(|error| JournalError::io("asking", disk, "", error))?;
    if free >= needed {
        return Ok(());
    }
    let what = format!("a repair needs {needed} bytes and {free} are free; free some, repair then");
    Err(JournalError::DiskFull { folder: disk.path(), what })
}
