//! What was asked of a fault store, for tests to assert and to wait for.

use std::collections::HashMap;

use crate::model::Key;

/// The calls of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the methods of the trait are")]
pub enum Call {
    Load,
    LoadMany,
    LoadUser,
    Commit,
    Persist,
    DeleteUser,
    Scan,
    Expire,
    ForgetBefore,
    Identity,
    ClockCeiling,
    RaiseClockCeiling,
    Close,
}

const CALLS: usize = Call::Close as usize + 1;

/// Counts since the store was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    calls: [Counts; CALLS],
    loads: HashMap<Key, u64>,
    writes: HashMap<Key, u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) held: u64,
}

impl Tally {
    /// Calls begun, whatever became of them.
    pub fn begun(&self, call: Call) -> u64 {
        self.calls[call as usize].begun
    }

    /// Calls that were answered, failures included, or whose futures were dropped.
    pub fn ended(&self, call: Call) -> u64 {
        self.calls[call as usize].ended
    }

    /// Calls that wait at a gate now.
    pub fn held(&self, call: Call) -> u64 {
        self.calls[call as usize].held
    }

    /// How often the row of `key` was loaded by its key, alone or with others, with success or not.
    pub fn loads(&self, key: &Key) -> u64 {
        self.loads.get(key).copied().unwrap_or(0)
    }

    /// How often a row of `key` was written.
    pub fn writes(&self, key: &Key) -> u64 {
        self.writes.get(key).copied().unwrap_or(0)
    }

    /// Rows written, of all keys.
    pub fn rows_written(&self) -> u64 {
        self.writes.values().sum()
    }

    pub(super) fn counts(&mut self, call: Call) -> &mut Counts {
        &mut self.calls[call as usize]
    }

    pub(super) fn count_loads(&mut self, keys: &[Key]) {
        keys.iter().for_each(|key| *self.loads.entry(*key).or_default() += 1);
    }

    pub(super) fn count_writes(&mut self, keys: &[Key]) {
        keys.iter().for_each(|key| *self.writes.entry(*key).or_default() += 1);
    }
}
