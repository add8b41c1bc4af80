//! States that come from elsewhere, whole and with the versions that they had there: a load of a
//! dump. The newer version wins, so that a load may be done again at will.

use super::{
    Cache,
    answer::{Leftovers, Refusal},
    shard::{Shard, Void},
    ticket::Ticket,
};
use crate::{
    clock::Now,
    model::{Key, ReadState, Sequence, Version},
};

/// What became of a state that came from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// It is the current one now. Else what was here is as new, or newer.
    pub taken: bool,
    /// As in [`Done`](super::Done), of what is current now.
    pub unflushed: Option<Sequence>,
}

/// What an import came to.
pub type ImportOutcome = Result<Imported, Refusal>;

impl Cache {
    /// Makes `state` the current one of `key` where what is in memory is older; `None` where
    /// nothing is: load it. There must be room for a record.
    pub fn import(&self, key: &Key, state: &ReadState, now: &Now) -> Option<ImportOutcome> {
        self.with(key.user, |shard, leftovers| shard.import(key, state, now, leftovers))
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
        now: &Now,
    ) -> Result<ImportOutcome, Void> {
        self.with(ticket.key().user, |shard, leftovers| {
            shard.admit_import(ticket, loaded, state, now, leftovers)
        })
    }
}

impl Shard {
    fn import(
        &mut self,
        key: &Key,
        state: &ReadState,
        now: &Now,
        leftovers: &mut Leftovers,
    ) -> Option<ImportOutcome> {
        self.purge_hidden(key, leftovers);
        if let Some(older) = self.older_than_deletion(key, state) {
            return Some(Ok(older));
        }
        let held = self.find(key)?;
        if held.version() >= state.version() {
            return Some(Ok(Imported { taken: false, unflushed: self.book.unflushed(key, held) }));
        }
        Some(self.make_current(key, state.clone(), now, leftovers))
    }

    fn admit_import(
        &mut self,
        ticket: Ticket,
        loaded: Option<ReadState>,
        state: &ReadState,
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
        if let Some(loaded) = loaded.filter(|loaded| loaded.version() >= state.version()) {
            self.book.last = self.book.last.max(loaded.version());
            let unflushed = self.book.unflushed(&key, &loaded);
            return Ok(Ok(Imported { taken: false, unflushed }));
        }
        Ok(self.make_current(&key, state.clone(), now, leftovers))
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
