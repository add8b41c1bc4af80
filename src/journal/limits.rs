//! What the options come to: every bound of the appending side, fitted to each other.

use super::{
    GROUP_BYTES_MAX, JournalOptions, RECORD_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES,
    group::group_bytes, record::RECORD_HEADER_BYTES,
};

/// No segment is smaller, whatever the options say: there must be room for a few records.
pub const SEGMENT_BYTES_MIN: u64 = 16 << 10;

/// What a group takes beyond its payload at most.
const GROUP_OVERHEAD_BYTES: usize = group_bytes(1) - 1;

/// What the mark at a segment's end takes.
const NEXT_BYTES: u64 = group_bytes(RECORD_HEADER_BYTES + size_of::<u64>()) as u64;

/// Charged for a record before it is there: it may be the longest, and alone in its group.
pub(super) const RESERVED_BYTES: i64 = (RECORD_BYTES_MAX + GROUP_OVERHEAD_BYTES) as i64;

/// Kept in every segment for ceilings and seals, which nobody reserves, and for the groups that
/// are open and being written.
const KEPT_BYTES_MAX: u64 = 64 << 10;

/// The bounds of one journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub segment_bytes: u64,
    /// Records reserved, or appended and not durable yet.
    pub pending_bytes_max: usize,
    pub size_bytes: u64,
    pub reserve_bytes: u64,
    kept_bytes: u64,
}

impl Limits {
    /// An empty segment has room for everything that may be pending. So with a spare at hand only
    /// memory bounds what is taken.
    pub fn of(options: &JournalOptions) -> Self {
        let segment_bytes = options.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let kept_bytes = KEPT_BYTES_MAX.min(segment_bytes / 16);
        let room = segment_bytes - SEGMENT_HEADER_BYTES as u64 - NEXT_BYTES - kept_bytes;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let most = room.min(GROUP_BYTES_MAX - KEPT_BYTES_MAX as usize);
        let pending_bytes_max = options.pending_bytes_max.clamp(RESERVED_BYTES as usize, most);
        let JournalOptions { size_bytes, reserve_bytes, .. } = *options;
        Self { segment_bytes, pending_bytes_max, size_bytes, reserve_bytes, kept_bytes }
    }

    /// The longest group that an empty segment takes.
    pub fn group_room(&self) -> u64 {
        Self::group_room_at(self.segment_bytes, SEGMENT_HEADER_BYTES as u64)
    }

    /// The longest group that may begin at `end` of a segment of `segment_bytes`.
    pub fn group_room_at(segment_bytes: u64, end: u64) -> u64 {
        segment_bytes.saturating_sub(end + NEXT_BYTES)
    }

    /// What of that may be reserved.
    pub fn room_bytes(&self, segment_bytes: u64, end: u64) -> u64 {
        Self::group_room_at(segment_bytes, end).saturating_sub(self.kept_bytes)
    }

    /// The most records that one reservation can be for.
    pub fn records_max(&self) -> usize {
        self.pending_bytes_max / RESERVED_BYTES as usize
    }

    /// Bytes of one buffer.
    pub fn buffer_bytes(&self) -> usize {
        group_bytes(self.pending_bytes_max + self.kept_bytes as usize)
    }
}

impl JournalOptions {
    /// Memory that a journal takes at most for records, to be charged to the whole: two buffers.
    pub fn memory_bytes(&self) -> usize {
        2 * Limits::of(self).buffer_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_segment_takes_whatever_may_be_pending() {
        let default = JournalOptions::default();
        for segment_bytes in [0, 1 << 15, 1 << 20, 1 << 26, 1 << 40] {
            for pending_bytes_max in [0, 1 << 12, 1 << 24, usize::MAX] {
                let options = JournalOptions { segment_bytes, pending_bytes_max, ..default };
                let limits = Limits::of(&options);
                let room = limits.room_bytes(limits.segment_bytes, SEGMENT_HEADER_BYTES as u64);
                assert!(limits.pending_bytes_max as u64 <= room, "{limits:?}");
                assert!(limits.kept_bytes as usize >= 4 * GROUP_OVERHEAD_BYTES, "{limits:?}");
                assert!(limits.buffer_bytes() <= group_bytes(GROUP_BYTES_MAX), "{limits:?}");
                assert!(limits.records_max() >= 1, "{limits:?}");
            }
        }
    }

    #[test]
    fn the_defaults_stay_as_they_are() {
        let limits = Limits::of(&JournalOptions::default());
        assert_eq!(limits.segment_bytes, 64 << 20);
        assert_eq!(limits.pending_bytes_max, (16 << 20) - (64 << 10));
        assert_eq!(JournalOptions::default().memory_bytes(), (32 << 20) + 64);
    }
}
