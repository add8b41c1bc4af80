//! A cache over a plain store, driven step by step, and short names for what tests ask of it.

use std::{cell::Cell, num::NonZeroUsize};

use readstates::{
    cache::{Access, Cache, Done, Outcome, Refusal, Sizing, Ticket},
    clock::Now,
    model::{ChannelId, Key, MessageId, Operation, ReadState, UserId, Version, View},
};

use crate::rows::Rows;

/// Set to a number, random tests replay that seed alone.
pub const SEED_VARIABLE: &str = "READSTATES_TEST_SEED";
pub const NOON_US: u64 = 1_700_000_000_000_000;

pub fn user(id: u64) -> UserId {
    UserId::new(id).expect("not 0")
}

pub fn key(user_id: u64, channel: u64) -> Key {
    Key::channel(user(user_id), ChannelId::new(channel).expect("not 0"))
}

pub fn message(id: u64) -> MessageId {
    MessageId::new(id).expect("not 0")
}

pub fn update(operation: Operation) -> Access {
    Access::Update(operation.into())
}

pub fn ack(id: u64) -> Access {
    update(Operation::Ack { message: message(id), flags: None, last_viewed_day: None })
}

pub fn mention(id: u64) -> Access {
    update(Operation::Mention { message: message(id), initial_acked_id: None })
}

pub fn increment() -> Access {
    update(Operation::Increment { count: 1, initial_acked_id: None })
}

pub fn sizing(entries: usize, shards: usize, dirty_limit: usize) -> Sizing {
    let some = |n| NonZeroUsize::new(n).expect("not 0");
    Sizing::for_entries(some(entries), Some(some(shards)), Some(some(dirty_limit)))
}

/// Rows that left the cache in one commit.
pub type Flight = Vec<(Key, ReadState)>;

/// A cache, its store and the time, which stands still unless a test moves it.
pub struct Scene {
    pub cache: Cache,
    pub rows: Rows,
    pub now: Now,
    displaced: Cell<u64>,
}

impl Scene {
    /// One shard.
    pub fn new(entries: usize, dirty_limit: usize) -> Self {
        let cache = Cache::new(sizing(entries, 1, dirty_limit), Version::ZERO, 0);
        let ceiling = Version::from_micros(u64::MAX);
        let now = Now { wall_us: NOON_US, ceiling, elapsed_ms: 0 };
        Self { cache, rows: Rows::default(), now, displaced: Cell::new(0) }
    }

    /// On a hit at once, on a miss by way of a load that nothing comes between.
    pub fn access(&self, key: Key, access: &Access) -> Outcome {
        let outcome = self.cache.access(&key, access, &self.now).unwrap_or_else(|| {
            let ticket = self.begin(key);
            let mut outcomes = self.admit(ticket, self.rows.load(key), access);
            outcomes.pop().expect("one outcome for one access")
        });
        self.cache.self_check();
        outcome
    }

    /// As [`Self::access`], for what must not be refused.
    pub fn done(&self, key: Key, access: &Access) -> Done {
        self.access(key, access).expect("nothing refuses this")
    }

    /// What a reader sees.
    pub fn view(&self, key: Key) -> View {
        self.done(key, &Access::Read).view
    }

    /// What a reader sees without a load; `None` for what is not in memory.
    pub fn resident(&self, key: Key) -> Option<View> {
        let outcome = self.cache.access(&key, &Access::Read, &self.now)?;
        Some(outcome.expect("a read is never refused").view)
    }

    pub fn begin(&self, key: Key) -> Ticket {
        self.cache.begin_load(key).expect("the key is not in memory")
    }

    fn admit(&self, ticket: Ticket, row: Option<ReadState>, access: &Access) -> Vec<Outcome> {
        self.cache.admit(ticket, row, &[*access], &self.now).expect("nothing voids this load")
    }

    /// Brings in clean entries that were never there before.
    pub fn displace(&self, entries: u64) {
        for _ in 0..entries {
            self.displaced.set(self.displaced.get() + 1);
            let row = ReadState::tombstone(Version::from_micros(1));
            let ticket = self.begin(key(1_000_000, self.displaced.get()));
            self.admit(ticket, Some(row), &Access::Read);
        }
        self.cache.self_check();
    }

    /// Everything dirty that is not under way.
    pub fn collect(&self) -> Flight {
        self.collect_before(u64::MAX)
    }

    pub fn collect_before(&self, changed_before_ms: u64) -> Flight {
        let mut flight = Flight::new();
        for shard in 0..self.cache.shards() {
            self.cache.collect_due(shard, changed_before_ms, usize::MAX, &mut flight);
        }
        self.cache.self_check();
        flight
    }

    /// The store has the rows; the cache does not know yet.
    pub fn write(&mut self, flight: &Flight) {
        for (key, state) in flight {
            self.rows.write(*key, state.clone());
        }
    }

    pub fn settle(&self, flight: Flight, written: bool) {
        for (key, state) in flight {
            self.cache.settle(&key, state.version(), written, self.now.elapsed_ms);
            self.cache.self_check();
        }
    }

    pub fn flush(&mut self) {
        let flight = self.collect();
        self.write(&flight);
        self.settle(flight, true);
    }

    /// Brings the deletions that the cache offers to the store.
    pub fn flush_deletions(&mut self) {
        for deletion in self.cache.deletions() {
            let keys = self.rows.keys_of(deletion.user);
            self.cache.purge_older(deletion.user, &keys, deletion.version);
            self.rows.delete_user(deletion.user, deletion.version);
            self.cache.settle_deletion(deletion);
        }
        self.cache.self_check();
    }

    pub fn delete_user(&self, id: u64) -> Result<Version, Refusal> {
        let answer = self.cache.delete_user(user(id), &self.now);
        self.cache.self_check();
        answer.map(|(version, _)| version)
    }
}
