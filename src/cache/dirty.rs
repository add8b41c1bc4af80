//! The dirty index: which states the store does not have yet, since when, and which are under way.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    ops::Bound,
};

use super::pins::Pins;
use crate::model::{Key, Sequence, UserId};

/// Evicted entries looked at for the age of the oldest; the rest are about as old.
const OLDEST_LOOKS_MAX: usize = 64;

/// A state that the store does not have yet.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// When its first unflushed change was made.
    since_ms: u64,
    /// The record of that change, or one before it: from here on the journal is needed (I9).
    first: Sequence,
    /// The record of its last change: until that is durable, nobody is shown the state (I8).
    latest: Sequence,
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
#[derive(Debug)]
pub(super) struct DirtyIndex {
    marks: BTreeMap<Key, Mark>,
    queue: BTreeSet<(u64, Key)>,
    /// In a commit whose row was deleted from memory with its user. A mark that such a key gets
    /// anew counts as in flight until that commit ends (I12).
    departed: BTreeSet<Key>,
    /// Of every mark its `first`, and of every deletion of a user its record.
    pub pins: Pins,
    in_flight: usize,
    /// At most the age of the oldest in flight, while there is one.
    in_flight_since_ms: u64,
    /// A change made to a mark in flight has a later record than this.
    in_flight_after: Sequence,
    /// The newest record of this shard.
    newest: Sequence,
}

impl DirtyIndex {
    /// For at most `limit` keys and deletions of users.
    pub fn new(limit: usize) -> Self {
        Self {
            marks: BTreeMap::new(),
            queue: BTreeSet::new(),
            departed: BTreeSet::new(),
            pins: Pins::new(limit),
            in_flight: 0,
            in_flight_since_ms: 0,
            in_flight_after: Sequence::ZERO,
            newest: Sequence::ZERO,
        }
    }

    pub fn len(&self) -> usize {
        self.marks.len()
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.marks.contains_key(key)
    }

    /// Until when the journal has to be durable before the state of `key` may be shown, if the
    /// store does not have it.
    pub fn unflushed(&self, key: &Key) -> Option<Sequence> {
        self.marks.get(key).map(|mark| mark.latest)
    }

    /// The key has changed, as the record says; it may be dirty already.
    pub fn insert(&mut self, key: Key, now_ms: u64, record: Sequence) {
        let vacant = match self.marks.entry(key) {
            btree_map::Entry::Vacant(vacant) => vacant,
            btree_map::Entry::Occupied(mut mark) => {
                mark.get_mut().latest = record;
                self.newest = self.newest.max(record);
                return;
            }
        };
        let in_flight = self.departed.contains(&key);
        let since_ms = now_ms;
        let mark = Mark { since_ms, first: record, latest: record, urgent: false, in_flight };
        vacant.insert(mark);
        self.pins.add(record);
        if in_flight {
            self.count_in_flight(mark.since_ms);
        } else {
            self.queue.insert((mark.rank(), key));
        }
        // Last: where the mark counts as in flight, this change comes after what flies.
        self.newest = self.newest.max(record);
    }

    fn count_in_flight(&mut self, since_ms: u64) {
        if self.in_flight == 0 {
            self.in_flight_after = self.newest;
        }
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
        let after = self.in_flight_after;
        let mut pinned = None;
        self.end_flight(key, |mark| {
            let before = mark.first;
            mark.since_ms = now_ms;
            mark.first = before.max(after.next()).min(mark.latest);
            pinned = Some((before, mark.first));
        });
        self.repin(pinned);
    }

    fn repin(&mut self, pinned: Option<(Sequence, Sequence)>) {
        if let Some((before, after)) = pinned {
            self.pins.remove(before);
            self.pins.add(after);
        }
    }

    /// Keys above `after` whose first unsaved change is not behind `upto`: of the next `limit`
    /// ones, and the last one looked at.
    pub fn pinned_upto(
        &self,
        upto: Sequence,
        after: Option<Key>,
        limit: usize,
    ) -> (Vec<Key>, Option<Key>) {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.marks.range((start, Bound::Unbounded)).take(limit);
        let mut last = None;
        let pinned = range.inspect(|(key, _)| last = Some(**key));
        let pinned = pinned.filter(|(_, mark)| mark.first <= upto).map(|(key, _)| *key).collect();
        (pinned, last)
    }

    /// The state of the key was written down anew, unchanged, as `record`.
    pub fn move_up(&mut self, key: &Key, record: Sequence) {
        self.newest = self.newest.max(record);
        let Some(mark) = self.marks.get_mut(key) else { return };
        let before = mark.first;
        mark.first = record;
        mark.latest = record;
        self.repin(Some((before, record)));
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
        self.pins.remove(mark.first);
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
        self.marks_of_user(user, after).map(|(key, _)| key)
    }

    /// The same, each with the newest record of it.
    pub fn records_of_user(
        &self,
        user: UserId,
        after: Option<Key>,
    ) -> impl Iterator<Item = (&Key, Sequence)> {
        self.marks_of_user(user, after).map(|(key, mark)| (key, mark.latest))
    }

    fn marks_of_user(
        &self,
        user: UserId,
        after: Option<Key>,
    ) -> impl Iterator<Item = (&Key, &Mark)> {
        let start = match after.filter(|after| after.user == user) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(Key::lowest_of(user)),
        };
        let range = self.marks.range((start, Bound::Unbounded));
        range.take_while(move |(key, _)| key.user == user)
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
        for (key, mark) in &self.marks {
            assert!(mark.first <= mark.latest, "I9: records of {key:?}");
            assert!(self.pins.lowest() <= Some(mark.first), "I9: {key:?} is not pinned");
        }
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
