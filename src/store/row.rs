//! What goes into a store and what comes back.

use super::StoreError;
use crate::model::{Key, ReadState, Version};

/// A state under its key. The state's version is not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose and what.
    pub key: Key,
    /// The whole state; a tombstone for a deleted one.
    pub state: ReadState,
}

/// Part of a user's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPage {
    /// In key order. Fewer than asked for means that no more follow.
    pub rows: Vec<Row>,
    /// The version at which the user was last deleted as a whole, while its mark is kept.
    pub deleted_at: Option<Version>,
    /// Every tombstone and mark that has expired, of any user, was older than this, and so was
    /// every version up to which deltas were forgotten.
    pub expired_before: Version,
}

/// Part of all rows.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// Those that could be read, in key order.
    pub rows: Vec<Row>,
    /// The keys of those that are damaged, in order, and what is wrong.
    pub damaged: Vec<(Key, StoreError)>,
}

/// What became of a commit whose outcome is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitReport {
    /// Keys whose rows were not written; the others were.
    pub failed: Vec<Key>,
}
