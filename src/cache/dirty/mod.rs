//! The dirty index: which states the store does not have yet, since when, and which are under way.

mod slab;
mod users;

use std::{collections::BTreeSet, hash::BuildHasher as _, hint::black_box};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use self::{
    slab::{Links, Mark, Place, Queue, Slab, Stage},
    users::Users,
};
use super::pins::Pins;
use crate::model::{Key, Sequence, UserId};

/// Evicted entries looked at for the age of the oldest; the rest are about as old.
const OLDEST_LOOKS_MAX: usize = 64;

/// Dirty keys: by key, by user, so that a user's overlay costs what it shows, and in order of
/// flushing. What a change of a key costs does not depend on how many there are.
///
/// Every mark that is not in flight is in the queue of its stage, and in no other.
#[derive(Debug)]
pub(super) struct DirtyIndex {
    hasher: DefaultHashBuilder,
    places: HashTable<Place>,
    slab: Slab,
    users: Users,
    /// In the order of their first unflushed changes, nearly: those of one millisecond, or of
    /// clocks read before the lock was taken, are as they came.
    waiting: Queue,
    /// By age: those whose commit had no effect, and those that are back in the LRU.
    again: BTreeSet<(u64, Place)>,
    /// Evicted ones.
    soon: Queue,
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
            hasher: DefaultHashBuilder::default(),
            places: HashTable::new(),
            slab: Slab::new(),
            users: Users::default(),
            waiting: Queue::new(Stage::Waiting),
            again: BTreeSet::new(),
            soon: Queue::new(Stage::Soon),
            departed: BTreeSet::new(),
            pins: Pins::new(limit),
            in_flight: 0,
            in_flight_since_ms: 0,
            in_flight_after: Sequence::ZERO,
            newest: Sequence::ZERO,
        }
    }

    pub fn len(&self) -> usize {
        self.slab.len()
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.place(key).is_some()
    }

    fn place(&self, key: &Key) -> Option<Place> {
        let hash = self.hasher.hash_one(key);
        self.places.find(hash, |place| self.slab[*place].key == *key).copied()
    }

    fn mark(&self, key: &Key) -> Option<&Mark> {
        self.place(key).map(|place| &self.slab[place])
    }

    /// Brings near what a change of the key touches here.
    pub fn look_up(&self, key: &Key) {
        match self.mark(key) {
            Some(mark) => _ = black_box(mark.latest),
            None => {
                self.users.look_up(&self.slab, key.user);
                self.slab.look_up_free();
            }
        }
    }

    /// Whether changes are written down, so that each leaves its record here.
    pub fn has_records(&self) -> bool {
        self.newest != Sequence::ZERO
    }

    /// Until when the journal has to be durable before the state of `key` may be shown, if the
    /// store does not have it.
    pub fn unflushed(&self, key: &Key) -> Option<Sequence> {
        self.mark(key).map(|mark| mark.latest)
    }

    /// The key has changed, as the record says; it may be dirty already.
    pub fn insert(&mut self, key: Key, now_ms: u64, record: Sequence) {
        let (hasher, slab) = (&self.hasher, &mut self.slab);
        let entry = self.places.entry(
            hasher.hash_one(key),
            |place| slab[*place].key == key,
            |place| hasher.hash_one(slab[*place].key),
        );
        let vacant = match entry {
            Entry::Vacant(vacant) => vacant,
            Entry::Occupied(place) => {
                slab[*place.get()].latest = record;
                self.newest = self.newest.max(record);
                return;
            }
        };
        let place = slab.insert(Mark {
            key,
            since_ms: now_ms,
            first: record,
            latest: record,
            queue: Links::NONE,
            mates: Links::NONE,
            stage: Stage::InFlight,
            urgent: false,
        });
        vacant.insert(place);
        self.users.add(slab, place, key);
        self.pins.add(record);
        if !self.departed.is_empty() && self.departed.contains(&key) {
            self.count_in_flight(now_ms);
        } else {
            self.waiting.push(&mut self.slab, place);
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
    pub fn hasten(&mut self, key: &Key) {
        let Some(place) = self.place(key) else { return };
        self.slab[place].urgent = true;
        if self.slab[place].stage != Stage::InFlight {
            self.leave_queue(place);
            self.soon.push(&mut self.slab, place);
        }
    }

    /// The key is back in the LRU: it may wait again.
    pub fn relax(&mut self, key: &Key) {
        let Some(place) = self.place(key) else { return };
        self.slab[place].urgent = false;
        if self.slab[place].stage == Stage::Soon {
            self.leave_queue(place);
            self.wait_again(place);
        }
    }

    fn wait_again(&mut self, place: Place) {
        let mark = &mut self.slab[place];
        mark.stage = Stage::Again;
        self.again.insert((mark.since_ms, place));
    }

    fn leave_queue(&mut self, place: Place) {
        match self.slab[place].stage {
            Stage::Waiting => self.waiting.take(&mut self.slab, place),
            Stage::Soon => self.soon.take(&mut self.slab, place),
            Stage::Again => drop(self.again.remove(&(self.slab[place].since_ms, place))),
            Stage::InFlight | Stage::Free => {}
        }
    }

    /// The next key to commit: an evicted one, or the oldest changed before `changed_before_ms`.
    /// It is in flight from here on.
    pub fn take_due(&mut self, changed_before_ms: u64) -> Option<Key> {
        let place = self.next_due(changed_before_ms)?;
        self.leave_queue(place);
        let mark = &mut self.slab[place];
        mark.stage = Stage::InFlight;
        let (key, since_ms) = (mark.key, mark.since_ms);
        self.count_in_flight(since_ms);
        Some(key)
    }

    fn next_due(&self, changed_before_ms: u64) -> Option<Place> {
        if self.soon.first().is_some() {
            return Some(self.soon.first());
        }
        let waiting = self.waiting.first();
        let waiting = waiting.is_some().then(|| (self.slab[waiting].since_ms, waiting));
        let oldest = waiting.into_iter().chain(self.again.first().copied()).min();
        oldest.filter(|(since_ms, _)| *since_ms < changed_before_ms).map(|(_, place)| place)
    }

    /// The commit of the key ended without effect: it is as dirty and as old as before.
    pub fn put_back(&mut self, key: &Key) {
        let Some(place) = self.end_flight(key) else { return };
        match self.slab[place].urgent {
            true => self.soon.push(&mut self.slab, place),
            false => self.wait_again(place),
        }
    }

    /// The commit of the key ended, but the key has changed since.
    pub fn keep_dirty(&mut self, key: &Key, now_ms: u64) {
        let Some(place) = self.end_flight(key) else { return };
        let mark = &mut self.slab[place];
        let before = mark.first;
        mark.since_ms = now_ms;
        mark.first = before.max(self.in_flight_after.next()).min(mark.latest);
        let after = mark.first;
        let queue = if mark.urgent { &mut self.soon } else { &mut self.waiting };
        queue.push(&mut self.slab, place);
        self.repin(before, after);
    }

    fn repin(&mut self, before: Sequence, after: Sequence) {
        self.pins.remove(before);
        self.pins.add(after);
    }

    /// Ends the commit of the key; its place, where it was in flight.
    fn end_flight(&mut self, key: &Key) -> Option<Place> {
        if !self.departed.is_empty() {
            self.departed.remove(key);
        }
        let place = self.place(key)?;
        let in_flight = self.slab[place].stage == Stage::InFlight;
        self.in_flight -= usize::from(in_flight);
        in_flight.then_some(place)
    }

    /// Keys whose first unsaved change is not behind `upto`, of the next `limit` places from
    /// `step * limit` on; `None` behind the last. A key keeps its place while it is dirty.
    pub fn pinned_upto(&self, upto: Sequence, step: usize, limit: usize) -> Option<Vec<Key>> {
        let marks = self.slab.at_step(step, limit)?;
        Some(marks.filter(|mark| mark.first <= upto).map(|mark| mark.key).collect())
    }

    /// The state of the key was written down anew, unchanged, as `record`.
    pub fn move_up(&mut self, key: &Key, record: Sequence) {
        self.newest = self.newest.max(record);
        let Some(place) = self.place(key) else { return };
        let mark = &mut self.slab[place];
        let before = mark.first;
        mark.first = record;
        mark.latest = record;
        self.repin(before, record);
    }

    /// The key is clean; whether it was dirty.
    pub fn remove(&mut self, key: &Key) -> bool {
        let hash = self.hasher.hash_one(key);
        let found = self.places.find_entry(hash, |place| self.slab[*place].key == *key);
        let Ok(entry) = found else { return false };
        let (place, _) = entry.remove();
        self.leave_queue(place);
        self.in_flight -= usize::from(self.slab[place].stage == Stage::InFlight);
        self.users.remove(&mut self.slab, place);
        let mark = self.slab.remove(place);
        self.pins.remove(mark.first);
        true
    }

    /// The key is gone with its user, though it may be in a commit; whether it was dirty.
    pub fn depart(&mut self, key: &Key) -> bool {
        if self.mark(key).is_some_and(|mark| mark.stage == Stage::InFlight) {
            self.departed.insert(*key);
        }
        self.remove(key)
    }

    /// Whether a commit under way holds rows that were deleted with their user.
    pub fn has_departed(&self, user: UserId) -> bool {
        let mut from = self.departed.range(Key::lowest_of(user)..);
        from.next().is_some_and(|key| key.user == user)
    }

    /// The next `limit` dirty keys of the user above `after`, in order.
    pub fn of_user(&self, user: UserId, after: Option<Key>, limit: usize) -> Vec<Key> {
        self.users.keys(&self.slab, user, after, limit)
    }

    /// When the oldest unflushed change was made, nearly: of many evicted ones it looks at some.
    pub fn oldest_ms(&self) -> Option<u64> {
        let soon = self.soon.iter(&self.slab).take(OLDEST_LOOKS_MAX);
        let queued = soon.chain(self.waiting.iter(&self.slab).take(1)).map(|mark| mark.since_ms);
        let again = self.again.first().map(|(since_ms, _)| *since_ms);
        let in_flight = (self.in_flight > 0).then_some(self.in_flight_since_ms);
        queued.chain(again).chain(in_flight).min()
    }

    /// Panics where an invariant of the index is broken.
    pub fn self_check(&self) {
        let staged = |stage| self.slab.iter().filter(|mark| mark.stage == stage).count();
        assert_eq!(staged(Stage::InFlight), self.in_flight, "in-flight marks and their count");
        assert_eq!(self.places.len(), self.slab.len(), "places and marks");
        for mark in self.slab.iter() {
            let key = &mark.key;
            assert_eq!(self.mark(key).map(|mark| mark.key), Some(*key), "the place of {key:?}");
            assert!(mark.first <= mark.latest, "I9: records of {key:?}");
            assert!(self.pins.lowest() <= Some(mark.first), "I9: {key:?} is not pinned");
        }
        for (queue, stage) in [(&self.waiting, Stage::Waiting), (&self.soon, Stage::Soon)] {
            assert_eq!(queue.iter(&self.slab).count(), staged(stage), "{stage:?}");
            assert!(queue.iter(&self.slab).all(|mark| mark.stage == stage), "{stage:?}");
        }
        assert_eq!(self.again.len(), staged(Stage::Again), "those that wait again");
        for (since_ms, place) in &self.again {
            let mark = &self.slab[*place];
            assert_eq!((mark.since_ms, mark.stage), (*since_ms, Stage::Again), "{:?}", mark.key);
        }
        for key in &self.departed {
            let flies = self.mark(key).is_none_or(|mark| mark.stage == Stage::InFlight);
            assert!(flies, "I12: {key:?} would be committed twice at a time");
        }
        self.users.self_check(&self.slab);
    }
}
