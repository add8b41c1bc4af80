//! States that come from elsewhere, whole and with the versions that they had there: a load of a
//! dump, or what another owner of the keyspace had not flushed. Either may be done again at will.

use super::{
    Cache,
    answer::{Leftovers, Refusal},
    book::{Book, DeletionTurn},
    shard::{Shard, Void},
    ticket::Ticket,
};
use crate::{
    clock::Now,
    model::{Key, ReadState, Sequence, UserId, Version},
};

/// How a state that comes from elsewhere meets the one that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The newer of the two stays: it comes from a dump.
    Replaces,
    /// Nothing of either is lost: an owner of the keyspace acknowledged it, and was deposed before
    /// it was flushed. See [`ReadState::merged_over`]. What comes of it gets a version above all
    /// that were given out; but a tombstone keeps its own, which anything that another has done
    /// since is to outlive.
    Merges,
}

/// What became of a state that came from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// It is the current one now, or part of it. Else what was here has all of it, or is newer.
    pub taken: bool,
    /// As in [`Done`](super::Done), of what is current now.
    pub unflushed: Option<Sequence>,
}

/// What an import came to.
pub type ImportOutcome = Result<Imported, Refusal>;

impl Cache {
    /// What to read before the store is asked when `user` was last deleted.
    pub fn deletion_turn(&self, user: UserId) -> DeletionTurn {
        self.with(user, |shard, _| shard.book.deletion_turn)
    }

    /// Lets `state` meet what is in memory of `key`. There must be room for a record.
    ///
    /// `None` where nothing is in memory: load it. And where `asked`, the turn at which the store
    /// was asked for the mark of the user, has passed, and it is to be merged: what is here may
    /// have come after a deletion that the mark does not tell of, and that `state` came before.
    pub fn import(
        &self,
        key: &Key,
        (state, arrival): (&ReadState, Arrival),
        asked: Option<DeletionTurn>,
        now: &Now,
    ) -> Option<ImportOutcome> {
        self.with(key.user, |shard, leftovers| {
            shard.import(key, (state, arrival), asked, now, leftovers)
        })
    }

    /// As [`Self::import`], against what a load brought, in one critical section (I5).
    ///
    /// # Errors
    /// [`Void`] where the key was touched since the ticket was given out: nothing was done.
    pub fn admit_import(
        &self,
        ticket: Ticket,
        loaded: Option<ReadState>,
        state: &ReadState,
        arrival: Arrival,
        now: &Now,
    ) -> Result<ImportOutcome, Void> {
        self.with(ticket.key().user, |shard, leftovers| {
            shard.admit_import(ticket, loaded, (state, arrival), now, leftovers)
        })
    }
}

impl Book {
    /// What `state` makes of what is `here`; `None` where that stays as it is.
    fn met(
        &self,
        here: Option<&ReadState>,
        state: &ReadState,
        arrival: Arrival,
        now: &Now,
    ) -> Result<Option<ReadState>, Refusal> {
        let version = here.map_or(Version::ZERO, ReadState::version);
        let is_newer = state.version() > version;
        if arrival == Arrival::Replaces || !state.exists() || state.version() == version {
            return Ok(is_newer.then(|| state.clone()));
        }
        let mut met = state.clone();
        if let Some(here) = here.filter(|_| !is_newer) {
            let mut here = here.clone();
            here.set_holder_mark(false);
            match here.merged_over(state) {
                Ok(merged) if merged != here => met = merged,
                _ => return Ok(None),
            }
        }
        let next = now.next_version(self.last.max(state.version()), version);
        met.set_version(next.ok_or(Refusal::ClockCeiling)?);
        Ok(Some(met))
    }
}

impl Shard {
    fn import(
        &mut self,
        key: &Key,
        (state, arrival): (&ReadState, Arrival),
        asked: Option<DeletionTurn>,
        now: &Now,
        leftovers: &mut Leftovers,
    ) -> Option<ImportOutcome> {
        self.purge_hidden(key, leftovers);
        if let Some(older) = self.older_than_deletion(key, state) {
            return Some(Ok(older));
        }
        let held = self.find(key)?;
        if arrival == Arrival::Merges && asked != Some(self.book.deletion_turn) {
            return None;
        }
        Some(match self.book.met(Some(held), state, arrival, now) {
            Ok(Some(current)) => self.make_current(key, current, now, leftovers),
            Ok(None) => Ok(Imported { taken: false, unflushed: self.book.unflushed(key, held) }),
            Err(why) => Err(why),
        })
    }

    fn admit_import(
        &mut self,
        ticket: Ticket,
        loaded: Option<ReadState>,
        (state, arrival): (&ReadState, Arrival),
        now: &Now,
        leftovers: &mut Leftovers,
    ) -> Result<ImportOutcome, Void> {
        let key = ticket.key();
        self.purge_hidden(&key, leftovers);
        if !self.book.tickets.redeem(ticket) || self.find(&key).is_some() {
            return Err(Void);
        }
        if let Some(older) = self.older_than_deletion(&key, state) {
            return Ok(Ok(older));
        }
        let loaded = loaded.filter(|loaded| !self.book.is_hidden(&key, loaded.version()));
        let loaded_version = loaded.as_ref().map_or(Version::ZERO, ReadState::version);
        self.book.last = self.book.last.max(loaded_version);
        Ok(match self.book.met(loaded.as_ref(), state, arrival, now) {
            Ok(Some(current)) => self.make_current(&key, current, now, leftovers),
            Ok(None) => {
                let unflushed = loaded.and_then(|loaded| self.book.unflushed(&key, &loaded));
                Ok(Imported { taken: false, unflushed })
            }
            Err(why) => Err(why),
        })
    }

    /// What a deletion of the user that the store has not confirmed leaves of it: nothing.
    fn older_than_deletion(&self, key: &Key, state: &ReadState) -> Option<Imported> {
        let hidden = self.book.is_hidden(key, state.version());
        let deletion = self.book.deletions.get(&key.user).filter(|_| hidden)?;
        Some(Imported { taken: false, unflushed: Some(deletion.record) })
    }

    /// The one way in which a state from elsewhere becomes the current one of its key. The caller
    /// has seen that it is newer than the one before, and not hidden.
    fn make_current(
        &mut self,
        key: &Key,
        mut state: ReadState,
        now: &Now,
        leftovers: &mut Leftovers,
    ) -> ImportOutcome {
        debug_assert_ne!(state.version(), Version::ZERO, "a state from elsewhere exists");
        let is_dirty = self.find(key).is_some_and(ReadState::holder_mark);
        if !is_dirty && !self.book.places.try_take() {
            let why = self.book.places.refusal();
            self.book.dirty_refused += u64::from(why == Refusal::DirtyLimit);
            return Err(why);
        }
        self.recall_victim(key);
        self.book.last = self.book.last.max(state.version());
        self.book.tickets.void(key);
        // Under the hold in which the versions were compared (I7).
        let record = self.book.log.append_state(key, &state);
        state.set_holder_mark(true);
        self.book.extra_bytes += state.extra_bytes();
        if let Some(replaced) = self.resident.push(*key, state) {
            self.book.extra_bytes -= replaced.extra_bytes();
            leftovers.add(replaced.into_extra());
        }
        self.book.dirty.insert(*key, now.elapsed_ms, record);
        self.book.renew(key, now, record, leftovers);
        self.evict(leftovers);
        Ok(Imported { taken: true, unflushed: Some(record) })
    }
}
