//! The journal's side of the cache: states come back from it as dirty ones, and what keeps old
//! records needed is written down anew.

use super::{
    Cache, KEYS_PER_HOLD_MAX,
    answer::{Leftovers, UserDeletion},
    shard::Shard,
};
use crate::{
    model::{Key, Operation, ReadState, Sequence, UserId, Version},
    sabotage::{self, Fault},
};

/// All dirty places are taken: flush, then go on with the same record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Cache {
    /// Takes a state back from its record. Records come in the order in which they were written;
    /// an older one than what is in memory changes nothing.
    ///
    /// # Errors
    /// [`Full`], and nothing was done.
    pub fn restore(
        &self,
        key: &Key,
        state: ReadState,
        record: Sequence,
        now_ms: u64,
    ) -> Result<(), Full> {
        self.with(key.user, |shard, leftovers| shard.restore(key, state, record, now_ms, leftovers))
    }

    /// As [`Self::restore`], for the deletion of a user.
    ///
    /// # Errors
    /// [`Full`], and nothing was done.
    pub fn restore_deletion(
        &self,
        user: UserId,
        version: Version,
        record: Sequence,
    ) -> Result<(), Full> {
        self.with(user, |shard, _| shard.restore_deletion(user, version, record))?;
        self.purge_deleted(UserDeletion { user, version });
        Ok(())
    }

    /// The dirty states of shard `index` at `step` times [`KEYS_PER_HOLD_MAX`] places from the
    /// first, as many at most; `None` where all were looked at. What becomes dirty meanwhile may be
    /// missed.
    pub fn dirty_states(&self, index: usize, step: usize) -> Option<Vec<(Key, Version)>> {
        self.with_index(index, |shard, _| shard.dirty_states(step))
    }

    /// Forgets a state that came back from the journal, dirty or not, unless it is newer than what
    /// the store has: a row, or the deletion of its user, of `version`. Nothing is being flushed.
    pub fn give_way(&self, key: &Key, version: Version) {
        self.with(key.user, |shard, leftovers| {
            shard.book.last = shard.book.last.max(version);
            shard.purge_older(&[*key], version, leftovers);
        });
    }

    /// Merges `row` over a state that came back from the journal and is older: another owner has
    /// written it since, and did not know of that state. Whether something of it is left to be
    /// written, with a version above both; otherwise it is forgotten. Nothing is being flushed.
    pub fn merge(&self, key: &Key, row: &ReadState) -> bool {
        let merged = self.with(key.user, |shard, leftovers| shard.merge(key, row, leftovers));
        if !merged {
            self.give_way(key, row.version());
        }
        merged
    }

    /// Gives a state that came back from the journal a version above all that were given out; but
    /// not a tombstone, which anything that another has done since is to outlive. Nothing is being
    /// flushed.
    pub fn restamp(&self, key: &Key) {
        self.with(key.user, |shard, leftovers| {
            let Some(held) = shard.find(key).filter(|held| held.exists()) else { return };
            let mut state = held.clone();
            state.set_version(shard.book.last.next());
            shard.put_dirty(key, state, leftovers);
            shard.evict(leftovers);
        });
    }

    /// The first record that is still needed: whatever comes before it is in the store or replaced
    /// by a later one, if it was made before the call. `None` where nothing is dirty.
    pub fn first_needed(&self) -> Option<Sequence> {
        self.shards.each(|shard| shard.book.dirty.pins.lowest()).flatten().min()
    }

    /// Writes down anew what keeps records up to `upto` needed, of the places of shard `index` from
    /// `step * limit` on: up to `limit` states, at most [`KEYS_PER_HOLD_MAX`], for whose records
    /// there must be room. Whether there may be more at the next step.
    pub fn move_up(&self, index: usize, upto: Sequence, step: usize, limit: usize) -> bool {
        let limit = limit.min(KEYS_PER_HOLD_MAX);
        self.with_index(index, |shard, _| shard.move_up(upto, step, limit))
    }

    /// Writes down anew a state that the store has confirmed, unless it has changed since or its
    /// user was deleted.
    pub fn copy_flushed(&self, key: &Key, state: &ReadState) {
        self.with(key.user, |shard, _| shard.copy_flushed(key, state));
    }

    /// As [`Self::move_up`], for deletions of users: of all of shard `index`, `limit` at most.
    /// Whether there may be more.
    pub fn move_up_deletions(&self, index: usize, upto: Sequence, limit: usize) -> bool {
        self.with_index(index, |shard, _| shard.move_up_deletions(upto, limit))
    }
}

impl Shard {
    fn restore(
        &mut self,
        key: &Key,
        mut state: ReadState,
        record: Sequence,
        now_ms: u64,
        leftovers: &mut Leftovers,
    ) -> Result<(), Full> {
        let version = state.version();
        let held = self.find(key).map(|held| (held.version(), held.holder_mark()));
        let is_older = held.is_some_and(|(held, _)| version <= held);
        if version == Version::ZERO || is_older || self.book.is_hidden(key, version) {
            self.book.last = self.book.last.max(version);
            return Ok(());
        }
        let is_dirty = held.is_some_and(|(_, dirty)| dirty);
        if !is_dirty && !self.book.places.try_take() {
            return Err(Full);
        }
        if sabotage::is(Fault::ReplayAdds) {
            let count = self.find(key).map_or(0, ReadState::mention_count);
            state.apply(&Operation::Increment { count, initial_acked_id: None });
        }
        self.put_dirty(key, state, leftovers);
        self.book.dirty.insert(*key, now_ms, record);
        self.evict(leftovers);
        Ok(())
    }

    /// In the place of what is held of it. The dirty index is the caller's.
    fn put_dirty(&mut self, key: &Key, mut state: ReadState, leftovers: &mut Leftovers) {
        self.recall_victim(key);
        self.book.last = self.book.last.max(state.version());
        self.book.tickets.void(key);
        state.set_holder_mark(true);
        self.book.extra_bytes += state.extra_bytes();
        if let Some(replaced) = self.resident.push(*key, state) {
            self.book.extra_bytes -= replaced.extra_bytes();
            leftovers.add(replaced.into_extra());
        }
    }

    /// The record of the older state stays needed, for what is merged is in no record yet.
    fn merge(&mut self, key: &Key, row: &ReadState, leftovers: &mut Leftovers) -> bool {
        let Some(held) = self.find(key) else { return false };
        let Ok(mut merged) = row.merged_over(held) else { return false };
        if merged == *row {
            return false;
        }
        merged.set_version(self.book.last.max(row.version()).next());
        self.put_dirty(key, merged, leftovers);
        self.evict(leftovers);
        true
    }

    fn restore_deletion(
        &mut self,
        user: UserId,
        version: Version,
        record: Sequence,
    ) -> Result<(), Full> {
        let pending = self.book.deletions.get(&user).map(|deletion| deletion.version);
        self.book.last = self.book.last.max(version);
        if pending.is_some_and(|pending| version <= pending) {
            return Ok(());
        }
        if pending.is_none() && !self.book.places.try_take() {
            return Err(Full);
        }
        self.book.hide(user, version, record);
        Ok(())
    }

    fn dirty_states(&self, step: usize) -> Option<Vec<(Key, Version)>> {
        let every = Sequence::new(u64::MAX);
        let keys = self.book.dirty.pinned_upto(every, step, KEYS_PER_HOLD_MAX)?;
        let state = |key: Key| Some((key, self.find(&key)?.version()));
        Some(keys.into_iter().filter_map(state).collect())
    }

    fn move_up(&mut self, upto: Sequence, step: usize, limit: usize) -> bool {
        let Some(keys) = self.book.dirty.pinned_upto(upto, step, limit) else { return false };
        for key in keys {
            let Some(state) = self.find(&key) else { continue };
            // Behind its user's deletion it could be replayed after that was done with.
            if self.book.is_hidden(&key, state.version()) {
                continue;
            }
            let record = self.book.log.append_state(&key, state);
            self.book.dirty.move_up(&key, record);
        }
        true
    }

    fn copy_flushed(&mut self, key: &Key, state: &ReadState) {
        // Under one hold of the lock, so that no newer version of it comes before this one (I7).
        // What is newer than a deletion of its user is needed, though that one is still pending.
        if !self.book.dirty.contains(key) && !self.book.is_hidden(key, state.version()) {
            self.book.log.append_state(key, state);
        }
    }

    fn move_up_deletions(&mut self, upto: Sequence, limit: usize) -> bool {
        let deletions = self.book.deletions.iter();
        let needed = deletions.filter(|(_, deletion)| deletion.record <= upto).take(limit);
        let needed: Vec<(UserId, Version)> =
            needed.map(|(user, deletion)| (*user, deletion.version)).collect();
        for (user, version) in &needed {
            let record = self.book.log.append_deletion(*user, *version);
            self.book.move_up_deletion(*user, record);
        }
        needed.len() == limit
    }
}
