//! The ids of a state's unread mentions: what makes a retry, a late mention, an ack of the middle
//! and a deleted message come out right.

/// Ids that a ledger holds at most; beyond it the oldest fold into a count.
pub const LEDGER_MAX: usize = 128;

/// Mentions by message id, all above the watermark and the fold top of their state.
///
/// `counted` mentions make up the mention count. `zeroed` ones were retracted or reset: they stay,
/// and take a place, until an ack passes them, so that a late retry cannot count them again. Both
/// are sorted and share no id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    counted: Vec<u64>,
    zeroed: Vec<u64>,
}

/// What an insertion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    Duplicate,
    Kept,
    /// The ledger was full: its lowest id, perhaps the one inserted, left it.
    Folded {
        id: u64,
        counted: bool,
    },
}

impl Ledger {
    /// `None` unless both lists are sorted, share no id and fit.
    pub(super) fn from_sorted(counted: Vec<u64>, zeroed: Vec<u64>) -> Option<Self> {
        let rising = |ids: &[u64]| ids.windows(2).all(|pair| pair[0] < pair[1]);
        let ledger = Self { counted, zeroed };
        let disjoint = ledger.zeroed.iter().all(|id| ledger.counted.binary_search(id).is_err());
        let fits = ledger.len() <= LEDGER_MAX;
        (rising(&ledger.counted) && rising(&ledger.zeroed) && disjoint && fits).then_some(ledger)
    }

    /// Ids that count as mentions, rising.
    pub fn counted(&self) -> &[u64] {
        &self.counted
    }

    /// Ids that are remembered but count nothing, rising.
    pub fn zeroed(&self) -> &[u64] {
        &self.zeroed
    }

    /// Places taken, of [`LEDGER_MAX`].
    pub fn len(&self) -> usize {
        self.counted.len() + self.zeroed.len()
    }

    /// Whether no id is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lowest id held, which every other id of the ledger is above.
    pub fn lowest(&self) -> Option<u64> {
        match (self.counted.first(), self.zeroed.first()) {
            (Some(&counted), Some(&zeroed)) => Some(counted.min(zeroed)),
            (counted, zeroed) => counted.or(zeroed).copied(),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        (self.counted.capacity() + self.zeroed.capacity()) * size_of::<u64>()
    }

    pub(super) fn insert(&mut self, id: u64) -> Inserted {
        let Err(place) = self.counted.binary_search(&id) else { return Inserted::Duplicate };
        if self.zeroed.binary_search(&id).is_ok() {
            return Inserted::Duplicate;
        }
        if self.len() < LEDGER_MAX {
            self.counted.insert(place, id);
            return Inserted::Kept;
        }
        self.fold_lowest(place, id)
    }

    /// Makes room for `id` at `place` of the counted ones. The room comes first: a list that is
    /// full would double.
    fn fold_lowest(&mut self, place: usize, id: u64) -> Inserted {
        let zeroed = self.zeroed.first().copied().unwrap_or(u64::MAX);
        if zeroed < id && self.counted.first().is_none_or(|counted| zeroed < *counted) {
            self.zeroed.remove(0);
            self.counted.insert(place, id);
            return Inserted::Folded { id: zeroed, counted: false };
        }
        if place == 0 {
            return Inserted::Folded { id, counted: true };
        }
        // The lowest goes, those below the new one move down, and it takes the place they left.
        let lowest = self.counted[0];
        self.counted[..place].rotate_left(1);
        self.counted[place - 1] = id;
        Inserted::Folded { id: lowest, counted: true }
    }

    /// Drops the ids at or below `watermark`.
    pub(super) fn pass(&mut self, watermark: u64) {
        for ids in [&mut self.counted, &mut self.zeroed] {
            let passed = ids.partition_point(|id| *id <= watermark);
            ids.drain(..passed);
        }
    }

    /// Makes a counted id count nothing; whether it was counted.
    pub(super) fn zero(&mut self, id: u64) -> bool {
        let Ok(place) = self.counted.binary_search(&id) else { return false };
        self.counted.remove(place);
        let place = self.zeroed.partition_point(|held| *held < id);
        self.zeroed.insert(place, id);
        true
    }

    /// Makes every id count nothing.
    pub(super) fn zero_all(&mut self) {
        self.zeroed.append(&mut self.counted);
        self.zeroed.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ledger_folds_its_lowest_id_even_if_that_is_the_new_one() {
        let mut ledger = Ledger::default();
        for id in 2..=LEDGER_MAX as u64 + 1 {
            assert_eq!(ledger.insert(id), Inserted::Kept);
        }
        assert_eq!(ledger.insert(1), Inserted::Folded { id: 1, counted: true });
        assert!(ledger.zero(2));
        assert_eq!(ledger.insert(500), Inserted::Folded { id: 2, counted: false });
        assert_eq!(ledger.len(), LEDGER_MAX);
    }

    #[test]
    fn a_full_ledger_takes_no_more_memory_to_fold() {
        let mut ledger = Ledger::default();
        for id in 1..=LEDGER_MAX as u64 {
            ledger.insert(2 * id);
        }
        let bytes = ledger.heap_bytes();
        let newest = 2 * LEDGER_MAX as u64 + 2;
        assert_eq!(ledger.insert(newest), Inserted::Folded { id: 2, counted: true });
        assert_eq!(ledger.insert(101), Inserted::Folded { id: 4, counted: true });
        assert_eq!(ledger.insert(5), Inserted::Folded { id: 5, counted: true });
        let expected: Vec<u64> = (3..=50).chain(51..=129).map(|id| 2 * id).collect();
        let without: Vec<u64> = ledger.counted().iter().copied().filter(|id| *id != 101).collect();
        assert_eq!(without, expected);
        assert!(ledger.counted().is_sorted());
        assert_eq!((ledger.len(), ledger.heap_bytes()), (LEDGER_MAX, bytes));
    }

    #[test]
    fn a_zeroed_id_stays_known_until_it_is_passed() {
        let mut ledger = Ledger::default();
        ledger.insert(10);
        ledger.insert(20);
        assert!(ledger.zero(10));
        assert!(!ledger.zero(10));
        assert_eq!(ledger.insert(10), Inserted::Duplicate);
        assert_eq!(ledger.counted(), [20]);
        ledger.pass(10);
        assert_eq!((ledger.counted(), ledger.zeroed()), (&[20][..], &[][..]));
    }

    #[test]
    fn unsorted_shared_or_oversized_lists_are_no_ledger() {
        assert!(Ledger::from_sorted(vec![1, 3], vec![2]).is_some());
        assert!(Ledger::from_sorted(vec![3, 1], vec![]).is_none());
        assert!(Ledger::from_sorted(vec![1, 1], vec![]).is_none());
        assert!(Ledger::from_sorted(vec![1], vec![1]).is_none());
        assert!(Ledger::from_sorted((1..=129).collect(), vec![]).is_none());
    }
}
