//! Looks through a journal that may be damaged, past all that is wrong: what still checks, which
//! records are missing, and all places where something is not as it was written.
//!
//! Only what is proven counts: a group whose checksum names this journal and its segment. A header
//! that checks is believed before a file's name, so that a segment under a wrong name is found.

use crate::{
    model::{Sequence, Version},
    store::CommitNumber,
};

use super::{
    Disk, JournalError, JournalId, Record, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentId,
    chain::{Chain, read_readable},
    error::Fault,
    frame::Frames,
    gaps::Gaps,
    group::{Group, Home},
    scan::groups,
};

/// What a journal still has, and what it lacks.
pub(super) struct Survey {
    pub(super) chain: Chain,
    /// All that is wrong, in the order of the files.
    pub(super) problems: Vec<JournalError>,
    /// From where the records are needed, and what the store had persisted there.
    pub(super) horizon: Sequence,
    pub(super) commits: CommitNumber,
    /// Records that still check and are needed.
    pub(super) records: u64,
    /// Bytes of their groups.
    pub(super) bytes: u64,
    /// Needed records that are gone, as far as their numbers tell.
    pub(super) gaps: Gaps,
    /// Whether more may be gone behind the last one known.
    pub(super) open_ended: bool,
    /// The highest ceiling or version found.
    pub(super) ceiling: Version,
    /// Above every record ever known of.
    pub(super) next: Sequence,
    /// The highest segment ever known of.
    pub(super) newest_segment: SegmentId,
}

impl Survey {
    /// Looks at everything; nothing is changed.
    ///
    /// # Errors
    /// [`JournalError::Io`]: what cannot be read may be whole.
    pub(super) fn of(disk: &dyn Disk) -> Result<Self, JournalError> {
        let mut problems = Vec::new();
        let chain = Chain::read(disk, &mut |problem| {
            problems.push(problem);
            Ok(())
        })?;
        let mut survey = Self::begin(chain, problems);
        survey.look(disk)?;
        survey.open_ended = survey.is_open_ended(disk);
        survey.problems.sort_by_key(place);
        survey.problems.dedup_by_key(|problem| place(problem));
        Ok(survey)
    }

    /// Whether a segment behind the last one is gone, or the last one is damaged and no seal says
    /// that everything before it was written.
    fn is_open_ended(&self, disk: &dyn Disk) -> bool {
        let last = self.chain.segments.last();
        let sealed = last.is_some_and(|segment| segment.scanned.sealed);
        let last = last.map(|segment| segment.id).unwrap_or_default();
        self.problems.iter().any(|problem| {
            let (file, _) = place(problem);
            let name = file.strip_prefix(&format!("{}/", disk.path())).unwrap_or(&file);
            SegmentId::from_file_name(name).is_some_and(|id| id > last || id == last && !sealed)
        })
    }

    fn begin(chain: Chain, problems: Vec<JournalError>) -> Self {
        let headers = || chain.segments.iter().filter_map(|segment| segment.header);
        let told = headers().next_back().map(|header| (header.horizon, header.commits));
        let manifest = chain.manifest.map(|manifest| (manifest.horizon, manifest.commits));
        let (horizon, commits) = manifest.or(told).unwrap_or_default();
        let known = headers().map(|header| header.first.previous()).max();
        let newest = chain.manifest.map(|manifest| manifest.newest).unwrap_or_default();
        Self {
            horizon,
            commits,
            records: 0,
            bytes: 0,
            gaps: Gaps::after(horizon),
            open_ended: false,
            ceiling: headers().map(|header| header.ceiling).max().unwrap_or_default(),
            next: known.unwrap_or_default().max(horizon).next(),
            newest_segment: chain.newest().max(newest),
            chain,
            problems,
        }
    }

    /// Goes through every record that still checks.
    fn look(&mut self, disk: &dyn Disk) -> Result<(), JournalError> {
        let (mut bytes, mut buffer) = (0, Vec::new());
        let ids: Vec<_> = self.chain.segments.iter().map(|segment| segment.id).collect();
        for id in ids {
            let name = id.file_name();
            let segment = read_readable(disk, &name, &mut buffer)?;
            let home = home_of(segment, self.chain.journal(), id);
            let mut end = SEGMENT_HEADER_BYTES;
            for group in groups(segment, home) {
                if group.offset != end {
                    let what =
                        format!("no whole group of records is here up to byte {}", group.offset);
                    self.problems.push(Fault::Damaged(what).at(disk, &name, end as u64));
                }
                end = group.end;
                if let Err(fault) = self.take(&group) {
                    self.problems.push(fault.at(disk, &name, group.offset as u64));
                }
                if group.records > 0 && group.next() > self.horizon.next() {
                    bytes += (group.end - group.offset) as u64;
                }
            }
        }
        self.bytes = bytes;
        self.gaps.end_before(self.next);
        Ok(())
    }

    /// Counts what a group has. What does not parse is as good as gone.
    fn take(&mut self, group: &Group<'_>) -> Result<(), Fault> {
        self.next = self.next.max(group.next());
        each_record(group, &mut |sequence, record| {
            self.ceiling = self.ceiling.max(match &record {
                Record::State { state, .. } => state.version(),
                Record::UserDeletion { version, .. } | Record::Ceiling(version) => *version,
                Record::Seal => Version::ZERO,
            });
            if sequence > self.horizon && self.gaps.fill(sequence) {
                self.records += 1;
            }
        })?;
        for frame in Frames::of(group.payload).flatten() {
            if let Some(next) = frame.next() {
                self.newest_segment = self.newest_segment.max(next);
            }
        }
        Ok(())
    }

    /// Gives every record that still checks and is needed to `each`, in the order of the files.
    pub(super) fn each_kept(
        &self,
        disk: &dyn Disk,
        each: &mut dyn FnMut(Record) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut buffer = Vec::new();
        for segment in &self.chain.segments {
            let name = segment.id.file_name();
            let bytes = read_readable(disk, &name, &mut buffer)?;
            for group in groups(bytes, home_of(bytes, self.chain.journal(), segment.id)) {
                let mut kept = Vec::new();
                // What does not parse was told of before.
                each_record(&group, &mut |sequence, record| {
                    if sequence > self.horizon {
                        kept.push(record);
                    }
                })
                .ok();
                kept.into_iter().try_for_each(&mut *each)?;
            }
        }
        Ok(())
    }
}

/// Gives every record of a group to `each` until one does not parse.
fn each_record(group: &Group<'_>, each: &mut dyn FnMut(Sequence, Record)) -> Result<(), Fault> {
    let mut sequence = group.first;
    for frame in Frames::of(group.payload) {
        let frame = frame?;
        if frame.takes_sequence() {
            each(sequence, frame.decode()?);
            sequence = sequence.next();
        }
    }
    Ok(())
}

/// Where the bytes of a file belong: as its header says or, where that does not check, its name.
fn home_of(segment: &[u8], journal: Option<JournalId>, id: SegmentId) -> Home {
    let header = segment.first_chunk().and_then(|block| SegmentHeader::decode(block).ok());
    let home = header.map(|header| header.home());
    let named = Home { journal: journal.unwrap_or(JournalId(0)), segment: id };
    home.filter(|home| journal == Some(home.journal)).unwrap_or(named)
}

/// By which problems are ordered and told apart: the file and the place in it.
fn place(problem: &JournalError) -> (String, u64) {
    match problem {
        JournalError::Damaged(damage) => (damage.file.clone(), damage.offset),
        JournalError::NewerFormat { file, .. } | JournalError::Io { file, .. } => (file.clone(), 0),
        _ => Default::default(),
    }
}
