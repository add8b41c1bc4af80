//! The end of the journal: the open group, to which records are appended in memory.

use std::mem;

use crate::model::{Sequence, Version};

use super::{
    GROUP_HEADER_BYTES,
    allowance::Allowance,
    group::open_group,
    record::{put_ceiling, put_seal},
    sync::{AtomicU64, Mutex, Ordering},
};

/// Records that were appended together and become durable together.
pub(super) struct Group {
    /// Room for a header, then the records.
    pub buffer: Vec<u8>,
    pub first: Sequence,
    pub records: u32,
    /// The last ceiling among the records.
    pub ceiling: Option<Version>,
    /// Seals among the records.
    pub seals: u64,
}

impl Group {
    fn new(mut buffer: Vec<u8>, first: Sequence) -> Self {
        open_group(&mut buffer);
        Self { buffer, first, records: 0, ceiling: None, seals: 0 }
    }

    /// The last record's; the one before the first where it has none.
    pub fn last(&self) -> Sequence {
        Sequence::new(self.first.as_u64() + u64::from(self.records) - 1)
    }

    /// Without header and padding.
    pub fn payload_bytes(&self) -> usize {
        self.buffer.len() - GROUP_HEADER_BYTES
    }
}

/// One of two buffers fills here while the writer has the other.
pub(super) struct Tail {
    /// Innermost of all locks: locked under a shard's (I1), for a copy of one record, and by the
    /// writer for the exchange of the buffers. Nothing waits under it.
    open: Mutex<Open>,
    /// The last sequence given out; written under the lock.
    last: AtomicU64,
}

struct Open {
    group: Group,
    /// The highest ceiling that was appended, or found when the journal was opened: the last one
    /// counts at a start, so none lower may follow it while the journal is open.
    ceiling: Version,
    /// Nothing was appended since the last seal.
    sealed: bool,
}

impl Tail {
    /// The first record will follow `last`, no ceiling be below `ceiling`; `capacity` bytes are
    /// taken now, so that appending need not.
    pub fn new(last: Sequence, ceiling: Version, capacity: usize) -> Self {
        let group = Group::new(Vec::with_capacity(capacity), last.next());
        Self {
            // What is there was made durable before, or is nothing.
            open: Mutex::new(Open { group, ceiling, sealed: true }),
            last: AtomicU64::new(last.as_u64()),
        }
    }

    /// Appends the one record that `put` writes, and charges its bytes.
    pub fn append(&self, allowance: &Allowance, put: impl FnOnce(&mut Vec<u8>)) -> Sequence {
        self.open.lock().put(self, allowance, put)
    }

    /// As [`Self::append`], for a ceiling; the highest until now where `ceiling` is lower. Whoever
    /// wants one computed it before, and others may have appended theirs in between.
    pub fn append_ceiling(&self, allowance: &Allowance, ceiling: Version) -> Sequence {
        let mut open = self.open.lock();
        let ceiling = open.ceiling.max(ceiling);
        open.put_ceiling(self, allowance, ceiling)
    }

    /// As [`Self::append_ceiling`], also where it is lower: for the end of the journal.
    pub fn append_last_ceiling(&self, allowance: &Allowance, ceiling: Version) -> Sequence {
        self.open.lock().put_ceiling(self, allowance, ceiling)
    }

    /// Appends a seal; none where nothing was appended since the last one.
    pub fn append_seal(&self, allowance: &Allowance) -> Option<Sequence> {
        let mut open = self.open.lock();
        if open.sealed {
            return None;
        }
        let sequence = open.put(self, allowance, put_seal);
        open.group.seals += 1;
        open.sealed = true;
        Some(sequence)
    }

    /// The last sequence given out.
    pub fn last(&self) -> Sequence {
        Sequence::new(self.last.load(Ordering::SeqCst))
    }

    /// Bytes of the records in the open group.
    pub fn payload_bytes(&self) -> usize {
        self.open.lock().group.payload_bytes()
    }

    /// Nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.open.lock().group.records == 0
    }

    /// Takes the open group where `fits` says that its payload can be written; `buffer` is filled
    /// next.
    pub fn take(&self, buffer: &mut Vec<u8>, fits: impl FnOnce(usize) -> bool) -> Take {
        let mut open = self.open.lock();
        if open.group.records == 0 {
            return Take::Empty;
        }
        if !fits(open.group.payload_bytes()) {
            return Take::NoRoom;
        }
        let next = Group::new(mem::take(buffer), open.group.last().next());
        Take::Group(mem::replace(&mut open.group, next))
    }
}

impl Open {
    fn put_ceiling(&mut self, tail: &Tail, allowance: &Allowance, ceiling: Version) -> Sequence {
        self.ceiling = self.ceiling.max(ceiling);
        self.group.ceiling = Some(ceiling);
        self.put(tail, allowance, |bytes| put_ceiling(bytes, ceiling))
    }

    fn put(
        &mut self,
        tail: &Tail,
        allowance: &Allowance,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> Sequence {
        let before = self.group.buffer.len();
        put(&mut self.group.buffer);
        self.group.records += 1;
        self.sealed = false;
        // Charged before the group can be taken, or its end would free what was never charged.
        allowance.spend(self.group.buffer.len() - before);
        let last = self.group.last();
        tail.last.store(last.as_u64(), Ordering::SeqCst);
        last
    }
}

/// What there was to take.
pub(super) enum Take {
    Empty,
    /// A group that cannot be written yet; it goes on filling.
    NoRoom,
    Group(Group),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::allowance::{Space, SpareState};

    fn tail(last: u64) -> (Tail, Allowance) {
        let space = Space { room_bytes: 0, spare: SpareState::Ready, low: false };
        (Tail::new(Sequence::new(last), Version::from_micros(3), 100), Allowance::new(1_000, space))
    }

    fn take(tail: &Tail, buffer: &mut Vec<u8>) -> Option<Group> {
        match tail.take(buffer, |_| true) {
            Take::Group(group) => Some(group),
            Take::Empty | Take::NoRoom => None,
        }
    }

    #[test]
    fn groups_continue_each_other_and_the_buffers_take_turns() {
        let (tail, allowance) = tail(7);
        let append = |byte| tail.append(&allowance, |bytes| bytes.push(byte)).as_u64();
        let mut spare = Vec::with_capacity(100);
        let buffers = [spare.as_ptr(), tail.open.lock().group.buffer.as_ptr()];
        assert!(take(&tail, &mut spare).is_none());
        for round in 0..4 {
            let first = 8 + 2 * round;
            assert_eq!((append(1), append(2)), (first, first + 1));
            assert_eq!((tail.last().as_u64(), tail.payload_bytes()), (first + 1, 2));
            let group = take(&tail, &mut spare).expect("it has records");
            assert_eq!((group.first.as_u64(), group.last().as_u64()), (first, first + 1));
            assert_eq!((group.records, &group.buffer[32..]), (2, &[1, 2][..]));
            assert!(buffers.contains(&group.buffer.as_ptr()), "no buffer was allocated");
            assert!(tail.is_empty() && take(&tail, &mut spare).is_none());
            spare = group.buffer;
        }
        assert_eq!(allowance.pending_bytes().0, 8);
    }

    #[test]
    fn a_group_that_does_not_fit_goes_on_filling() {
        let (tail, allowance) = tail(0);
        let append = || tail.append(&allowance, |bytes| bytes.extend([1; 10]));
        append();
        assert!(matches!(tail.take(&mut Vec::new(), |payload| payload < 10), Take::NoRoom));
        append();
        let group = take(&tail, &mut Vec::new()).expect("it has records");
        assert_eq!((group.records, group.payload_bytes()), (2, 20));
    }

    #[test]
    fn a_seal_is_put_once_behind_what_was_appended() {
        let (tail, allowance) = tail(0);
        assert_eq!(tail.append_seal(&allowance), None);
        tail.append(&allowance, |bytes| bytes.push(1));
        assert_eq!(tail.append_seal(&allowance), Some(Sequence::new(2)));
        assert_eq!(tail.append_seal(&allowance), None);
        tail.append_ceiling(&allowance, Version::from_micros(5));
        assert_eq!(tail.append_seal(&allowance), Some(Sequence::new(4)));
        let group = take(&tail, &mut Vec::new()).expect("it has records");
        assert_eq!((group.records, group.seals), (4, 2));
        assert_eq!(group.ceiling, Some(Version::from_micros(5)));
    }

    #[test]
    fn a_ceiling_is_not_below_one_before_it_but_at_the_end() {
        let (tail, allowance) = tail(0);
        let ceiling = || take(&tail, &mut Vec::new()).and_then(|group| group.ceiling);
        // The tail was opened behind a ceiling of 3.
        for (wanted, appended) in [(2, 3), (9, 9), (8, 9), (5, 9), (10, 10)] {
            tail.append_ceiling(&allowance, Version::from_micros(wanted));
            assert_eq!(ceiling(), Some(Version::from_micros(appended)));
        }
        tail.append_last_ceiling(&allowance, Version::from_micros(4));
        assert_eq!(ceiling(), Some(Version::from_micros(4)));
        tail.append_ceiling(&allowance, Version::from_micros(1));
        assert_eq!(ceiling(), Some(Version::from_micros(10)), "whoever is late lowers nothing");
    }
}
