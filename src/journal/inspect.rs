//! What an operator wants to know of a journal: its segments, what a start would replay, and all
//! that is wrong with it. Nothing is changed and no lock is kept.

use std::io;

use crate::{
    model::{Sequence, Version},
    store::CommitNumber,
};

use super::{
    Disk, Gaps, JournalError, Manifest, SegmentId, chain::Segment, recovery::LOCK, survey::Survey,
};

/// A journal that a server changes meanwhile can look damaged: it is read again this often.
const ATTEMPTS_IN_USE: usize = 5;

/// A journal as it stands.
#[derive(Debug)]
pub struct Inspection {
    /// The folder of the journal.
    pub folder: String,
    /// Whether a process has it: then it changed while it was read, and what is wrong with it may
    /// only be unfinished.
    pub in_use: bool,
    /// `None` where there is none, or it is damaged.
    pub manifest: Option<Manifest>,
    /// The segments that count, oldest first.
    pub segments: Vec<SegmentSummary>,
    /// Files that do not count; the next start removes them.
    pub leftovers: Vec<String>,
    /// The newest ceiling of versions.
    pub ceiling: Version,
    /// A start replays the records after this one.
    pub horizon: Sequence,
    /// How many those are.
    pub replay_records: u64,
    /// Bytes of their groups.
    pub replay_bytes: u64,
    /// A last group that was cut off while it was written; the next start drops it.
    pub torn: Option<Torn>,
    /// Records after the horizon that are missing.
    pub missing: Gaps,
    /// All that is wrong.
    pub problems: Vec<JournalError>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Which one.
    pub id: SegmentId,
    /// Length of its file.
    pub file_bytes: u64,
    /// Bytes from its start to the end of its records.
    pub used_bytes: u64,
    /// Its records.
    pub records: u64,
    /// The first of them.
    pub first: Sequence,
    /// The last of them, or of those before where it has none.
    pub last: Sequence,
    /// What it ends with.
    pub ending: Ending,
    /// The horizon when it was begun, and what the store had persisted then; `None` where its
    /// header does not check.
    pub begun_at: Option<(Sequence, CommitNumber)>,
}

/// What a segment ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Another segment follows.
    Next,
    /// A seal: everything before was acknowledged in full.
    Seal,
    /// Neither: whatever was acknowledged last.
    Open,
}

/// Bytes of a group that was not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// In which file.
    pub file: String,
    /// Where, in bytes from its start.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
}

impl Inspection {
    /// Looks at the journal on `disk`.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn of(disk: &dyn Disk) -> Result<Self, JournalError> {
        let in_use = is_in_use(disk)?;
        let mut attempts_left = if in_use { ATTEMPTS_IN_USE } else { 1 };
        loop {
            attempts_left -= 1;
            match Survey::of(disk) {
                Ok(survey) if survey.problems.is_empty() || attempts_left == 0 => {
                    return Ok(Self::from_survey(disk, in_use, survey));
                }
                Err(error) if attempts_left == 0 => return Err(error),
                _ => {}
            }
        }
    }

    /// Whether a start would take it as it is.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    fn from_survey(disk: &dyn Disk, in_use: bool, survey: Survey) -> Self {
        let chain = &survey.chain;
        let count = chain.segments.len();
        let segments = chain.segments.iter().enumerate();
        Self {
            folder: disk.path(),
            in_use,
            manifest: chain.manifest,
            segments: segments
                .map(|(index, segment)| summary(segment, index + 1 == count))
                .collect(),
            leftovers: chain.leftovers.clone(),
            ceiling: chain.ceiling(),
            horizon: survey.horizon,
            replay_records: survey.records,
            replay_bytes: survey.bytes,
            torn: chain.segments.last().and_then(torn),
            missing: survey.gaps,
            problems: survey.problems,
        }
    }
}

fn summary(segment: &Segment, is_last: bool) -> SegmentSummary {
    let scanned = &segment.scanned;
    let last = scanned.end.last;
    let ending = match (is_last, scanned.sealed) {
        (false, _) => Ending::Next,
        (true, true) => Ending::Seal,
        (true, false) => Ending::Open,
    };
    SegmentSummary {
        id: segment.id,
        file_bytes: segment.file_bytes,
        used_bytes: scanned.end.end,
        records: scanned.records,
        first: scanned.first,
        last,
        ending,
        begun_at: segment.header.map(|header| (header.horizon, header.commits)),
    }
}

fn torn(segment: &Segment) -> Option<Torn> {
    let (file, offset) = (segment.id.file_name(), segment.scanned.end.end);
    let bytes = segment.scanned.torn_bytes;
    (bytes > 0).then_some(Torn { file, offset, bytes })
}

/// Whether a process has the journal. Where there is no lock yet, none is made.
fn is_in_use(disk: &dyn Disk) -> Result<bool, JournalError> {
    let names = disk.names().map_err(|error| JournalError::io("listing", disk, "", error))?;
    if !names.iter().any(|name| name == LOCK) {
        return Ok(false);
    }
    match disk.lock(LOCK) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(JournalError::io("locking", disk, LOCK, error)),
    }
}
