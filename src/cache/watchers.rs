//! Who is told of a user's changes.

use std::{collections::HashMap, sync::Arc};

use super::answer::Leftovers;
use crate::{
    model::{Cause, Key, Sequence, UserId, Version, View},
    sabotage::{self, Fault},
};

/// Watchers of one user at most.
pub const WATCHERS_PER_USER_MAX: usize = 128;

/// What was changed, as it was made: the changes of a user come in the order of their versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub user: UserId,
    /// The state and what it became; `None` where it is more than one.
    pub state: Option<(Key, View)>,
    /// Why: without a state [`Cause::Resync`], everything of the user was deleted, or
    /// [`Cause::CatchUp`], states came from elsewhere, and all have to be looked at anew.
    pub cause: Cause,
    /// The version of the state, or of the deletion; without either the shard's newest.
    pub version: Version,
    /// Until this record is durable a crash may take the change back (I8).
    pub record: Sequence,
}

/// Takes the changes of the users that it was registered for.
pub trait Watcher: Send + Sync {
    /// Takes a change; whether [`Self::wake`] has to follow. Called under a shard's lock: it
    /// neither waits nor does I/O (I1).
    fn take(&self, change: Change) -> bool;

    /// Changes were taken. Called once the lock is released.
    fn wake(&self);
}

/// The watchers of one shard's users.
#[derive(Default)]
pub(super) struct Watchers {
    of_user: HashMap<UserId, Vec<Arc<dyn Watcher>>>,
}

impl Watchers {
    /// Nobody watches anybody: all that an unwatched user's change has to ask, mostly.
    pub fn is_empty(&self) -> bool {
        self.of_user.is_empty()
    }

    /// Whether it was taken in: a change is told to each under the shard's lock, so they are few.
    pub fn add(&mut self, user: UserId, watcher: Arc<dyn Watcher>) -> bool {
        let watchers = self.of_user.entry(user).or_default();
        if watchers.len() >= WATCHERS_PER_USER_MAX {
            return false;
        }
        watchers.push(watcher);
        true
    }

    /// Forgets one registration of the watcher for the user.
    pub fn remove(&mut self, user: UserId, watcher: &Arc<dyn Watcher>) {
        let Some(watchers) = self.of_user.get_mut(&user) else { return };
        if sabotage::is(Fault::WatchStays) {
            return;
        }
        if let Some(place) = watchers.iter().position(|each| Arc::ptr_eq(each, watcher)) {
            watchers.swap_remove(place);
        }
        if watchers.is_empty() {
            self.of_user.remove(&user);
        }
    }

    /// Tells those who watch the user; they are woken when `leftovers` go.
    pub fn tell(&self, user: UserId, leftovers: &mut Leftovers, change: impl FnOnce() -> Change) {
        let Some(watchers) = self.of_user.get(&user) else { return };
        let change = change();
        for watcher in watchers {
            if watcher.take(change) {
                leftovers.wake(watcher);
            }
        }
    }
}
