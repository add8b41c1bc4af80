//! Which segments there are, and up to where they are needed.

use std::collections::VecDeque;

use crate::model::{Sequence, Version};

use super::{Manifest, SegmentId};

/// A segment that is written to its end and still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub segment: SegmentId,
    /// The last record in it or before it.
    pub last: Sequence,
    /// Length of its file.
    pub bytes: u64,
}

/// Written under their lock and, as they follow what is on the disk, under the folder's.
pub(super) struct Books {
    /// As it is on the disk, for good.
    pub manifest: Manifest,
    /// From the oldest on, without the current one.
    pub kept: VecDeque<Kept>,
    /// The segment that is being written, and its bytes.
    pub current: (SegmentId, u64),
    /// The newest ceiling that is durable.
    pub ceiling: Version,
    /// Bytes that the last checkpoint copied.
    pub checkpoint_bytes: u64,
}

impl Books {
    /// Bytes of all segment files.
    pub fn bytes(&self) -> u64 {
        self.kept.iter().map(|kept| kept.bytes).sum::<u64>() + self.current.1
    }

    /// Segment files.
    pub fn segments(&self) -> usize {
        self.kept.len() + 1
    }

    /// How many segments may go with this horizon: from the front only, only as a whole (I9), and
    /// no more than it takes to come down to `size_bytes`.
    pub fn freeable(&self, horizon: Sequence, size_bytes: u64) -> usize {
        let mut bytes = self.bytes();
        let mut freed = 0;
        for kept in &self.kept {
            if bytes <= size_bytes || kept.last > horizon {
                break;
            }
            bytes -= kept.bytes;
            freed += 1;
        }
        freed
    }

    /// The oldest segment that is left once so many are gone.
    pub fn oldest_after(&self, freed: usize) -> SegmentId {
        self.kept.get(freed).map_or(self.current.0, |kept| kept.segment)
    }

    /// Goes on in the segment `id`; the current one ended with the record `last`.
    pub fn roll(&mut self, last: Sequence, id: SegmentId, bytes: u64) {
        let (segment, ended_bytes) = std::mem::replace(&mut self.current, (id, bytes));
        self.kept.push_back(Kept { segment, last, bytes: ended_bytes });
    }

    /// So much is on the disk though nothing can go that copying what is dirty will pay: the copy
    /// is at most half of it.
    pub fn wants_checkpoint(&self, size_bytes: u64) -> bool {
        let enough = size_bytes.max(self.checkpoint_bytes.saturating_mul(2));
        let held = self.kept.front().is_some_and(|kept| kept.last > self.manifest.horizon);
        held && self.bytes() > enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{journal::JournalId, store::CommitNumber};

    /// Segments 3, 4, 5 of 100 bytes with 10 records each, and the current one.
    fn books(horizon: u64) -> Books {
        let manifest = Manifest {
            journal: JournalId(1),
            store: 1,
            horizon: Sequence::new(horizon),
            commits: CommitNumber(0),
            oldest: SegmentId(3),
            newest: SegmentId(6),
            ceiling: Version::ZERO,
        };
        let mut books = Books {
            manifest,
            kept: VecDeque::new(),
            current: (SegmentId(3), 100),
            ceiling: Version::ZERO,
            checkpoint_bytes: 0,
        };
        for (last, next) in [(10, 4), (20, 5), (30, 6)] {
            books.roll(Sequence::new(last), SegmentId(next), 100);
        }
        books
    }

    #[test]
    fn only_a_prefix_below_the_horizon_goes_and_no_more_than_needed() {
        let books = books(0);
        assert_eq!((books.bytes(), books.segments()), (400, 4));
        for (horizon, size_bytes, freed) in [
            (0, 0, 0),
            (9, 0, 0),
            (10, 0, 1),
            (29, 0, 2),
            (30, 0, 3),
            (999, 0, 3),
            (999, 400, 0),
            (999, 399, 1),
            (999, 300, 1),
            (999, 200, 2),
        ] {
            let got = books.freeable(Sequence::new(horizon), size_bytes);
            assert_eq!(got, freed, "horizon {horizon}, {size_bytes} bytes");
        }
        assert_eq!([0, 2, 3].map(|freed| books.oldest_after(freed).0), [3, 5, 6]);
    }

    #[test]
    fn a_checkpoint_is_wanted_where_nothing_can_go_and_copying_pays() {
        assert!(books(9).wants_checkpoint(399));
        assert!(!books(9).wants_checkpoint(400));
        assert!(!books(10).wants_checkpoint(0), "the first segment can go without");
        let copied = Books { checkpoint_bytes: 200, ..books(9) };
        assert!(!copied.wants_checkpoint(0));
        assert!(Books { checkpoint_bytes: 199, ..books(9) }.wants_checkpoint(0));
    }
}
