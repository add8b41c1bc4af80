//! Runs of records that are missing.

use crate::model::Sequence;

/// Which records after a first one have not been found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// Not found: from the first to the second, both included. In order, apart.
    runs: Vec<(Sequence, Sequence)>,
}

impl Gaps {
    /// All records after `horizon` are missing.
    pub(super) fn after(horizon: Sequence) -> Self {
        Self { runs: vec![(horizon.next(), Sequence::new(u64::MAX))] }
    }

    /// Says that a record was found; whether it was missing before.
    pub(super) fn fill(&mut self, found: Sequence) -> bool {
        let index = self.runs.partition_point(|(_, last)| *last < found);
        let Some(&(first, last)) = self.runs.get(index).filter(|(first, _)| *first <= found) else {
            return false;
        };
        let before = (first < found).then(|| (first, found.previous()));
        let after = (found < last).then(|| (found.next(), last));
        self.runs.splice(index..=index, before.into_iter().chain(after));
        true
    }

    /// Says that there never was a record from `next` on.
    pub(super) fn end_before(&mut self, next: Sequence) {
        self.runs.retain(|(first, _)| *first < next);
        if let Some((_, last)) = self.runs.last_mut() {
            *last = next.previous().min(*last);
        }
    }

    /// The runs, first and last record each, in order.
    pub fn runs(&self) -> &[(Sequence, Sequence)] {
        &self.runs
    }

    /// How many records are missing.
    pub fn records(&self) -> u64 {
        self.runs.iter().map(|(first, last)| last.as_u64() - first.as_u64() + 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(found: &[u64], next: u64) -> Vec<(u64, u64)> {
        let mut gaps = Gaps::after(Sequence::new(10));
        for &number in found {
            assert_eq!(gaps.fill(Sequence::new(number)), number > 10);
            assert!(!gaps.fill(Sequence::new(number)));
        }
        gaps.end_before(Sequence::new(next));
        let runs = gaps.runs().iter().map(|(first, last)| (first.as_u64(), last.as_u64()));
        let runs: Vec<_> = runs.collect();
        assert_eq!(gaps.records(), runs.iter().map(|(first, last)| last - first + 1).sum::<u64>());
        runs
    }

    #[test]
    fn what_is_not_found_is_missing() {
        assert_eq!(gaps(&[], 11), []);
        assert_eq!(gaps(&[], 12), [(11, 11)]);
        assert_eq!(gaps(&[11, 12, 13], 14), []);
        assert_eq!(gaps(&[9, 10, 11, 14], 20), [(12, 13), (15, 19)]);
        assert_eq!(gaps(&[19, 12, 13], 20), [(11, 11), (14, 18)]);
    }
}
