//! Records that are made durable by one write and one sync.
//!
//! Starts at a multiple of 8. Integers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic |
//! | 4 | length of the payload |
//! | 4 | number of records that take a sequence |
//! | 4 | crc32c of journal id, segment id, and all of the group without these 4 bytes |
//! | 8 | sequence of the first record; where none takes one, of the next that will |
//! | 8 | zeros |
//! | ... | payload: records back to back |
//! | 0..7 | zeros up to a multiple of 8 |
//!
//! The ids in the checksum are not stored: the bytes of another segment or journal never check, so
//! that what a disk held before cannot pass for records.

use crc32c::{crc32c, crc32c_append};

use crate::{
    model::Sequence,
    sabotage::{self, Fault},
};

use super::{JournalId, SegmentId};

/// Before a group's payload.
pub const GROUP_HEADER_BYTES: usize = 32;

/// No payload is longer.
pub const GROUP_BYTES_MAX: usize = 16 << 20;

/// Groups begin at multiples of this.
pub(super) const GROUP_ALIGN: usize = 8;

/// How a group begins. No byte of it is 0, as empty space is.
pub(super) const GROUP_MAGIC: [u8; 4] = [0x9d, b'r', b's', b'g'];

/// Where a group belongs, which its checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// The journal.
    pub journal: JournalId,
    /// The segment in it.
    pub segment: SegmentId,
}

/// Empties `buffer` and leaves room for a header: records are appended next, then it is closed.
pub fn open_group(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(GROUP_HEADER_BYTES, 0);
}

/// Makes a whole group of a header's room and the records appended to it: pads it and fills the
/// header in. Answers its checksum, which the next segment's header remembers.
pub fn close_group(buffer: &mut Vec<u8>, home: Home, first: Sequence, records: u32) -> u32 {
    let length = buffer.len() - GROUP_HEADER_BYTES;
    debug_assert!(length <= GROUP_BYTES_MAX, "the tail keeps to GROUP_BYTES_MAX");
    buffer.resize(buffer.len().next_multiple_of(GROUP_ALIGN), 0);
    buffer[..4].copy_from_slice(&GROUP_MAGIC);
    buffer[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    buffer[8..12].copy_from_slice(&records.to_le_bytes());
    buffer[16..24].copy_from_slice(&first.as_u64().to_le_bytes());
    let sum = checksum(home, buffer);
    buffer[12..16].copy_from_slice(&sum.to_le_bytes());
    sum
}

/// Bytes that a group with this much payload takes in its segment.
pub const fn group_bytes(payload_bytes: usize) -> usize {
    (GROUP_HEADER_BYTES + payload_bytes).next_multiple_of(GROUP_ALIGN)
}

/// A group as it stands in a segment, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group<'a> {
    /// In bytes from the start of the segment.
    pub(super) offset: usize,
    /// Just behind it.
    pub(super) end: usize,
    /// Of its first record; where none takes one, the next that will be given.
    pub(super) first: Sequence,
    /// Records that take a sequence.
    pub(super) records: u32,
    /// Its checksum.
    pub(super) crc: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Group<'a> {
    /// The group at `offset` of `segment`, if there is a whole one.
    pub(super) fn at(segment: &'a [u8], home: Home, offset: usize) -> Option<Self> {
        let rest = segment.get(offset..)?;
        let header: &[u8; GROUP_HEADER_BYTES] = rest.first_chunk()?;
        if header[..4] != GROUP_MAGIC {
            return None;
        }
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
        let length = usize::try_from(word(4)).ok().filter(|length| *length <= GROUP_BYTES_MAX)?;
        let group = rest.get(..group_bytes(length))?;
        let crc = word(12);
        if checksum(home, group) != crc && !sabotage::is(Fault::NoChecksum) {
            return None;
        }
        let first = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte| header[16 + byte]));
        Some(Self {
            offset,
            end: offset + group.len(),
            first: Sequence::new(first),
            records: word(8),
            crc,
            payload: &group[GROUP_HEADER_BYTES..GROUP_HEADER_BYTES + length],
        })
    }

    /// The first whole group at `offset` or further on.
    pub(super) fn find(segment: &'a [u8], home: Home, offset: usize) -> Option<Self> {
        let offset = offset.next_multiple_of(GROUP_ALIGN);
        let (places, _) = segment.get(offset..)?.as_chunks::<GROUP_ALIGN>();
        let begun = places.iter().enumerate().filter(|(_, place)| place[..4] == GROUP_MAGIC);
        begun
            .map(|(place, _)| offset + place * GROUP_ALIGN)
            .find_map(|at| Self::at(segment, home, at))
    }

    /// The sequence of the record after its last.
    pub(super) fn next(&self) -> Sequence {
        Sequence::new(self.first.as_u64().saturating_add(self.records.into()))
    }
}

fn checksum(home: Home, group: &[u8]) -> u32 {
    let mut ids = [0; 16];
    ids[..8].copy_from_slice(&home.journal.0.to_le_bytes());
    if !sabotage::is(Fault::ChecksumWithoutSegment) {
        ids[8..].copy_from_slice(&home.segment.0.to_le_bytes());
    }
    crc32c_append(crc32c_append(crc32c(&ids), &group[..12]), &group[16..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home = Home { journal: JournalId(7), segment: SegmentId(3) };

    fn group(payload: &[u8]) -> Vec<u8> {
        let mut group = Vec::new();
        open_group(&mut group);
        group.extend_from_slice(payload);
        close_group(&mut group, HOME, Sequence::new(40), 2);
        group
    }

    #[test]
    fn a_group_comes_back_from_its_place() {
        for length in 0..20 {
            let payload = vec![9; length];
            let bytes = group(&payload);
            assert_eq!(bytes.len(), group_bytes(length));
            let segment = [vec![0; 24], bytes].concat();
            let read = Group::at(&segment, HOME, 24).expect("it is whole");
            assert_eq!((read.payload, read.records, read.end), (&payload[..], 2, segment.len()));
            assert_eq!((read.first.as_u64(), read.next().as_u64()), (40, 42));
            assert_eq!(Group::find(&segment, HOME, 0), Some(read));
            assert_eq!(Group::find(&segment, HOME, 25), None);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let whole = group(b"some records");
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Group::at(&damaged, HOME, 0), None, "bit {bit}");
        }
        for length in 0..whole.len() {
            assert_eq!(Group::at(&whole[..length], HOME, 0), None, "cut to {length}");
        }
    }

    #[test]
    fn a_group_is_nowhere_at_home_but_in_its_journal_and_segment() {
        let bytes = group(b"some records");
        let elsewhere = [
            Home { journal: JournalId(8), ..HOME },
            Home { segment: SegmentId(4), ..HOME },
            Home { journal: JournalId(3), segment: SegmentId(7) },
        ];
        for home in elsewhere {
            assert_eq!(Group::at(&bytes, home, 0), None);
        }
        assert!(Group::at(&bytes, HOME, 0).is_some());
    }
}
