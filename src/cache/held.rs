//! What is in memory, to be held against what the store has.

use super::Cache;
use crate::model::{Key, ReadState};

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

    /// The keys of shard `index` in memory that the store has: to be asked for by somebody who
    /// checks the server, as this alone looks at a whole shard in one hold. The LRUs have no order
    /// in which a look could be resumed, and a shard is bounded: it is a walk over a list and a
    /// copy of 24 bytes an entry.
    pub fn clean_keys(&self, index: usize) -> Vec<Key> {
        // Made outside the lock, and large enough for what a shard usually has.
        let mut keys = Vec::with_capacity(self.sizing.entries.div_ceil(self.shards.len()));
        self.with_index(index, |shard, _| {
            let clean = shard.resident.iter().filter(|(_, state)| !state.holder_mark());
            keys.extend(clean.map(|(key, _)| key));
        });
        keys
    }
}
