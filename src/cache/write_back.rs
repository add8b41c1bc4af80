//! The shard's side of write-behind: what is due, what became of it, and what a list must overlay.

use super::{
    answer::{Leftovers, Overlay, Refusal, UserDeletion},
    shard::Shard,
};
use crate::{
    clock::Now,
    model::{Key, ReadState, UserId, Version},
};

impl Shard {
    /// Moves up to `limit` due states into a commit: evicted ones, then those first changed
    /// before `changed_before_ms`. Each stays in memory until it is settled (I3).
    pub fn collect_due(
        &mut self,
        changed_before_ms: u64,
        limit: usize,
        rows: &mut Vec<(Key, ReadState)>,
        leftovers: &mut Leftovers,
    ) {
        for _ in 0..limit {
            let Some(key) = self.book.dirty.take_due(changed_before_ms) else { return };
            let Some(state) = self.find(&key) else { continue };
            if self.book.is_hidden(&key, state.version()) {
                // It goes nowhere after all.
                self.book.dirty.put_back(&key);
                self.purge(&key, leftovers);
                continue;
            }
            let mut row = state.clone();
            row.set_holder_mark(false);
            rows.push((key, row));
        }
    }

    /// A commit of `key` at `version` ended. It is clean only if that is still its version (I4).
    pub fn settle(
        &mut self,
        key: &Key,
        version: Version,
        written: bool,
        now_ms: u64,
        leftovers: &mut Leftovers,
    ) {
        if !written {
            self.book.dirty.put_back(key);
            return;
        }
        let current = self.find(key).map(ReadState::version);
        if current != Some(version) {
            self.book.dirty.keep_dirty(key, now_ms);
            return;
        }
        self.book.make_clean(key);
        if let Some(state) = self.resident.peek_mut(key) {
            state.set_holder_mark(false);
        } else if let Some(state) = self.victims.remove(key) {
            self.book.extra_bytes -= state.extra_bytes();
            leftovers.add(state.into_extra());
        }
    }

    /// The user's states that the store does not have, in key order, above `after`.
    pub fn overlay(&self, user: UserId, after: Option<Key>, limit: usize) -> Overlay {
        let deleted_at = self.book.deletions.get(&user).copied();
        let mut keys = self.book.dirty.of_user(user, after);
        let rows = keys
            .by_ref()
            .take(limit)
            .filter_map(|key| Some((*key, self.find(key)?.view())))
            .filter(|(key, view)| !self.book.is_hidden(key, view.version))
            .collect();
        let more = keys.next().is_some();
        Overlay { rows, more, version: self.book.last, deleted_at }
    }

    /// Does away with everything the user has up to now. What is in memory is hidden at once and
    /// purged by and by; what a load under way brings is void (I5).
    pub fn delete_user(&mut self, user: UserId, now: &Now) -> Result<Version, Refusal> {
        let version =
            now.next_version(self.book.last, Version::ZERO).ok_or(Refusal::ClockCeiling)?;
        // A deletion takes a dirty place: it too waits in memory for the store.
        if !self.book.deletions.contains_key(&user) && !self.book.places.try_take() {
            self.book.dirty_refused += 1;
            return Err(Refusal::DirtyLimit);
        }
        self.book.last = version;
        self.book.deletions.insert(user, version);
        self.book.tickets.void_user(user);
        Ok(version)
    }

    /// Frees up to `limit` dirty states above `after` that a deletion of their user hides; returns
    /// the last key looked at, `None` at the end.
    pub fn purge_deleted(
        &mut self,
        user: UserId,
        after: Option<Key>,
        limit: usize,
        leftovers: &mut Leftovers,
    ) -> Option<Key> {
        let keys: Vec<Key> = self.book.dirty.of_user(user, after).take(limit).copied().collect();
        for key in &keys {
            self.purge_hidden(key, leftovers);
        }
        keys.last().copied()
    }

    /// Frees those of `keys` that are not newer than `version`.
    pub fn purge_older(&mut self, keys: &[Key], version: Version, leftovers: &mut Leftovers) {
        for key in keys {
            if self.find(key).is_some_and(|state| state.version() <= version) {
                self.purge(key, leftovers);
            }
        }
    }

    /// The deletions that the store has not confirmed and may be told of: no commit under way can
    /// bring back a row behind them.
    pub fn deletions(&self) -> impl Iterator<Item = UserDeletion> {
        let deletions = self.book.deletions.iter();
        deletions
            .filter(|(user, _)| !self.book.dirty.has_departed(**user))
            .map(|(user, version)| UserDeletion { user: *user, version: *version })
    }

    /// The store has confirmed a deletion: unless there is a newer one, nothing needs hiding.
    /// A load under way may have read a row before the store deleted it: it is void (I5).
    pub fn settle_deletion(&mut self, deletion: UserDeletion) {
        if self.book.deletions.get(&deletion.user) == Some(&deletion.version) {
            self.book.deletions.remove(&deletion.user);
            self.book.tickets.void_user(deletion.user);
            self.book.places.release();
        }
    }
}
