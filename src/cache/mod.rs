//! The read states in memory: a set of shards, each an LRU with its dirty index, under locks that
//! a few of them share.
//!
//! All of a user's states are in one shard, so that versions, lists and bulk operations of a user
//! are one lock. Synchronous throughout: time is an argument, nothing waits, logs or does I/O.
//! Lock rule (I1): never two stripes at once; at most [`KEYS_PER_HOLD_MAX`] keys per hold.

mod answer;
mod batch;
mod book;
mod cut;
mod dirty;
mod held;
mod import;
mod log;
mod pins;
mod recovery;
mod resident;
mod shard;
mod sizing;
mod stripes;
mod sync;
mod ticket;
mod watchers;
mod write_back;

pub use answer::{Access, CacheCounts, Done, Outcome, Overlay, Previous, Refusal, UserDeletion};
pub use batch::{Attempt, Turn};
pub use book::DeletionTurn;
pub use held::Held;
pub use import::{Arrival, ImportOutcome, Imported};
pub use log::{Log, NoLog};
pub use recovery::Full;
pub use shard::Void;
pub use sizing::{DIRTY_BYTES, ENTRY_BYTES, SHARD_ENTRIES, Sizing};
pub use ticket::Ticket;
pub use watchers::{Change, WATCHERS_PER_USER_MAX, Watcher};

use answer::Leftovers;
use book::DirtyPlaces;
use shard::Shard;
use std::sync::Arc;
use stripes::Stripes;

use crate::{
    clock::Now,
    model::{Key, ReadState, Sequence, UserId, Version},
};

/// Keys that are looked at in one hold of a shard's lock, at most (I1).
pub const KEYS_PER_HOLD_MAX: usize = 256;

/// The sharded cache. See the module's documentation.
pub struct Cache {
    shards: Stripes,
    places: Arc<DirtyPlaces>,
    sizing: Sizing,
    seed: u64,
}

impl Cache {
    /// An empty cache. No version given out before is above `last`; `seed` spreads the users.
    pub fn new(sizing: Sizing, last: Version, seed: u64) -> Self {
        Self::with_log(sizing, last, seed, &(Arc::new(NoLog) as Arc<dyn Log>))
    }

    /// As [`Self::new`], with every change written down in `log`.
    pub fn with_log(sizing: Sizing, last: Version, seed: u64, log: &Arc<dyn Log>) -> Self {
        let places = DirtyPlaces::new(sizing.dirty_limit);
        let shard = |index| {
            let (places, log) = (Arc::clone(&places), Arc::clone(log));
            Shard::new(sizing.of_shard(index), last, places, log)
        };
        let shards = Stripes::new(sizing.shards, shard);
        Self { shards, places, sizing, seed }
    }

    /// The bounds it was built with.
    pub fn sizing(&self) -> Sizing {
        self.sizing
    }

    fn index_of(&self, user: UserId) -> usize {
        let spread = u128::from(mix(user.as_u64() ^ self.seed)) * self.shards.shards() as u128;
        (spread >> 64) as usize
    }

    fn with<R>(&self, user: UserId, hold: impl FnOnce(&mut Shard, &mut Leftovers) -> R) -> R {
        self.with_index(self.index_of(user), hold)
    }

    fn with_index<R>(&self, index: usize, hold: impl FnOnce(&mut Shard, &mut Leftovers) -> R) -> R {
        // Declared before the lock, so that it is dropped after it: heap parts are freed outside.
        let mut leftovers = Leftovers::default();
        self.shards.with(index, |shard| hold(shard, &mut leftovers))
    }

    /// Does what is asked of a key in memory; `None` where it is not: load it.
    pub fn access(&self, key: &Key, access: &Access, now: &Now) -> Option<Outcome> {
        self.with(key.user, |shard, leftovers| shard.access(key, access, now, leftovers))
    }

    /// From now on tells `watcher` of every change of the user. Returns the version up to which it
    /// is told of none: whatever has one above that comes. `None`, and nothing was done, where
    /// [`WATCHERS_PER_USER_MAX`] watch the user already.
    pub fn watch(&self, user: UserId, watcher: Arc<dyn Watcher>, now: &Now) -> Option<Version> {
        self.with(user, |shard, _| {
            if !shard.book.watchers.add(user, watcher) {
                return None;
            }
            // That of the last change may be so old that nobody could resume from it.
            shard.book.last = shard.book.last.max(Version::from_micros(now.wall_us));
            Some(shard.book.last)
        })
    }

    /// The version up to which nothing will be told any more of the user to who watches it.
    pub fn told_upto(&self, user: UserId) -> Version {
        self.with(user, |shard, _| shard.book.last)
    }

    /// Ends one registration of `watcher` for the user.
    pub fn unwatch(&self, user: UserId, watcher: &Arc<dyn Watcher>) {
        self.with(user, |shard, _| shard.book.watchers.remove(user, watcher));
    }

    /// Gives out a ticket to load `key`; `None` where it is in memory by now.
    pub fn begin_load(&self, key: Key) -> Option<Ticket> {
        self.with(key.user, |shard, _| shard.begin_load(key))
    }

    /// Takes in what a load brought and does `accesses`, in one critical section (I5).
    ///
    /// # Errors
    /// [`Void`] where the key was touched since the ticket was given out: nothing was done.
    pub fn admit(
        &self,
        ticket: Ticket,
        loaded: Option<ReadState>,
        accesses: &[Access],
        now: &Now,
    ) -> Result<Vec<Outcome>, Void> {
        self.with(ticket.key().user, |shard, leftovers| {
            shard.admit(ticket, loaded, accesses, now, leftovers)
        })
    }

    /// Gives a ticket back without a result.
    pub fn abandon_load(&self, ticket: Ticket) {
        self.with(ticket.key().user, |shard, _| shard.abandon_load(ticket));
    }

    /// Moves due states of shard `index` into a commit; see [`KEYS_PER_HOLD_MAX`] for `limit`.
    /// Whether more may be due: not every state that was looked at is a row.
    pub fn collect_due(
        &self,
        index: usize,
        changed_before_ms: u64,
        limit: usize,
        rows: &mut Vec<(Key, ReadState)>,
    ) -> bool {
        let limit = limit.min(KEYS_PER_HOLD_MAX);
        self.with_index(index, |shard, leftovers| {
            shard.collect_due(changed_before_ms, limit, rows, leftovers)
        })
    }

    /// Number of shards, for [`Self::collect_due`].
    pub fn shards(&self) -> usize {
        self.shards.shards()
    }

    /// A commit of `key` at `version` ended, `written` or without effect (I4).
    pub fn settle(&self, key: &Key, version: Version, written: bool, now_ms: u64) {
        self.with(key.user, |shard, leftovers| {
            shard.settle(key, version, written, now_ms, leftovers);
        });
    }

    /// Whether the store has whatever was answered of `key` until now. False too where it was
    /// changed again since and that is not written.
    pub fn is_flushed(&self, key: &Key) -> bool {
        self.with(key.user, |shard, _| shard.book.is_flushed(key))
    }

    /// The user's states above `after` that the store does not have, of the next `limit` keys: at
    /// least one, at most [`KEYS_PER_HOLD_MAX`].
    pub fn overlay(&self, user: UserId, after: Option<Key>, limit: usize) -> Overlay {
        let limit = limit.clamp(1, KEYS_PER_HOLD_MAX);
        self.with(user, |shard, _| shard.overlay(user, after, limit))
    }

    /// Does away with everything the user has up to now, and returns the version and the record
    /// of that.
    ///
    /// # Errors
    /// As for an update of a key that is not dirty.
    pub fn delete_user(&self, user: UserId, now: &Now) -> Result<(Version, Sequence), Refusal> {
        self.delete(user, None, now)
    }

    /// As [`Self::delete_user`], for what another owner of the keyspace has deleted and not
    /// brought to the store: up to that `version`, which may be older than what is here.
    ///
    /// # Errors
    /// As [`Self::delete_user`].
    pub fn delete_user_upto(
        &self,
        user: UserId,
        version: Version,
        now: &Now,
    ) -> Result<(Version, Sequence), Refusal> {
        self.delete(user, Some(version), now)
    }

    fn delete(
        &self,
        user: UserId,
        upto: Option<Version>,
        now: &Now,
    ) -> Result<(Version, Sequence), Refusal> {
        let (version, record) =
            self.with(user, |shard, leftovers| shard.delete_user(user, upto, now, leftovers))?;
        self.purge_deleted(UserDeletion { user, version });
        Ok((version, record))
    }

    /// Makes the next version of the user be above `version`, which the store has of one of its
    /// states.
    pub fn seen(&self, user: UserId, version: Version) {
        self.with(user, |shard, _| shard.book.last = shard.book.last.max(version));
    }

    fn purge_deleted(&self, deletion: UserDeletion) {
        let mut after = None;
        loop {
            after = self.with(deletion.user, |shard, leftovers| {
                shard.purge_deleted(deletion, after, KEYS_PER_HOLD_MAX, leftovers)
            });
            if after.is_none() {
                return;
            }
        }
    }

    /// Frees those of a user's `keys` that are not newer than `version`.
    pub fn purge_older(&self, user: UserId, keys: &[Key], version: Version) {
        for keys in keys.chunks(KEYS_PER_HOLD_MAX) {
            self.with(user, |shard, leftovers| shard.purge_older(keys, version, leftovers));
        }
    }

    /// The deletions of users that the store has not confirmed. One is left out while something of
    /// its user from before it is dirty in memory or in a commit: that could come back behind it.
    pub fn deletions(&self) -> Vec<UserDeletion> {
        self.offered_deletions().0
    }

    /// [`Self::deletions`], and whether any was left out.
    pub fn offered_deletions(&self) -> (Vec<UserDeletion>, bool) {
        let mut offered = Vec::new();
        let mut withheld = false;
        // One hold for both: a deletion is in one of them.
        let each = |shard: &mut Shard| {
            let deletions: Vec<_> = shard.deletions().collect();
            (deletions, shard.withholds_deletions())
        };
        for (deletions, withholds) in self.shards.each(each) {
            offered.extend(deletions);
            withheld |= withholds;
        }
        (offered, withheld)
    }

    /// Whether a deletion of the user waits for the store.
    pub fn is_deletion_pending(&self, user: UserId) -> bool {
        self.with(user, |shard, _| shard.book.deletions.contains_key(&user))
    }

    /// The store has confirmed a deletion.
    pub fn settle_deletion(&self, deletion: UserDeletion) {
        self.with(deletion.user, |shard, _| shard.settle_deletion(deletion));
    }

    /// The newest version given out or seen, for the clock's ceiling.
    pub fn newest_version(&self) -> Version {
        self.shards.each(|shard| shard.book.last).max().unwrap_or_default()
    }

    /// States that the store does not have yet, and deletions of users.
    pub fn dirty(&self) -> usize {
        self.places.taken()
    }

    /// Takes no more changes if nothing is dirty; whether nothing is. From then on an update that
    /// would change something is [`Refusal::Closed`].
    pub fn close_if_clean(&self) -> bool {
        self.places.close_if_free()
    }

    /// Loads under way.
    pub fn loads(&self) -> usize {
        self.shards.each(|shard| shard.book.tickets.outstanding()).sum()
    }

    /// Counts over all shards, not all at the same instant.
    pub fn counts(&self, now_ms: u64) -> CacheCounts {
        let each = self.shards.each(|shard| shard.counts(now_ms));
        each.fold(CacheCounts::default(), CacheCounts::and)
    }

    /// Panics where an invariant is broken. Slow: for tests.
    pub fn self_check(&self) {
        let dirty: usize = self
            .shards
            .each(|shard| {
                shard.self_check();
                shard.book.dirty.len() + shard.book.deletions.len()
            })
            .sum();
        assert_eq!(dirty, self.places.taken(), "places taken");
        assert!(dirty <= self.sizing.dirty_limit, "I6");
    }
}

impl CacheCounts {
    fn and(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            victims: self.victims + other.victims,
            dirty: self.dirty + other.dirty,
            extra_bytes: self.extra_bytes + other.extra_bytes,
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            evictions_clean: self.evictions_clean + other.evictions_clean,
            evictions_dirty: self.evictions_dirty + other.evictions_dirty,
            dirty_refused: self.dirty_refused + other.dirty_refused,
            oldest_dirty_ms: self.oldest_dirty_ms.max(other.oldest_dirty_ms),
        }
    }
}

/// Spreads neighbouring numbers over all 64 bits: the finalizer of `SplitMix64` (Steele, Lea and
/// Flood, 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
