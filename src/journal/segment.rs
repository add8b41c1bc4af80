//! A preallocated file of groups: its header, and how one comes to be.
//!
//! A segment is prepared under another name, filled with zeros, so that no later write of a group
//! changes its length. It takes its own name with its header in place, and only then does the one
//! before it end.

use crate::{
    model::{Sequence, Version},
    sabotage::{self, Fault as Sabotage},
    store::CommitNumber,
};

use super::{
    Disk, DiskFile, JournalError, JournalId, Link, SegmentId, block, error::Fault, group::Home,
};

/// Before a segment's first group.
pub const SEGMENT_HEADER_BYTES: usize = 4096;

/// No segment is longer: it is read into memory as a whole.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// The name of a segment that is being prepared.
pub(super) const SPARE: &str = "spare.new";

const MAGIC: &[u8; 8] = b"rs-segmt";

/// Zeros are written in pieces of this size.
const ZEROS_BYTES: usize = 256 << 10;

/// What a segment says of itself and of what was before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The journal that it is of.
    pub journal: JournalId,
    /// Its place in the journal.
    pub segment: SegmentId,
    /// Length of its file.
    pub segment_bytes: u64,
    /// Its first record, or the first one that will be.
    pub first: Sequence,
    /// The newest ceiling of versions when it was begun.
    pub ceiling: Version,
    /// The horizon when it was begun: no record up to this one was needed.
    pub horizon: Sequence,
    /// What the store had persisted at that horizon.
    pub commits: CommitNumber,
    /// The end of the segment before it.
    pub previous: Link,
    /// A repair wrote it. Records that stood between its records may be gone, so what it says of a
    /// state may be older than what the store has.
    pub repaired: bool,
}

impl SegmentHeader {
    /// What the checksums of its groups cover.
    pub fn home(&self) -> Home {
        Home { journal: self.journal, segment: self.segment }
    }

    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let numbers = [
            self.journal.0,
            self.segment.0,
            self.segment_bytes,
            self.first.as_u64(),
            self.ceiling.as_micros(),
            self.horizon.as_u64(),
            self.commits.0,
            self.previous.segment.0,
            self.previous.end,
            self.previous.last.as_u64(),
            self.previous.group_crc.into(),
            self.repaired.into(),
        ];
        block::encode(MAGIC, &numbers)
    }

    pub(super) fn decode(block: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, Fault> {
        let [journal, segment, segment_bytes, first, ceiling, horizon, commits, previous @ ..] =
            block::decode::<_, 12>(MAGIC, block)?;
        // Releases without the last one wrote zeros there.
        let [previous, end, last, group_crc, repaired] = previous;
        Ok(Self {
            journal: JournalId(journal),
            segment: SegmentId(segment),
            segment_bytes,
            first: Sequence::new(first),
            ceiling: Version::from_micros(ceiling),
            horizon: Sequence::new(horizon),
            commits: CommitNumber(commits),
            previous: Link {
                segment: SegmentId(previous),
                end,
                last: Sequence::new(last),
                group_crc: group_crc as u32,
            },
            repaired: repaired != 0,
        })
    }
}

/// A segment without a place yet: zeros that are on the disk for good.
pub struct Spare {
    file: Box<dyn DiskFile>,
    bytes: u64,
}

impl Spare {
    /// Writes and syncs `bytes` zeros. What was left of an earlier attempt is overwritten.
    ///
    /// # Errors
    /// [`JournalError::Io`], above all where the disk is full; [`Self::discard`] then frees it.
    pub fn prepare(disk: &dyn Disk, bytes: u64) -> Result<Self, JournalError> {
        let prepare = || {
            let file = disk.create(SPARE)?;
            let zeros = vec![0; ZEROS_BYTES];
            let mut at = 0;
            while at < bytes {
                let piece = (bytes - at).min(ZEROS_BYTES as u64);
                file.write_at(at, &zeros[..piece as usize])?;
                at += piece;
            }
            file.sync_all()?;
            Ok(Self { file, bytes })
        };
        prepare().map_err(|error| JournalError::io("preparing", disk, SPARE, error))
    }

    /// Removes what a failed [`Self::prepare`], or one that is not needed any more, left behind.
    ///
    /// # Errors
    /// [`JournalError::Io`]; none where nothing was left.
    pub fn discard(disk: &dyn Disk) -> Result<(), JournalError> {
        match disk.remove(SPARE) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(JournalError::io("removing", disk, SPARE, error))
            }
            _ => Ok(()),
        }
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives it the place that `header` tells of, for good. The header's `segment_bytes` is this
    /// spare's length, whatever it said.
    ///
    /// # Errors
    /// [`JournalError::Io`]: whether it has its name then is not known (I10).
    pub fn take_place(
        self,
        disk: &dyn Disk,
        header: SegmentHeader,
    ) -> Result<Box<dyn DiskFile>, JournalError> {
        let header = SegmentHeader { segment_bytes: self.bytes, ..header };
        let name = header.segment.file_name();
        let take = || {
            self.file.write_at(0, &header.encode())?;
            self.file.sync_all()?;
            disk.rename(SPARE, &name)?;
            if sabotage::is(Sabotage::NoFolderSync) {
                return Ok(());
            }
            disk.sync()
        };
        take().map_err(|error| JournalError::io("beginning", disk, &name, error))?;
        Ok(self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{DiskCall, SimulatedDisk};

    fn header() -> SegmentHeader {
        SegmentHeader {
            journal: JournalId(1),
            segment: SegmentId(2),
            segment_bytes: 8192,
            first: Sequence::new(3),
            ceiling: Version::from_micros(4),
            horizon: Sequence::new(5),
            commits: CommitNumber(6),
            previous: Link {
                segment: SegmentId(7),
                end: 8,
                last: Sequence::new(9),
                group_crc: u32::MAX,
            },
            repaired: false,
        }
    }

    #[test]
    fn a_header_comes_back() {
        for header in [header(), SegmentHeader { repaired: true, ..header() }] {
            assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn a_segment_has_its_name_only_with_its_header_and_for_good() {
        let disk = SimulatedDisk::default();
        let spare = Spare::prepare(&disk, 600 << 10).expect("no fault");
        assert!(disk.image().is_empty(), "a spare needs no name that lasts");
        let file = spare.take_place(&disk, header()).expect("no fault");
        let image = disk.image();
        let [(name, bytes)] = image.iter().collect::<Vec<_>>()[..] else { panic!("one file") };
        assert_eq!((name.as_str(), bytes.len()), ("00000000000000000002.segment", 600 << 10));
        let wanted = SegmentHeader { segment_bytes: 600 << 10, ..header() };
        let block = bytes.first_chunk().expect("it is longer");
        assert_eq!(SegmentHeader::decode(block), Ok(wanted));
        assert!(bytes[SEGMENT_HEADER_BYTES..].iter().all(|byte| *byte == 0));
        assert_eq!(file.len().expect("no fault"), 600 << 10);
    }

    #[test]
    fn a_spare_that_finds_no_room_leaves_nothing_once_discarded() {
        let disk = SimulatedDisk::default();
        disk.faults().fail(DiskCall::Write, 2, 28);
        assert!(Spare::prepare(&disk, 1 << 20).is_err());
        Spare::discard(&disk).expect("no fault");
        assert_eq!(disk.names().expect("no fault"), [""; 0]);
        Spare::discard(&disk).expect("nothing is left to discard");
    }
}
