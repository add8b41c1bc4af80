//! What a shard writes down about its states, and the one place where a state is changed.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    answer::{Access, Done, Leftovers, Outcome, Previous, Refusal},
    dirty::DirtyIndex,
    log::Log,
    sync::{AtomicUsize, Ordering},
    ticket::Tickets,
    watchers::{Change, Watchers},
};
use crate::{
    clock::Now,
    model::{Cause, Key, ReadState, Sequence, Update, UserId, Version},
    sabotage::{self, Fault},
};

/// Places for states that the store does not have yet, shared by all shards (I6).
#[derive(Debug)]
pub(super) struct DirtyPlaces {
    limit: usize,
    taken: AtomicUsize,
}

/// What stands for the number of places taken once no more are given.
const CLOSED: usize = usize::MAX;

impl DirtyPlaces {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: AtomicUsize::new(0) })
    }

    pub fn taken(&self) -> usize {
        match self.taken.load(Ordering::Relaxed) {
            CLOSED => 0,
            taken => taken,
        }
    }

    /// Gives no more places if none is taken; whether none is.
    pub fn close_if_free(&self) -> bool {
        let closed = self.taken.compare_exchange(0, CLOSED, Ordering::Relaxed, Ordering::Relaxed);
        closed.is_ok() || closed == Err(CLOSED)
    }

    /// Why a place was refused.
    pub fn refusal(&self) -> Refusal {
        match self.taken.load(Ordering::Relaxed) {
            CLOSED => Refusal::Closed,
            _ => Refusal::DirtyLimit,
        }
    }

    // Relaxed: the number guards memory, not other data; those are under the shard's lock.
    pub fn try_take(&self) -> bool {
        let below = |taken| (taken < self.limit).then(|| taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_ok()
    }

    pub fn release(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The deletion of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    /// The user's states up to this version are gone.
    pub version: Version,
    /// No dirty one of them is left in memory, where only this deletion hides it.
    pub purged: bool,
    /// Where it is written down.
    pub record: Sequence,
}

/// How often the deletion of a user was begun in a shard, or confirmed by the store. While it
/// stands still, a user was deleted up to what the store says, or what is pending here, and no
/// further.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeletionTurn(u64);

/// Versions, dirty marks, tickets and user deletions of one shard.
pub(super) struct Book {
    /// The newest version that this shard gave out or has seen (I7).
    pub last: Version,
    pub dirty: DirtyIndex,
    pub tickets: Tickets,
    pub watchers: Watchers,
    /// Users deleted as a whole, until the store confirms it. In order, so that what is done with
    /// them can be done again the same way.
    pub deletions: BTreeMap<UserId, Deletion>,
    /// Counts their beginnings and ends.
    pub deletion_turn: DeletionTurn,
    /// Heap bytes of all states in memory, victims included.
    pub extra_bytes: usize,
    pub dirty_refused: u64,
    pub places: Arc<DirtyPlaces>,
    pub log: Arc<dyn Log>,
}

impl Book {
    pub fn new(last: Version, places: Arc<DirtyPlaces>, log: Arc<dyn Log>) -> Self {
        Self {
            last,
            dirty: DirtyIndex::new(places.limit),
            tickets: Tickets::default(),
            watchers: Watchers::default(),
            deletions: BTreeMap::new(),
            deletion_turn: DeletionTurn::default(),
            extra_bytes: 0,
            dirty_refused: 0,
            places,
            log,
        }
    }

    /// Whether a user's deletion has done away with this state.
    pub fn is_hidden(&self, key: &Key, version: Version) -> bool {
        !self.deletions.is_empty()
            && self.deletions.get(&key.user).is_some_and(|deletion| version <= deletion.version)
    }

    /// Does what is asked of `state`, which is in memory or on its way into it.
    ///
    /// Count, watermark, ledger, version and dirty mark move together here, under the shard's lock.
    pub fn access(
        &mut self,
        key: &Key,
        state: &mut ReadState,
        access: &Access,
        now: &Now,
        leftovers: &mut Leftovers,
    ) -> Outcome {
        let Access::Update(update) = access else { return Ok(self.seen(key, state)) };
        if update.guard.check(state).is_err() {
            let Done { view, unflushed, .. } = self.seen(key, state);
            return Err(Refusal::Mismatch { view, unflushed });
        }
        let Some(version) = now.next_version(self.last, state.version()) else {
            return self.refuse_change(key, state, update, Refusal::ClockCeiling);
        };
        let was_dirty = state.holder_mark();
        if !was_dirty && !self.places.try_take() {
            return self.refuse_change(key, state, update, self.places.refusal());
        }
        let (mut done, record) = self.change(key, state, update, version, leftovers);
        if let Some(record) = record {
            // Where nothing is written down, the mark that a dirty state has says all there is.
            if !was_dirty || record != Sequence::ZERO {
                self.dirty.insert(*key, now.elapsed_ms, record);
            }
            done.unflushed = Some(record);
            return Ok(done);
        }
        if !was_dirty {
            self.places.release();
        }
        done.unflushed = self.unflushed(key, state);
        Ok(done)
    }

    fn change(
        &mut self,
        key: &Key,
        state: &mut ReadState,
        update: &Update,
        version: Version,
        leftovers: &mut Leftovers,
    ) -> (Done, Option<Sequence>) {
        let previous = Previous::of(state);
        let was_dirty = state.holder_mark();
        let bytes = state.extra_bytes();
        let transition = state.apply(&update.operation);
        leftovers.add(transition.freed);
        let mut record = None;
        if transition.changed {
            state.set_version(version);
            self.last = version;
            self.tickets.void(key);
            // Version and record are given under one hold of the lock (I7).
            record = Some(self.log.append_state(key, state));
        }
        // Deleting and starting anew replace the state, and with it the mark.
        state.set_holder_mark(was_dirty || transition.changed);
        self.extra_bytes = self.extra_bytes + state.extra_bytes() - bytes;
        if let Some(record) = record {
            self.tell(key, state, Cause::from(&update.operation), record, leftovers);
        }
        let done = Done {
            view: state.view(),
            previous,
            changed: transition.changed,
            outcome: transition.outcome,
            unflushed: None,
        };
        (done, record)
    }

    /// Tells who watches the user what `state` has become: in the order of the versions, as that is
    /// given under the same hold of the lock.
    fn tell(
        &self,
        key: &Key,
        state: &ReadState,
        cause: Cause,
        record: Sequence,
        leftovers: &mut Leftovers,
    ) {
        if self.watchers.is_empty() {
            return;
        }
        self.watchers.tell(key.user, leftovers, || Change {
            user: key.user,
            state: Some((*key, state.view())),
            cause,
            version: state.version(),
            record,
        });
    }

    /// Tells who watches the user that it has states which came with versions of their own: what
    /// was told in the order of versions does not hold any more.
    pub fn renew(&mut self, key: &Key, now: &Now, record: Sequence, leftovers: &mut Leftovers) {
        if self.watchers.is_empty() {
            return;
        }
        // Whoever looks at everything behind this has seen at least this version.
        self.last = now.next_version(self.last, Version::ZERO).unwrap_or(self.last);
        let (user, cause, version) = (key.user, Cause::CatchUp, self.last);
        let change = || Change { user, state: None, cause, version, record };
        self.watchers.tell(user, leftovers, change);
    }

    /// Refuses, unless the update would change nothing anyway.
    fn refuse_change(
        &mut self,
        key: &Key,
        state: &ReadState,
        update: &Update,
        why: Refusal,
    ) -> Outcome {
        let transition = state.clone().apply(&update.operation);
        if transition.changed {
            self.dirty_refused += u64::from(why == Refusal::DirtyLimit);
            return Err(why);
        }
        Ok(Done { outcome: transition.outcome, ..self.seen(key, state) })
    }

    fn seen(&self, key: &Key, state: &ReadState) -> Done {
        Done {
            view: state.view(),
            previous: Previous::of(state),
            changed: false,
            outcome: None,
            unflushed: self.unflushed(key, state),
        }
    }

    pub fn unflushed(&self, key: &Key, state: &ReadState) -> Option<Sequence> {
        if sabotage::is(Fault::ShowUndurable) {
            return None;
        }
        let mark = if state.holder_mark() { self.dirty.unflushed(key) } else { None };
        if self.deletions.is_empty() {
            return mark;
        }
        mark.max(self.deletions.get(&key.user).map(|deletion| deletion.record))
    }

    /// Whether the store has all there is to know of a key that is not being loaded.
    pub fn is_flushed(&self, key: &Key) -> bool {
        !self.dirty.contains(key) && !self.deletions.contains_key(&key.user)
    }

    /// Everything the user has up to `version` is gone, as the record says.
    pub fn hide(&mut self, user: UserId, version: Version, record: Sequence) {
        let deletion = Deletion { version, purged: false, record };
        if let Some(before) = self.deletions.insert(user, deletion) {
            self.dirty.pins.remove(before.record);
        }
        self.dirty.pins.add(record);
        self.tickets.void_user(user);
        self.deletion_turn.0 += 1;
    }

    /// The deletion of the user was written down anew.
    pub fn move_up_deletion(&mut self, user: UserId, record: Sequence) {
        if let Some(deletion) = self.deletions.get_mut(&user) {
            self.dirty.pins.remove(deletion.record);
            deletion.record = record;
            self.dirty.pins.add(record);
        }
    }

    /// The store has confirmed the deletion of the user.
    pub fn reveal(&mut self, user: UserId) {
        if let Some(deletion) = self.deletions.remove(&user) {
            self.dirty.pins.remove(deletion.record);
            self.deletion_turn.0 += 1;
        }
    }

    /// The state of this key was deleted with its user.
    pub fn depart(&mut self, key: &Key) {
        if self.dirty.depart(key) {
            self.places.release();
        }
    }

    /// The store has the current version of this key.
    pub fn make_clean(&mut self, key: &Key) {
        if self.dirty.remove(key) {
            self.places.release();
        }
    }
}

impl Previous {
    fn of(state: &ReadState) -> Self {
        Self {
            last_acked_id: state.last_acked_id(),
            mention_count: state.mention_count(),
            marked_unread: state.marked_unread(),
        }
    }
}
