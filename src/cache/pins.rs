//! Which records of the journal are still needed: those from the first change on that the store
//! does not have.

use std::collections::BTreeMap;

use crate::{
    model::Sequence,
    sabotage::{self, Fault},
};

/// Records counted under one number at most: the index stays small however many states are dirty,
/// and the journal is let go in whole segments anyway.
const RECORDS_PER_BUCKET_MAX: u64 = 4_096;
/// Where few states can be dirty the index is small anyway, and the journal is small too.
const DIRTY_PER_BUCKET: usize = 256;

/// Counts, by place in the journal, the first unsaved changes.
#[derive(Debug)]
pub(super) struct Pins {
    records_per_bucket: u64,
    buckets: BTreeMap<u64, usize>,
    count: usize,
}

impl Pins {
    /// For at most `dirty_limit` pins.
    pub fn new(dirty_limit: usize) -> Self {
        let records_per_bucket = (dirty_limit / DIRTY_PER_BUCKET) as u64;
        let records_per_bucket = records_per_bucket.clamp(1, RECORDS_PER_BUCKET_MAX);
        Self { records_per_bucket, buckets: BTreeMap::new(), count: 0 }
    }

    fn bucket(&self, sequence: Sequence) -> u64 {
        sequence.as_u64() / self.records_per_bucket
    }

    pub fn add(&mut self, first: Sequence) {
        *self.buckets.entry(self.bucket(first)).or_default() += 1;
        self.count += 1;
    }

    pub fn remove(&mut self, first: Sequence) {
        let bucket = self.bucket(first);
        let Some(count) = self.buckets.get_mut(&bucket) else { return };
        *count -= 1;
        if *count == 0 {
            self.buckets.remove(&bucket);
        }
        self.count -= 1;
    }

    /// No pinned record is before this one; `None` while nothing is pinned.
    pub fn lowest(&self) -> Option<Sequence> {
        let first = match sabotage::is(Fault::HorizonFromLast) {
            true => self.buckets.last_key_value(),
            false => self.buckets.first_key_value(),
        };
        let (bucket, _) = first?;
        Some(Sequence::new(bucket * self.records_per_bucket))
    }

    pub fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_is_at_or_below_every_pin_and_rises_as_they_go() {
        let mut pins = Pins::new(usize::MAX);
        assert_eq!(pins.lowest(), None);
        for sequence in [9_000, 5_000, 5_001] {
            pins.add(Sequence::new(sequence));
        }
        assert_eq!(pins.lowest(), Some(Sequence::new(4_096)));
        pins.remove(Sequence::new(5_001));
        assert_eq!(pins.lowest(), Some(Sequence::new(4_096)));
        pins.remove(Sequence::new(5_000));
        assert_eq!(pins.lowest(), Some(Sequence::new(8_192)));
        pins.remove(Sequence::new(9_000));
        assert_eq!((pins.lowest(), pins.len()), (None, 0));
    }

    #[test]
    fn where_few_states_can_be_dirty_every_record_counts() {
        let mut pins = Pins::new(DIRTY_PER_BUCKET);
        pins.add(Sequence::new(7));
        assert_eq!(pins.lowest(), Some(Sequence::new(7)));
    }
}
