//! What is in memory, to be held against what the store has.

use super::{Cache, KEYS_PER_HOLD_MAX, SHARD_ENTRIES};
use crate::model::{Key, ReadState};

/// Places at either end of each of the two LRUs that are looked at in one hold.
const PLACES_PER_HOLD: usize = KEYS_PER_HOLD_MAX / 4;
/// Holds after which the ends meet in a shard of the size that is chosen by default.
const STEPS_MAX: usize = (SHARD_ENTRIES / 2).div_ceil(PLACES_PER_HOLD);

/// A state in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// As it is now.
    pub state: ReadState,
    /// Whether the store may have an older one, or none.
    pub dirty: bool,
}

impl Cache {
    /// What is in memory of `key`, without any trace in the order of use.
    pub fn held(&self, key: &Key) -> Option<Held> {
        self.with(key.user, |shard, _| {
            let mut state = shard.find(key)?.clone();
            if shard.book.is_hidden(key, state.version()) {
                return None;
            }
            let dirty = state.holder_mark();
            state.set_holder_mark(false);
            Some(Held { state, dirty })
        })
    }

    /// The keys that the store has among the `PLACES_PER_HOLD` entries of shard `index` at `step`
    /// places from either end of each LRU, in the order of use; `None` where all were looked at.
    ///
    /// An entry that is used meanwhile changes its place: it may be missed, or seen twice. To come
    /// to a place is to pass all before it, so this goes no further than `STEPS_MAX`: that is all
    /// of a shard, unless few shards were asked for.
    pub fn clean_keys(&self, index: usize, step: usize) -> Option<Vec<Key>> {
        // Made outside the lock.
        let mut keys = Vec::with_capacity(KEYS_PER_HOLD_MAX);
        let looked = self.with_index(index, |shard, _| {
            shard.resident.at_step(step, PLACES_PER_HOLD, |key, state| {
                if !state.holder_mark() {
                    keys.push(key);
                }
            })
        });
        (looked && step < STEPS_MAX).then_some(keys)
    }
}
