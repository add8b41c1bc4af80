//! Reads a journal as a whole: the manifest, every segment that counts, and that each fits the one
//! before it. Nothing is changed by that.
//!
//! What is wrong goes to a judge: one that answers with the error ends the reading there, as a
//! start does; one that keeps it sees all that is wrong, as an operator wants to.

mod bytes;
mod names;
mod reader;

use crate::{
    model::{Sequence, Version},
    sabotage::{self, Fault},
};

use super::{
    Disk, JournalError, JournalId, Link, Manifest, SegmentHeader, SegmentId,
    scan::{Scanned, salvage},
};
use names::Names;
use reader::Reader;

pub(super) use bytes::{read_file, read_readable};

/// Decides about something wrong: an error ends the reading.
pub(super) type Judge<'a> = &'a mut dyn FnMut(JournalError) -> Result<(), JournalError>;

/// A journal as it was read.
pub(super) struct Chain {
    /// `None` in a new journal, and where it is damaged.
    pub(super) manifest: Option<Manifest>,
    /// Those that count, oldest first.
    pub(super) segments: Vec<Segment>,
    /// Files that do not count any more, or never did.
    pub(super) leftovers: Vec<String>,
}

/// A segment as it was read.
pub(super) struct Segment {
    pub(super) id: SegmentId,
    /// `None` only where a judge let the damage pass.
    pub(super) header: Option<SegmentHeader>,
    /// Length of its file.
    pub(super) file_bytes: u64,
    /// What stands in it, or what still checks of it where a judge let damage pass.
    pub(super) scanned: Scanned,
}

impl Chain {
    /// Reads everything.
    ///
    /// # Errors
    /// What the judge answers with, and [`JournalError::Io`].
    pub(super) fn read(disk: &dyn Disk, judge: Judge<'_>) -> Result<Self, JournalError> {
        let names = Names::read(disk)?;
        let mut reader = Reader::new(disk, judge);
        let manifest = reader.manifest(&names)?;
        let (old, counting) = names.split(manifest.as_ref());
        reader.check_complete(manifest.as_ref(), counting)?;
        let headers = reader.headers(manifest.as_ref(), counting)?;
        let journal = journal_of(manifest.as_ref(), &headers);
        let mut segments = Vec::with_capacity(counting.len());
        for (index, &id) in counting.iter().enumerate() {
            let (header, next) = (headers[index], headers.get(index + 1).copied().flatten());
            let next = next.filter(|next| next.previous.segment == id);
            segments.push(reader.segment(journal, id, header, next.map(|next| next.previous))?);
        }
        let unfinished = names.unfinished.iter().cloned();
        let leftovers = old.iter().map(|id| id.file_name()).chain(unfinished).collect();
        Ok(Self { manifest, segments, leftovers })
    }

    /// Which journal it is; `None` where there is none yet.
    pub(super) fn journal(&self) -> Option<JournalId> {
        let headers: Vec<_> = self.segments.iter().map(|segment| segment.header).collect();
        journal_of(self.manifest.as_ref(), &headers)
    }

    /// The oldest segment that counts, or the one that will be begun next where none does.
    pub(super) fn oldest(&self) -> SegmentId {
        match (self.segments.first(), &self.manifest) {
            (Some(segment), _) => segment.id,
            (None, Some(manifest)) => manifest.oldest,
            (None, None) => SegmentId::FIRST,
        }
    }

    /// The last segment that counts, or the one before that which will be begun next.
    pub(super) fn newest(&self) -> SegmentId {
        let before = || SegmentId(self.oldest().0.saturating_sub(1));
        self.segments.last().map_or_else(before, |segment| segment.id)
    }

    /// The last segment, where nothing was ever written to it and another is before it: that one
    /// tells which journal this is, and so which store it belongs to.
    pub(super) fn vacant(&self) -> Option<SegmentHeader> {
        let [.., _, last] = &self.segments[..] else { return None };
        let is_vacant = last.scanned.last_group.is_none() && last.scanned.torn_bytes == 0;
        last.header.filter(|_| is_vacant)
    }

    /// The end of the last segment.
    pub(super) fn end(&self) -> Link {
        self.segments.last().map(|segment| segment.scanned.end).unwrap_or_default()
    }

    /// The sequence that the next record will take. It is above the horizon even where records up
    /// to it were cut off: what takes a sequence up to the horizon is not replayed.
    pub(super) fn next(&self) -> Sequence {
        self.end().last.max(self.horizon()).next()
    }

    /// No record up to this one is needed, as far as the manifest knows.
    pub(super) fn horizon(&self) -> Sequence {
        self.manifest.map_or(Sequence::ZERO, |manifest| manifest.horizon)
    }

    /// The newest ceiling of versions. Each header has the newest of before, so the last one and
    /// what follows it tell.
    pub(super) fn ceiling(&self) -> Version {
        if sabotage::is(Fault::CeilingForgotten) {
            return Version::ZERO;
        }
        let last = self.segments.last();
        let record = last.and_then(|segment| segment.scanned.ceiling);
        let header = last.and_then(|segment| segment.header).map(|header| header.ceiling);
        let manifest = self.manifest.map(|manifest| manifest.ceiling);
        record.or(header).or(manifest).unwrap_or_default()
    }
}

fn journal_of(manifest: Option<&Manifest>, headers: &[Option<SegmentHeader>]) -> Option<JournalId> {
    let of_header = || headers.iter().flatten().next().map(|header| header.journal);
    manifest.map(|manifest| manifest.journal).or_else(of_header)
}
