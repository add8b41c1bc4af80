//! What a watch gives out.

use crate::{
    cache::Change,
    model::{Cause, Key, UserId, Version, View},
};

/// One event of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub user: UserId,
    /// The whole state; `None` for [`Cause::CaughtUp`] and [`Cause::Resync`].
    pub state: Option<(Key, View)>,
    /// Why.
    pub cause: Cause,
    /// Where to resume once this event was taken in.
    pub version: Version,
}

impl Event {
    pub(super) fn of(change: &Change) -> Self {
        let Change { user, state, cause, version, record: _ } = *change;
        Self { user, state, cause, version }
    }

    pub(super) fn catch_up(key: Key, view: View) -> Self {
        let (user, version) = (key.user, view.version);
        Self { user, state: Some((key, view)), cause: Cause::CatchUp, version }
    }

    pub(super) fn caught_up(user: UserId, version: Version) -> Self {
        Self { user, state: None, cause: Cause::CaughtUp, version }
    }

    /// Of version 0: whoever is cut off right behind it has to begin anew.
    pub(super) fn resync(user: UserId) -> Self {
        Self { user, state: None, cause: Cause::Resync, version: Version::ZERO }
    }
}
