//! The shard's side of write-behind: what is due, what became of it, and what a list must overlay.

use super::{
    KEYS_PER_HOLD_MAX,
    answer::{Leftovers, Overlay, Refusal, UserDeletion},
    shard::Shard,
    watchers::Change,
};
use crate::{
    clock::Now,
    model::{Cause, Key, ReadState, Sequence, UserId, Version},
    sabotage::{self, Fault},
};

impl Shard {
    /// Moves up to `limit` due states into a commit: evicted ones, then those first changed
    /// before `changed_before_ms`. Each stays in memory until it is settled (I3). Whether more may
    /// be due, which the number of rows does not tell: what a deletion hides is no row.
    pub fn collect_due(
        &mut self,
        changed_before_ms: u64,
        limit: usize,
        rows: &mut Vec<(Key, ReadState)>,
        leftovers: &mut Leftovers,
    ) -> bool {
        let mut due = Vec::with_capacity(limit.min(KEYS_PER_HOLD_MAX));
        due.extend((0..limit).map_while(|_| self.book.dirty.take_due(changed_before_ms)));
        let is_more = due.len() == limit;
        due.iter().for_each(|key| self.look_up(key));
        for key in due {
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
        is_more
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
        if current != Some(version) && !sabotage::is(Fault::SettleAnyVersion) {
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
        let deletion = self.book.deletions.get(&user);
        let deleted_at = deletion.map(|deletion| deletion.version);
        let mut unflushed = deletion.map(|deletion| deletion.record);
        let mut page = self.book.dirty.of_user(user, after, limit + 1);
        let is_more = page.len() > limit;
        page.truncate(limit);
        for key in &page {
            unflushed = unflushed.max(self.book.dirty.unflushed(key));
        }
        // Every key may be hidden by a deletion that is still being purged, so rows tell no place.
        let resume_after = page.last().copied().filter(|_| is_more);
        let rows = page
            .into_iter()
            .filter_map(|key| Some((key, self.find(&key)?.view())))
            .filter(|(key, view)| !self.book.is_hidden(key, view.version))
            .collect();
        Overlay { rows, resume_after, version: self.book.last, deleted_at, unflushed }
    }

    /// Does away with everything the user has `upto` a version, or up to now. What is in memory is
    /// hidden at once and purged by and by; what a load under way brings is void (I5).
    pub fn delete_user(
        &mut self,
        user: UserId,
        upto: Option<Version>,
        now: &Now,
        leftovers: &mut Leftovers,
    ) -> Result<(Version, Sequence), Refusal> {
        let pending = self.book.deletions.get(&user);
        if let Some(pending) =
            pending.filter(|pending| upto.is_some_and(|it| it <= pending.version))
        {
            return Ok((pending.version, pending.record));
        }
        let last = self.book.last.max(upto.unwrap_or_default());
        // Above all that was told to those who watch the user, whatever it does away with.
        let last = now.next_version(last, Version::ZERO).ok_or(Refusal::ClockCeiling)?;
        let version = upto.unwrap_or(last);
        // A deletion takes a dirty place: it too waits in memory for the store.
        if !self.book.deletions.contains_key(&user) && !self.book.places.try_take() {
            let why = self.book.places.refusal();
            self.book.dirty_refused += u64::from(why == Refusal::DirtyLimit);
            return Err(why);
        }
        self.book.last = last;
        let record = self.book.log.append_deletion(user, version);
        self.book.hide(user, version, record);
        let cause = Cause::Resync;
        let change = || Change { user, state: None, cause, version: last, record };
        if !sabotage::is(Fault::WatchKeepsUser) {
            self.book.watchers.tell(user, leftovers, change);
        }
        Ok((version, record))
    }

    /// Frees dirty states above `after` that a deletion hides, looking at up to `limit`; returns
    /// the last key looked at. `None` is the end: the store may be told of the deletion.
    pub fn purge_deleted(
        &mut self,
        deletion: UserDeletion,
        after: Option<Key>,
        limit: usize,
        leftovers: &mut Leftovers,
    ) -> Option<Key> {
        let UserDeletion { user, version } = deletion;
        let keys = self.book.dirty.of_user(user, after, limit);
        for key in &keys {
            self.purge_hidden(key, leftovers);
        }
        let pending = self.book.deletions.get_mut(&user);
        if let Some(pending) = pending.filter(|pending| pending.version == version) {
            pending.purged |= keys.is_empty();
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

    /// The deletions that the store has not confirmed and may be told of: once they are settled
    /// nothing of theirs is left, dirty in memory or in a commit under way, that could come back.
    pub fn deletions(&self) -> impl Iterator<Item = UserDeletion> {
        let deletions = self.book.deletions.iter();
        deletions
            .filter(|(user, deletion)| deletion.purged && !self.book.dirty.has_departed(**user))
            .map(|(user, deletion)| UserDeletion { user: *user, version: deletion.version })
    }

    /// Whether there are deletions that [`Self::deletions`] leaves out.
    pub fn withholds_deletions(&self) -> bool {
        self.deletions().count() < self.book.deletions.len()
    }

    /// The store has confirmed a deletion: unless there is a newer one, nothing needs hiding.
    /// A load under way may have read a row before the store deleted it: it is void (I5).
    pub fn settle_deletion(&mut self, deletion: UserDeletion) {
        let pending = self.book.deletions.get(&deletion.user);
        if pending.is_some_and(|pending| pending.version == deletion.version) {
            self.book.reveal(deletion.user);
            self.book.tickets.void_user(deletion.user);
            self.book.places.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, sync::Arc};

    use super::*;
    use crate::{
        cache::{Access, NoLog, Sizing, book::DirtyPlaces},
        model::{ChannelId, Operation},
    };

    const NOW: Now = Now { wall_us: 1_000, ceiling: Version::from_micros(u64::MAX), elapsed_ms: 0 };

    fn shard_of(user: UserId, channels: u64) -> Shard {
        let sizing = Sizing::for_entries(NonZeroUsize::new(64).unwrap(), None, None);
        let log = Arc::new(NoLog);
        let mut shard = Shard::new(
            sizing.of_shard(0),
            Version::ZERO,
            DirtyPlaces::new(sizing.dirty_limit),
            log,
        );
        for channel in 1..=channels {
            let key = Key::channel(user, ChannelId::new(channel).unwrap());
            let ticket = shard.begin_load(key).unwrap();
            shard.admit(ticket, None, &[increment()], &NOW, &mut Leftovers::default()).unwrap();
        }
        shard
    }

    fn increment() -> Access {
        Access::Update(Operation::Increment { count: 1, initial_acked_id: None }.into())
    }

    fn delete_user(shard: &mut Shard, user: UserId) -> Result<(Version, Sequence), Refusal> {
        shard.delete_user(user, None, &NOW, &mut Leftovers::default())
    }

    fn purge(shard: &mut Shard, deletion: UserDeletion, after: Option<Key>) -> Option<Key> {
        shard.purge_deleted(deletion, after, 2, &mut Leftovers::default())
    }

    #[test]
    fn a_deletion_is_offered_once_every_dirty_state_that_it_hides_is_purged() {
        let user = UserId::new(1).unwrap();
        let mut shard = shard_of(user, 4);
        let (version, _) = delete_user(&mut shard, user).unwrap();
        let deletion = UserDeletion { user, version };
        let mut after = None;
        for left in [2, 0] {
            after = purge(&mut shard, deletion, after);
            assert_eq!(shard.book.dirty.len(), left);
            assert_eq!((shard.deletions().count(), shard.withholds_deletions()), (0, true));
        }
        assert_eq!(purge(&mut shard, deletion, after), None);
        assert_eq!(shard.deletions().collect::<Vec<_>>(), [deletion]);
        assert!(!shard.withholds_deletions());
    }

    #[test]
    fn hidden_states_are_no_rows_but_more_may_be_due_behind_them() {
        let user = UserId::new(1).unwrap();
        let mut shard = shard_of(user, 2);
        delete_user(&mut shard, user).unwrap();
        let other = Key::channel(UserId::new(2).unwrap(), ChannelId::new(1).unwrap());
        let ticket = shard.begin_load(other).unwrap();
        shard.admit(ticket, None, &[increment()], &NOW, &mut Leftovers::default()).unwrap();
        let mut rows = Vec::new();
        let mut leftovers = Leftovers::default();
        assert!(shard.collect_due(u64::MAX, 2, &mut rows, &mut leftovers));
        assert_eq!(rows, []);
        assert!(!shard.collect_due(u64::MAX, 2, &mut rows, &mut leftovers));
        assert_eq!(rows.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [other]);
        shard.self_check();
    }

    #[test]
    fn an_overlay_goes_on_behind_states_that_are_hidden_but_not_purged() {
        let user = UserId::new(1).unwrap();
        let mut shard = shard_of(user, 5);
        delete_user(&mut shard, user).unwrap();
        let anew = Key::channel(user, ChannelId::new(5).unwrap());
        assert_eq!(shard.access(&anew, &increment(), &NOW, &mut Leftovers::default()), None);
        let ticket = shard.begin_load(anew).unwrap();
        shard.admit(ticket, None, &[increment()], &NOW, &mut Leftovers::default()).unwrap();
        let page = shard.overlay(user, None, 2);
        assert_eq!(page.rows, []);
        let page = shard.overlay(user, page.resume_after, 2);
        assert_eq!(page.rows, []);
        let page = shard.overlay(user, page.resume_after, 2);
        assert_eq!(page.rows.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [anew]);
        assert_eq!(page.resume_after, None);
    }

    #[test]
    fn a_purge_does_not_stand_for_that_of_a_newer_deletion() {
        let user = UserId::new(1).unwrap();
        let mut shard = shard_of(user, 1);
        let older = UserDeletion { user, version: delete_user(&mut shard, user).unwrap().0 };
        let after = purge(&mut shard, older, None);
        let newer = UserDeletion { user, version: delete_user(&mut shard, user).unwrap().0 };
        assert_eq!(purge(&mut shard, older, after), None);
        assert_eq!(shard.deletions().count(), 0);
        assert_eq!(purge(&mut shard, newer, None), None);
        assert_eq!(shard.deletions().collect::<Vec<_>>(), [newer]);
    }
}
