//! Reads one segment: which groups stand in it, and whether that is all that ever stood there.
//!
//! Groups are written one at a time, each synced before the next. So where a group is not whole
//! and none follows, it was cut off while it was written and nobody was told of it. Where one
//! follows, or where the next segment remembers a later end, the segment is damaged. So it is where
//! records stand behind the end that the next one remembers: two processes wrote at once, and both
//! may have been believed.

use crate::model::{Sequence, Version};

use super::{
    Link, SEGMENT_HEADER_BYTES, SegmentId,
    error::Fault,
    frame::Frames,
    group::{GROUP_ALIGN, Group, Home},
};

/// Something wrong at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) offset: u64,
    pub(super) fault: Fault,
}

impl Misfit {
    fn damaged(offset: u64, what: String) -> Self {
        Self { offset, fault: Fault::Damaged(what) }
    }
}

/// What stands in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Its first record, or the first that it would have.
    pub(super) first: Sequence,
    /// Where its records end, as its successor remembers it.
    pub(super) end: Link,
    /// Where its last group of records begins.
    pub(super) last_group: Option<u64>,
    /// Records that take a sequence.
    pub(super) records: u64,
    /// The newest ceiling among them.
    pub(super) ceiling: Option<Version>,
    /// Whether the last record is a seal.
    pub(super) sealed: bool,
    /// The segment that follows, where a mark says so, and the place of the mark.
    pub(super) mark: Option<(SegmentId, u64)>,
    /// Bytes behind the end that are no group and not empty.
    pub(super) torn_bytes: u64,
}

/// Reads the segment at `home` whose first record is `first`. Its groups go up to the end that its
/// successor remembers or, in the last segment, up to the first place where none is whole.
pub(super) fn scan(
    segment: &[u8],
    home: Home,
    first: Sequence,
    end: Option<&Link>,
) -> Result<Scanned, Misfit> {
    let mut scanned = Scanned::empty(home, first);
    while end.is_none_or(|link| link.end != scanned.end.end) && scanned.mark.is_none() {
        let Some(group) = Group::at(segment, home, scanned.end.end as usize) else { break };
        scanned.check_order(&group)?;
        scanned.add(&group)?;
    }
    match end {
        Some(link) => {
            scanned.check_end(link)?;
            scanned.check_behind(segment, home)?;
        }
        None => scanned.check_tail(segment, home)?,
    }
    Ok(scanned)
}

/// Reads whatever still checks of the segment at `home`, whose header may be gone.
pub(super) fn salvage(segment: &[u8], home: Home) -> Scanned {
    let mut scanned = Scanned::empty(home, Sequence::ZERO.next());
    for group in groups(segment, home) {
        if scanned.last_group.is_none() {
            scanned.first = group.first;
        }
        // A group that checks was written so; what does not parse in it is of no use to anyone.
        scanned.add(&group).ok();
    }
    scanned
}

/// Every whole group of the segment at `home`, in order, whatever stands between them.
pub(super) fn groups(segment: &[u8], home: Home) -> impl Iterator<Item = Group<'_>> {
    groups_behind(segment, home, SEGMENT_HEADER_BYTES)
}

fn groups_behind(segment: &[u8], home: Home, mut at: usize) -> impl Iterator<Item = Group<'_>> {
    std::iter::from_fn(move || {
        let group = Group::find(segment, home, at)?;
        at = group.end;
        Some(group)
    })
}

impl Scanned {
    fn empty(home: Home, first: Sequence) -> Self {
        let end = SEGMENT_HEADER_BYTES as u64;
        let last = first.previous();
        Self {
            first,
            end: Link { segment: home.segment, end, last, group_crc: 0 },
            last_group: None,
            records: 0,
            ceiling: None,
            sealed: false,
            mark: None,
            torn_bytes: 0,
        }
    }

    fn check_order(&self, group: &Group<'_>) -> Result<(), Misfit> {
        let (wanted, found) = (self.end.last.next(), group.first);
        if wanted == found {
            return Ok(());
        }
        let what = format!("record {wanted} should be here, and here is {found}");
        Err(Misfit::damaged(group.offset as u64, what))
    }

    fn add(&mut self, group: &Group<'_>) -> Result<(), Misfit> {
        let at = group.offset as u64;
        let misfit = |fault| Misfit { offset: at, fault };
        let mut records = 0;
        let (mut ceiling, mut sealed, mut mark) = (self.ceiling, false, None);
        for frame in Frames::of(group.payload) {
            let frame = frame.map_err(misfit)?;
            records += u32::from(frame.takes_sequence());
            ceiling = frame.ceiling().or(ceiling);
            sealed = frame.is_seal();
            mark = frame.next().or(mark);
        }
        let counts = if mark.is_some() { records == 0 } else { records > 0 };
        if records != group.records || !counts {
            let what = format!("{} records should be here, and these are {records}", group.records);
            return Err(Misfit::damaged(at, what));
        }
        let Some(next) = group.first.as_u64().checked_add(records.into()) else {
            let what = format!("{records} records from {} on have no numbers", group.first);
            return Err(Misfit::damaged(at, what));
        };
        if let Some(next) = mark {
            self.mark = Some((next, at));
            return Ok(());
        }
        (self.ceiling, self.sealed, self.last_group) = (ceiling, sealed, Some(at));
        self.records += u64::from(records);
        self.end = Link {
            end: group.end as u64,
            last: Sequence::new(next).previous(),
            group_crc: group.crc,
            ..self.end
        };
        Ok(())
    }

    fn check_end(&self, remembered: &Link) -> Result<(), Misfit> {
        if self.end == *remembered {
            return Ok(());
        }
        let what = if self.end.end == remembered.end {
            "the next segment remembers other records before this place".to_owned()
        } else {
            let end = remembered.end;
            format!("no whole group of records is here, and the next segment says up to byte {end}")
        };
        Err(Misfit::damaged(self.end.end, what))
    }

    /// Nothing but the mark may follow the end that the next segment remembers.
    fn check_behind(&self, segment: &[u8], home: Home) -> Result<(), Misfit> {
        let mut behind = self.clone();
        for group in groups_behind(segment, home, self.end.end as usize) {
            behind.add(&group)?;
            if behind.end != self.end {
                let end = self.end.end;
                let what =
                    format!("records are here, and the next segment says that they end at {end}");
                return Err(Misfit::damaged(group.offset as u64, what));
            }
        }
        Ok(())
    }

    fn check_tail(&mut self, segment: &[u8], home: Home) -> Result<(), Misfit> {
        if let Some((next, at)) = self.mark {
            let what = format!("it says that segment {next} follows, which is missing");
            return Err(Misfit::damaged(at, what));
        }
        let end = self.end.end as usize;
        let Some(last) = segment[end..].iter().rposition(|byte| *byte != 0) else { return Ok(()) };
        if let Some(group) = Group::find(segment, home, end + GROUP_ALIGN) {
            let at = group.offset;
            let what = format!("no whole group of records is here, but one follows at byte {at}");
            return Err(Misfit::damaged(self.end.end, what));
        }
        self.torn_bytes = last as u64 + 1;
        Ok(())
    }
}
