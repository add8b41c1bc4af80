//! What every answer must be: whole states in a map, with nothing between them and the asker.

use std::collections::{BTreeMap, BTreeSet};

use readstates::{
    cache::{Access, Done, Outcome, Previous, Refusal},
    clock::Now,
    model::{Key, ReadState, Sequence, Update, UserId, Version},
};

/// The states as they are, and which of them the store was not confirmed to have.
#[derive(Debug)]
pub struct Truth {
    pub states: BTreeMap<Key, ReadState>,
    pub dirty: BTreeSet<Key>,
    pub deletions: BTreeMap<UserId, Version>,
    newest: BTreeMap<UserId, Version>,
    dirty_limit: usize,
}

impl Truth {
    pub fn new(dirty_limit: usize) -> Self {
        Self {
            states: BTreeMap::new(),
            dirty: BTreeSet::new(),
            deletions: BTreeMap::new(),
            newest: BTreeMap::new(),
            dirty_limit,
        }
    }

    pub fn state(&self, key: Key) -> ReadState {
        self.states.get(&key).cloned().unwrap_or_default()
    }

    pub fn newest(&self, user: UserId) -> Version {
        self.newest.get(&user).copied().unwrap_or_default()
    }

    pub fn places_taken(&self) -> usize {
        self.dirty.len() + self.deletions.len()
    }

    /// A crash may take back a state that is dirty, or that is gone with its user (I8).
    fn unflushed(&self, key: &Key) -> Option<Sequence> {
        let unflushed = self.dirty.contains(key) || self.deletions.contains_key(&key.user);
        unflushed.then_some(Sequence::ZERO)
    }

    fn is_full(&self) -> bool {
        self.places_taken() == self.dirty_limit
    }

    /// Does what was asked, and compares the answer; whether the state changed.
    pub fn follow(&mut self, key: Key, access: &Access, now: &Now, outcome: &Outcome) -> bool {
        let given = outcome.as_ref().map_or(Version::ZERO, |done| done.view.version);
        let expected = match access {
            Access::Read => Ok(self.unchanged(key, None)),
            Access::Update(update) => self.update(key, update, now, given),
        };
        assert_eq!(*outcome, expected, "{access:?} of {key:?}");
        expected.is_ok_and(|done| done.changed)
    }

    fn update(&mut self, key: Key, update: &Update, now: &Now, given: Version) -> Outcome {
        let mut state = self.state(key);
        let unflushed = self.unflushed(&key);
        if update.guard.check(&state).is_err() {
            return Err(Refusal::Mismatch { view: state.view(), unflushed });
        }
        let transition = state.apply(&update.operation);
        if !transition.changed {
            return Ok(Done { outcome: transition.outcome, ..self.unchanged(key, None) });
        }
        if now.ceiling == Version::ZERO {
            return Err(Refusal::ClockCeiling);
        }
        if !self.dirty.contains(&key) && self.is_full() {
            return Err(Refusal::DirtyLimit);
        }
        let before = self.unchanged(key, transition.outcome);
        self.rise(key.user, given, now);
        state.set_version(given);
        let view = state.view();
        self.states.insert(key, state);
        self.dirty.insert(key);
        Ok(Done { view, changed: true, unflushed: Some(Sequence::ZERO), ..before })
    }

    fn unchanged(&self, key: Key, outcome: Option<readstates::model::MentionOutcome>) -> Done {
        let view = self.state(key).view();
        let previous = Previous {
            last_acked_id: view.last_acked_id,
            mention_count: view.mention_count,
            marked_unread: view.marked_unread,
        };
        Done { view, previous, changed: false, outcome, unflushed: self.unflushed(&key) }
    }

    /// Versions rise per user, whatever the wall clock does.
    fn rise(&mut self, user: UserId, given: Version, now: &Now) {
        let newest = self.newest.entry(user).or_default();
        assert!(given > *newest, "I7: version {given} after {newest}");
        assert!(given.as_micros() >= now.wall_us, "version {given} is behind the clock");
        assert!(given <= now.ceiling, "version {given} is above the ceiling");
        *newest = given;
    }

    pub fn delete_user(&mut self, user: UserId, now: &Now, answer: Result<Version, Refusal>) {
        let pending = self.deletions.contains_key(&user);
        if now.ceiling == Version::ZERO {
            assert_eq!(answer, Err(Refusal::ClockCeiling));
        } else if !pending && self.is_full() {
            assert_eq!(answer, Err(Refusal::DirtyLimit));
        } else {
            let version = answer.expect("nothing refuses this deletion");
            self.rise(user, version, now);
            self.states.retain(|key, _| key.user != user);
            self.dirty.retain(|key| key.user != user);
            self.deletions.insert(user, version);
        }
    }

    /// The store has `version` of a key, and the cache was told.
    pub fn confirm(&mut self, key: Key, version: Version) {
        if self.state(key).version() == version {
            self.dirty.remove(&key);
        }
    }
}
