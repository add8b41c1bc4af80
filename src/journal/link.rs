//! Where a segment ends, as its successor remembers it.

use crate::model::Sequence;

use super::SegmentId;

/// The end of a segment. The default is the end of none: what the first segment follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Which segment; [`SegmentId::NONE`] for none.
    pub segment: SegmentId,
    /// Just behind its last group of records, in bytes from its start.
    pub end: u64,
    /// The last record in it or before it.
    pub last: Sequence,
    /// Checksum of its last group; 0 where it has none.
    pub group_crc: u32,
}
