//! One shard: the states of its users, wholly under one lock.
//!
//! A key is absent, in an LRU, or among the victims (I2). It is dirty exactly while the dirty index
//! has a mark for it and its state carries the holder's mark.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{
    answer::{Access, CacheCounts, Leftovers, Outcome},
    book::{Book, DirtyPlaces},
    log::Log,
    resident::Resident,
    sizing::{ENTRY_BYTES, ShardSizing},
    ticket::Ticket,
};
use crate::{
    clock::Now,
    model::{Key, ReadState, Version},
    sabotage::{self, Fault},
};

/// Evictions in one hold of the lock. An evicted dirty entry frees nothing yet, so a longer run of
/// them at the end of the LRU leaves the shard above its capacity until the next accesses: by one
/// insertion for each hold that the run takes.
const EVICTIONS_PER_HOLD_MAX: usize = 256;

/// The state of a load ticket that is not good any more: load again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Void;

pub(super) struct Shard {
    pub(super) resident: Resident,
    /// Evicted while dirty: here until the store confirms them (I3).
    pub(super) victims: HashMap<Key, ReadState>,
    pub(super) book: Book,
    sizing: ShardSizing,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    hits: u64,
    misses: u64,
    evictions_clean: u64,
    evictions_dirty: u64,
}

impl Shard {
    pub fn new(
        sizing: ShardSizing,
        last: Version,
        places: Arc<DirtyPlaces>,
        log: Arc<dyn Log>,
    ) -> Self {
        Self {
            resident: Resident::new(sizing),
            victims: HashMap::new(),
            book: Book::new(last, places, log),
            sizing,
            counters: Counters::default(),
        }
    }

    /// Does what is asked of a key in memory; `None` where it is not.
    pub fn access(
        &mut self,
        key: &Key,
        access: &Access,
        now: &Now,
        leftovers: &mut Leftovers,
    ) -> Option<Outcome> {
        if !self.book.deletions.is_empty() {
            self.purge_hidden(key, leftovers);
        }
        if !self.victims.is_empty() {
            self.recall_victim(key);
        }
        let Some(state) = self.resident.promote(key) else {
            self.counters.misses += 1;
            return None;
        };
        self.counters.hits += 1;
        let outcome = self.book.access(key, state, access, now, leftovers);
        self.evict(leftovers);
        Some(outcome)
    }

    /// Gives out a ticket to load `key`; `None` where it is in memory by now.
    pub fn begin_load(&mut self, key: Key) -> Option<Ticket> {
        let present = self.find(&key).is_some_and(|state| {
            let version = state.version();
            !self.book.is_hidden(&key, version)
        });
        (!present).then(|| self.book.tickets.issue(key))
    }

    /// Takes in what a load brought and does what waited for it, in one critical section (I5).
    pub fn admit(
        &mut self,
        ticket: Ticket,
        loaded: Option<ReadState>,
        accesses: &[Access],
        now: &Now,
        leftovers: &mut Leftovers,
    ) -> Result<Vec<Outcome>, Void> {
        let key = ticket.key();
        self.purge_hidden(&key, leftovers);
        let good = self.book.tickets.redeem(ticket) || sabotage::is(Fault::StaleLoad);
        if !good || self.find(&key).is_some() {
            return Err(Void);
        }
        // Any other load of this key under way is older than what is decided here.
        self.book.tickets.void(&key);
        let loaded = loaded.filter(|state| !self.book.is_hidden(&key, state.version()));
        let mut state = loaded.unwrap_or_default();
        self.book.last = self.book.last.max(state.version());
        self.book.extra_bytes += state.extra_bytes();
        let outcomes = accesses
            .iter()
            .map(|access| self.book.access(&key, &mut state, access, now, leftovers))
            .collect();
        if state.version() != Version::ZERO {
            self.resident.push(key, state);
            self.evict(leftovers);
        }
        Ok(outcomes)
    }

    /// Gives a ticket back without a result.
    pub fn abandon_load(&mut self, ticket: Ticket) {
        self.book.tickets.redeem(ticket);
    }

    pub(super) fn find(&self, key: &Key) -> Option<&ReadState> {
        self.resident.peek(key).or_else(|| self.victims.get(key))
    }

    /// A victim that is asked for is an entry again.
    pub(super) fn recall_victim(&mut self, key: &Key) {
        if let Some(state) = self.victims.remove(key) {
            self.book.dirty.relax(key);
            self.resident.push(*key, state);
        }
    }

    pub(super) fn evict(&mut self, leftovers: &mut Leftovers) {
        for _ in 0..EVICTIONS_PER_HOLD_MAX {
            let Some((key, state)) = self.pop_excess() else { return };
            if state.holder_mark() && !sabotage::is(Fault::EvictDirty) {
                self.counters.evictions_dirty += 1;
                self.book.dirty.hasten(&key);
                self.victims.insert(key, state);
            } else {
                self.counters.evictions_clean += 1;
                self.book.extra_bytes -= state.extra_bytes();
                leftovers.add(state.into_extra());
            }
        }
    }

    fn pop_excess(&mut self) -> Option<(Key, ReadState)> {
        if self.resident.len_of_other_kinds() > self.sizing.other_kinds {
            return self.resident.pop_oldest_other_kind();
        }
        // Victims and heap parts take the places of entries.
        let taken = self.resident.len_of_channels()
            + self.victims.len()
            + self.book.extra_bytes.div_ceil(ENTRY_BYTES);
        if taken <= self.sizing.channels {
            return None;
        }
        // Where other kinds' heap parts have taken all places of channels, they make room too.
        self.resident.pop_oldest_channel().or_else(|| self.resident.pop_oldest_other_kind())
    }

    pub(super) fn purge_hidden(&mut self, key: &Key, leftovers: &mut Leftovers) {
        let Some(version) = self.find(key).map(ReadState::version) else { return };
        if self.book.is_hidden(key, version) {
            self.purge(key, leftovers);
        }
    }

    /// Takes the key out of memory, dirty or not: its user is deleted.
    pub(super) fn purge(&mut self, key: &Key, leftovers: &mut Leftovers) {
        let state = self.resident.pop(key).or_else(|| self.victims.remove(key));
        if let Some(state) = state {
            self.book.depart(key);
            self.book.extra_bytes -= state.extra_bytes();
            leftovers.add(state.into_extra());
        }
    }

    pub fn counts(&self, now_ms: u64) -> CacheCounts {
        let oldest = self.book.dirty.oldest_ms();
        CacheCounts {
            entries: self.resident.len() + self.victims.len(),
            victims: self.victims.len(),
            dirty: self.book.dirty.len(),
            extra_bytes: self.book.extra_bytes,
            hits: self.counters.hits,
            misses: self.counters.misses,
            evictions_clean: self.counters.evictions_clean,
            evictions_dirty: self.counters.evictions_dirty,
            dirty_refused: self.book.dirty_refused,
            oldest_dirty_ms: oldest.map(|since_ms| now_ms.saturating_sub(since_ms)),
        }
    }

    /// Panics where an invariant of the shard is broken. Slow: for tests.
    pub fn self_check(&self) {
        self.book.dirty.self_check();
        let mut extra_bytes = 0;
        let mut marked = 0;
        let victims = self.victims.iter().map(|(key, state)| (*key, state));
        for (key, state) in self.resident.iter().chain(victims) {
            assert_ne!(state.version(), Version::ZERO, "{key:?} is in memory but does not exist");
            assert!(state.version() <= self.book.last, "{key:?} is newer than its shard");
            assert_eq!(state.holder_mark(), self.book.dirty.contains(&key), "mark of {key:?}");
            extra_bytes += state.extra_bytes();
            marked += usize::from(state.holder_mark());
        }
        assert_eq!(marked, self.book.dirty.len(), "I3: a dirty state left memory");
        assert_eq!(extra_bytes, self.book.extra_bytes, "bytes charged");
        let pinned = self.book.dirty.len() + self.book.deletions.len();
        assert_eq!(self.book.dirty.pins.len(), pinned, "I9: pins");
        for (key, state) in &self.victims {
            assert!(state.holder_mark(), "{key:?} is a clean victim");
            assert!(self.resident.peek(key).is_none(), "I2: {key:?} is in two places");
        }
        assert!(self.resident.len_of_other_kinds() <= self.sizing.other_kinds);
        self.check_capacity();
    }

    fn check_capacity(&self) {
        let entries = self.resident.len_of_channels();
        let others = self.victims.len() + self.book.extra_bytes.div_ceil(ENTRY_BYTES);
        // A run of dirty entries lets one insertion through for each hold it is moved in.
        let most = self.sizing.channels + self.book.dirty.len() / (EVICTIONS_PER_HOLD_MAX / 2);
        assert!(
            entries == 0 || entries + others <= most,
            "I2: {entries} entries and {others} places above {most}",
        );
    }
}
