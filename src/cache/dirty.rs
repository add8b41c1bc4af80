//! The dirty index: which states the store does not have yet, since when, and which are under way.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    ops::Bound,
};

use crate::model::{Key, UserId};

/// Evicted entries looked at for the age of the oldest; the rest are about as old.
const OLDEST_LOOKS_MAX: usize = 64;

/// A state that the store does not have yet.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// When its first unflushed change was made.
    since_ms: u64,
    /// It was evicted: nothing but its commit keeps it in memory.
    urgent: bool,
    /// It is in a commit; at most one at a time (I12).
    in_flight: bool,
}

impl Mark {
    /// Its place in the queue: evicted ones first, then by age.
    fn rank(&self) -> u64 {
        if self.urgent { 0 } else { self.since_ms.saturating_add(1) }
    }
}

/// Dirty keys in order of user, so that a user's overlay is one range, and in order of flushing.
///
/// Every key with a mark that is not in flight is in the queue under its rank, and no other.
#[derive(Debug, Default)]
pub(super) struct DirtyIndex {
    marks: BTreeMap<Key, Mark>,
    queue: BTreeSet<(u64, Key)>,
    /// In a commit whose row was deleted from memory with its user. A mark that such a key gets
    /// anew counts as in flight until that commit ends (I12).
    departed: BTreeSet<Key>,
    in_flight: usize,
    /// At most the age of the oldest in flight, while there is one.
    in_flight_since_ms: u64,
}

impl DirtyIndex {
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.marks.contains_key(key)
    }

    pub fn insert(&mut self, key: Key, now_ms: u64) {
        let btree_map::Entry::Vacant(vacant) = self.marks.entry(key) else { return };
        let in_flight = self.departed.contains(&key);
        let mark = *vacant.insert(Mark { since_ms: now_ms, urgent: false, in_flight });
        if in_flight {
            self.count_in_flight(mark.since_ms);
        } else {
            self.queue.insert((mark.rank(), key));
        }
    }

    fn count_in_flight(&mut self, since_ms: u64) {
        if self.in_flight == 0 || since_ms < self.in_flight_since_ms {
            self.in_flight_since_ms = since_ms;
        }
        self.in_flight += 1;
    }

    /// The key was evicted: commit it as soon as may be.
    pub fn hasten(&mut self, key: Key) {
        self.requeue(key, |mark| mark.urgent = true);
    }

    /// The key is back in the LRU: it may wait again.
    pub fn relax(&mut self, key: Key) {
        self.requeue(key, |mark| mark.urgent = false);
    }

    fn requeue(&mut self, key: Key, change: impl FnOnce(&mut Mark)) {
        let Some(mark) = self.marks.get_mut(&key) else { return };
        let before = mark.rank();
        change(mark);
        if !mark.in_flight && mark.rank() != before {
            self.queue.remove(&(before, key));
            self.queue.insert((mark.rank(), key));
        }
    }

    /// The next key to commit: an evicted one, or the oldest changed before `changed_before_ms`.
    /// It is in flight from here on.
    pub fn take_due(&mut self, changed_before_ms: u64) -> Option<Key> {
        let (rank, key) = self.queue.first().copied()?;
        if rank > changed_before_ms {
            return None;
        }
        self.queue.pop_first();
        let mark = self.marks.get_mut(&key)?;
        mark.in_flight = true;
        let since_ms = mark.since_ms;
        self.count_in_flight(since_ms);
        Some(key)
    }

    /// The commit of the key ended without effect: it is as dirty and as old as before.
    pub fn put_back(&mut self, key: &Key) {
        self.end_flight(key, |_| {});
    }

    /// The commit of the key ended, but the key has changed since.
    pub fn keep_dirty(&mut self, key: &Key, now_ms: u64) {
        self.end_flight(key, |mark| mark.since_ms = now_ms);
    }

    fn end_flight(&mut self, key: &Key, change: impl FnOnce(&mut Mark)) {
        self.departed.remove(key);
        let Some(mark) = self.marks.get_mut(key).filter(|mark| mark.in_flight) else { return };
        mark.in_flight = false;
        change(mark);
        self.in_flight -= 1;
        self.queue.insert((mark.rank(), *key));
    }

    /// The key is clean; whether it was dirty.
    pub fn remove(&mut self, key: &Key) -> bool {
        let Some(mark) = self.marks.remove(key) else { return false };
        if mark.in_flight {
            self.in_flight -= 1;
        } else {
            self.queue.remove(&(mark.rank(), *key));
        }
        true
    }

    /// The key is gone with its user, though it may be in a commit; whether it was dirty.
    pub fn depart(&mut self, key: &Key) -> bool {
        if self.marks.get(key).is_some_and(|mark| mark.in_flight) {
            self.departed.insert(*key);
        }
        self.remove(key)
    }

    /// Whether a commit under way holds rows that were deleted with their user.
    pub fn has_departed(&self, user: UserId) -> bool {
        let mut from = self.departed.range(Key::lowest_of(user)..);
        from.next().is_some_and(|key| key.user == user)
    }

    /// The user's dirty keys above `after`, in order.
    pub fn of_user(&self, user: UserId, after: Option<Key>) -> impl Iterator<Item = &Key> {
        let start = match after.filter(|after| after.user == user) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(Key::lowest_of(user)),
        };
        let range = self.marks.range((start, Bound::Unbounded));
        range.map(|(key, _)| key).take_while(move |key| key.user == user)
    }

    /// When the oldest unflushed change was made, nearly: of many evicted ones it looks at some.
    pub fn oldest_ms(&self) -> Option<u64> {
        let waiting = self.queue.range((Bound::Excluded((0, Key::MAX)), Bound::Unbounded)).next();
        let evicted = self.queue.iter().take(OLDEST_LOOKS_MAX);
        let queued = evicted.chain(waiting).filter_map(|(_, key)| self.marks.get(key));
        let in_flight = (self.in_flight > 0).then_some(self.in_flight_since_ms);
        queued.map(|mark| mark.since_ms).chain(in_flight).min()
    }

    /// Panics where an invariant of the index is broken.
    pub fn self_check(&self) {
        let in_flight = self.marks.values().filter(|mark| mark.in_flight).count();
        assert_eq!(in_flight, self.in_flight, "in-flight marks and their count");
        assert_eq!(self.queue.len() + in_flight, self.marks.len(), "queue and marks");
        for (rank, key) in &self.queue {
            let mark = self.marks.get(key).expect("a queued key has a mark");
            assert_eq!((mark.rank(), mark.in_flight), (*rank, false), "{key:?}");
        }
        for key in &self.departed {
            let flies = self.marks.get(key).is_none_or(|mark| mark.in_flight);
            assert!(flies, "I12: {key:?} would be committed twice at a time");
        }
    }
}
