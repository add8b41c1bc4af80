//! A store as plain as can be, which holds the cache to what a store may rely on.

use std::collections::BTreeMap;

use readstates::model::{Key, ReadState, UserId, Version};

/// The rows of a store.
#[derive(Debug, Default)]
pub struct Rows(BTreeMap<Key, ReadState>);

impl Rows {
    pub fn load(&self, key: Key) -> Option<ReadState> {
        self.0.get(&key).cloned()
    }

    /// Writes a row. A store relies on versions that rise from commit to commit (I12).
    pub fn write(&mut self, key: Key, state: ReadState) {
        let before = self.0.get(&key).map_or(Version::ZERO, ReadState::version);
        assert!(before < state.version(), "I12: {key:?} is written over a newer row");
        assert!(!state.holder_mark(), "the cache's mark of {key:?} reached a row");
        self.0.insert(key, state);
    }

    pub fn keys_of(&self, user: UserId) -> Vec<Key> {
        self.0.keys().filter(|key| key.user == user).copied().collect()
    }

    pub fn delete_user(&mut self, user: UserId, version: Version) {
        self.0.retain(|key, state| key.user != user || state.version() > version);
    }

    pub fn all(&self) -> &BTreeMap<Key, ReadState> {
        &self.0
    }
}
