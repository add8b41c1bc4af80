//! What goes into the cache and what comes out of it.

use std::{fmt, sync::Arc};

use super::watchers::Watcher;
use crate::model::{Extra, Key, MentionOutcome, Sequence, Update, Version, View};

/// What is asked of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To see the state.
    Read,
    /// To change it.
    Update(Update),
}

impl Access {
    /// Records that it may make.
    pub fn records(&self) -> usize {
        match self {
            Self::Read => 0,
            Self::Update(_) => 1,
        }
    }
}

/// Watermark, count and dot before an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the contract")]
pub struct Previous {
    pub last_acked_id: u64,
    pub mention_count: u32,
    pub marked_unread: bool,
}

/// An access that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The state after it; of version 0 where there is none.
    pub view: View,
    /// What it was before.
    pub previous: Previous,
    /// Whether anything changed.
    pub changed: bool,
    /// What became of the mention.
    pub outcome: Option<MentionOutcome>,
    /// Where the store does not have this state yet, or not that its user was deleted: the record
    /// of that. Until it is durable a crash may take it back (I8).
    pub unflushed: Option<Sequence>,
}

/// An update that was not done. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its guard does not match this state.
    Mismatch {
        /// The current state.
        view: View,
        /// As in [`Done`].
        unflushed: Option<Sequence>,
    },
    /// As many states as are allowed wait for the store, and this is not one of them (I6).
    DirtyLimit,
    /// The last flush is done: what changed now would be lost.
    Closed,
    /// The clock's ceiling is reached: the store has not taken a higher one for long.
    ClockCeiling,
}

/// What an access came to.
pub type Outcome = Result<Done, Refusal>;

/// What the store does not have yet of one user.
#[derive(Debug, Default)]
pub struct Overlay {
    /// In key order, tombstones included.
    pub rows: Vec<(Key, View)>,
    /// Where more may follow: ask again with this as `after`. Not always the last row's key.
    pub resume_after: Option<Key>,
    /// Every change up to this version is in the overlay or in the store.
    pub version: Version,
    /// The user was deleted at this version; the store may not know yet.
    pub deleted_at: Option<Version>,
    /// The newest record of all this, where there is any: as in [`Done`].
    pub unflushed: Option<Sequence>,
}

/// What to write into the store for a user who was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserDeletion {
    /// Whose rows go.
    pub user: crate::model::UserId,
    /// Rows up to and including this version.
    pub version: Version,
}

/// What is left to do once the lock is released (I1): heap parts that left the cache are freed, and
/// who was told of a change is woken.
#[derive(Default)]
pub(super) struct Leftovers {
    #[expect(clippy::vec_box, reason = "the boxes are freed outside the lock, not moved out of")]
    extras: Vec<Box<Extra>>,
    told: Vec<Arc<dyn Watcher>>,
}

impl Leftovers {
    pub fn add(&mut self, extra: Option<Box<Extra>>) {
        self.extras.extend(extra);
    }

    /// Has `watcher` woken.
    pub fn wake(&mut self, watcher: &Arc<dyn Watcher>) {
        self.told.push(Arc::clone(watcher));
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        self.told.iter().for_each(|watcher| watcher.wake());
    }
}

impl fmt::Debug for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} heap parts, {} watchers", self.extras.len(), self.told.len())
    }
}

/// Counts of a cache at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the metric of its name")]
pub struct CacheCounts {
    pub entries: usize,
    pub victims: usize,
    pub dirty: usize,
    pub extra_bytes: usize,
    pub hits: u64,
    pub misses: u64,
    pub evictions_clean: u64,
    pub evictions_dirty: u64,
    pub dirty_refused: u64,
    /// Of the oldest unflushed change.
    pub oldest_dirty_ms: Option<u64>,
}
