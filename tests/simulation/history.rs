//! The truth: every change that was made, in the order of the journal, and what of it was shown.
//!
//! Each answer of the cache must be that of a plain map on which the same was done. A crash may
//! undo the newest changes, as many as it likes, but none that was shown or was durable; from then
//! on the map is what is left.

use std::collections::{BTreeMap, BTreeSet};

use readstates::{
    cache::{Access, Cache, Done, Outcome, Previous, Refusal},
    model::{Key, Operation, ReadState, Sequence, Update, UserId, Version, View},
};

use crate::lossy_store::LossyStore;

/// Keys of a user that one look at the overlay takes.
const OVERLAY_KEYS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Change {
    Update { key: Key, operation: Operation, version: Version },
    Deletion { user: UserId, version: Version },
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub changes: u64,
    pub shown: u64,
    pub undone: u64,
    pub duplicates: u64,
}

#[derive(Default)]
pub struct History {
    changes: BTreeMap<Sequence, Change>,
    states: BTreeMap<Key, ReadState>,
    /// The last change that made a state what it is, or made it none.
    touched: BTreeMap<Key, Sequence>,
    /// Up to here nothing may be undone.
    secured: Sequence,
    /// The newest version that was ever given out, undone or not.
    newest: BTreeMap<UserId, Version>,
    pub tally: Tally,
}

impl History {
    pub fn state(&self, key: &Key) -> ReadState {
        self.states.get(key).cloned().unwrap_or_default()
    }

    /// Checks what the cache has just answered, and does the same. Answers the record that must be
    /// durable before anybody may see the outcome.
    pub fn follow(&mut self, key: Key, access: &Access, outcome: &Outcome) -> Sequence {
        let state = self.state(&key);
        match (access, outcome) {
            (Access::Read, Ok(done)) => {
                assert!(!done.changed, "a read of {key:?} changed it");
                assert_eq!(done.view, state.view(), "read of {key:?}");
            }
            (Access::Read, Err(refused)) => panic!("a read was refused: {refused:?}"),
            (Access::Update(update), Err(Refusal::Mismatch { view, .. })) => {
                assert!(update.guard.check(&state).is_err(), "{update:?} fits {key:?}");
                assert_eq!(*view, state.view(), "guard on {key:?}");
            }
            (Access::Update(update), Err(_)) => {
                let changed = state.clone().apply(&update.operation).changed;
                assert!(changed, "{update:?} of {key:?} changes nothing, but was refused");
            }
            (Access::Update(update), Ok(done)) => self.update(key, state, update, done),
        }
        self.touched.get(&key).copied().unwrap_or_default()
    }

    fn update(&mut self, key: Key, before: ReadState, update: &Update, done: &Done) {
        assert!(update.guard.check(&before).is_ok(), "{update:?} does not fit {key:?}");
        let previous = Previous {
            last_acked_id: before.last_acked_id(),
            mention_count: before.mention_count(),
            marked_unread: before.marked_unread(),
        };
        assert_eq!(done.previous, previous, "{update:?} of {key:?}");
        let mut state = before.clone();
        let transition = state.apply(&update.operation);
        assert_eq!(done.changed, transition.changed, "{update:?} of {key:?}: {before:?}");
        assert_eq!(done.outcome, transition.outcome, "{update:?} of {key:?}");
        if !done.changed {
            assert_eq!(done.view, before.view(), "{update:?} of {key:?}");
            self.tally.duplicates += 1;
            return;
        }
        let version = done.view.version;
        let sequence = done.unflushed.expect("a change has a record");
        self.give_out(key.user, version);
        self.record(sequence, Change::Update { key, operation: update.operation, version });
        assert_eq!(done.view, self.state(&key).view(), "{update:?} of {key:?}");
    }

    pub fn delete_user(&mut self, user: UserId, version: Version, sequence: Sequence) {
        self.give_out(user, version);
        self.record(sequence, Change::Deletion { user, version });
    }

    /// Versions rise for good, also over changes that were undone.
    fn give_out(&mut self, user: UserId, version: Version) {
        let newest = self.newest.entry(user).or_default();
        assert!(version > *newest, "version {version} of {user} after {newest}");
        *newest = version;
    }

    fn record(&mut self, sequence: Sequence, change: Change) {
        let last = self.changes.last_key_value().map(|(last, _)| *last);
        assert!(Some(sequence) > last, "I7: record {sequence} after {last:?}");
        self.tally.changes += 1;
        self.changes.insert(sequence, change);
        self.redo(sequence, change);
    }

    fn redo(&mut self, sequence: Sequence, change: Change) {
        match change {
            Change::Update { key, operation, version } => {
                let state = self.states.entry(key).or_default();
                assert!(state.apply(&operation).changed, "{operation:?} of {key:?} at {version}");
                state.set_version(version);
                self.touched.insert(key, sequence);
            }
            Change::Deletion { user, .. } => {
                let gone = self.states.extract_if(.., |key, _| key.user == user);
                self.touched.extend(gone.map(|(key, _)| (key, sequence)));
            }
        }
    }

    /// Somebody sees what was made by `sequence`, while the journal says that it is durable up to
    /// `durable` (I8).
    pub fn show(&mut self, sequence: Sequence, durable: Sequence) {
        assert!(sequence <= durable, "I8: {sequence} is shown, and {durable} is durable");
        self.tally.shown += 1;
        self.secure(sequence);
    }

    /// Nothing up to `sequence` may be undone any more.
    pub fn secure(&mut self, sequence: Sequence) {
        self.secured = self.secured.max(sequence);
    }

    /// A crash: what comes back is everything up to `last`, and nothing behind it.
    pub fn crash(&mut self, last: Sequence) -> usize {
        let secured = self.secured;
        assert!(last >= secured, "{last} came back, and {secured} was shown or durable");
        self.secured = last;
        let undone = self.changes.split_off(&last.next()).len();
        self.tally.undone += undone as u64;
        if undone > 0 {
            self.states.clear();
            self.touched.clear();
            for (sequence, change) in self.changes.clone() {
                self.redo(sequence, change);
            }
        }
        undone
    }

    /// Whatever is dirty in the cache over the rows of the store is the truth, no more and no less.
    pub fn check(&self, cache: &Cache, store: &LossyStore) {
        let rows = store.rows();
        let rows = rows.iter().map(|(key, row)| (*key, row.view()));
        let mut shown: BTreeMap<Key, View> = rows.collect();
        let users = shown.keys().chain(self.states.keys()).map(|key| key.user);
        for user in users.collect::<BTreeSet<UserId>>() {
            overlay(cache, user, &mut shown);
        }
        let truth = self.states.iter().map(|(key, state)| (*key, state.view()));
        assert_eq!(shown, truth.collect(), "what is shown, and the truth");
    }

    /// Everything is in the store itself.
    pub fn check_store(&self, store: &LossyStore) {
        let parts = |(key, state): (&Key, &ReadState)| (*key, state.to_parts());
        let rows: BTreeMap<_, _> = store.rows().iter().map(parts).collect();
        let states: BTreeMap<_, _> = self.states.iter().map(parts).collect();
        assert_eq!(rows, states);
    }

    /// What a list that begins now must show, or better.
    pub fn begin_list(&self, user: UserId) -> ListBegun {
        let states = self.states.iter().filter(|(key, _)| key.user == user);
        let views = states.map(|(key, state)| (*key, state.view())).collect();
        let deletions = self.changes.iter().rev().find_map(|(sequence, change)| match change {
            Change::Deletion { user: deleted, version } if *deleted == user => {
                Some((*version, *sequence))
            }
            _ => None,
        });
        let (deleted_at, deletion) = deletions.unwrap_or_default();
        ListBegun { user, views, deleted_at, deletion }
    }

    /// Checks a list: nothing on it is older than when it began, nothing that was deleted then is
    /// on it. Answers the record that must be durable before it is shown.
    pub fn follow_list(&self, begun: &ListBegun, rows: &BTreeMap<Key, View>) -> Sequence {
        let mut made = BTreeMap::new();
        let mut deleted_at = Version::ZERO;
        for (sequence, change) in &self.changes {
            match change {
                Change::Update { key, version, .. } if key.user == begun.user => {
                    made.insert(*version, *sequence);
                }
                Change::Deletion { user, version } if *user == begun.user => deleted_at = *version,
                _ => {}
            }
        }
        for (key, view) in &begun.views {
            let since = rows.get(key).map(|row| row.version);
            let excused = since.is_none() && deleted_at > view.version;
            assert!(since >= Some(view.version) || excused, "{key:?} on a list: {since:?}");
        }
        let mut needed = begun.deletion;
        for (key, view) in rows {
            assert!(view.version > begun.deleted_at, "deleted {key:?} is on a list");
            let sequence = made.get(&view.version).copied();
            needed = needed.max(sequence.expect("what a list shows was made"));
        }
        needed
    }
}

/// See [`History::begin_list`].
pub struct ListBegun {
    user: UserId,
    views: BTreeMap<Key, View>,
    deleted_at: Version,
    deletion: Sequence,
}

/// Puts what the store does not have of a user over its rows.
fn overlay(cache: &Cache, user: UserId, rows: &mut BTreeMap<Key, View>) {
    let mut after = None;
    loop {
        let page = cache.overlay(user, after, OVERLAY_KEYS);
        if let Some(deleted_at) = page.deleted_at {
            rows.retain(|key, row| key.user != user || row.version > deleted_at);
        }
        rows.extend(page.rows);
        after = page.resume_after;
        if after.is_none() {
            return;
        }
    }
}
