//! What callers were told, to hold what devices are told against it.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use readstates::model::{Cause, Key, UserId, Version, View};

use crate::order::Order;

/// Everything that was ever said, and what the process that runs now has answered.
#[derive(Default)]
pub struct Answers {
    /// A version stands for one state for ever, whoever is told of it, and over restarts.
    said: BTreeMap<(UserId, Version), (Key, View)>,
    causes: BTreeMap<(UserId, Version), Cause>,
    /// Versions that calls of this process were answered to have made.
    changed: BTreeMap<UserId, BTreeSet<Version>>,
    /// Calls of this process were given up: what they made nobody knows.
    cut: bool,
}

impl Answers {
    /// Somebody was shown a state.
    pub fn note(&mut self, key: Key, view: View, cause: Option<Cause>) {
        if view.version == Version::ZERO {
            return;
        }
        let place = (key.user, view.version);
        match self.said.entry(place) {
            Entry::Vacant(entry) => drop(entry.insert((key, view))),
            Entry::Occupied(entry) => assert_eq!(*entry.get(), (key, view), "two at one version"),
        }
        let Some(cause) = cause else { return };
        let known = *self.causes.entry(place).or_insert(cause);
        assert_eq!(known, cause, "two causes of {key:?} {view:?}");
    }

    /// A call was answered to have changed a state.
    pub fn changed(&mut self, key: Key, view: View, cause: Cause) {
        self.note(key, view, Some(cause));
        self.changed.entry(key.user).or_default().insert(view.version);
    }

    /// A call will never be answered.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// Another process serves from now on.
    pub fn restart(&mut self) {
        self.changed.clear();
        self.cut = false;
    }

    /// At rest, a stream has told of everything since it was caught up; how much that was.
    pub fn assert_told(&self, user: UserId, order: &Order) -> usize {
        let all = self.changed.get(&user).into_iter().flatten();
        let wanted: BTreeSet<Version> =
            all.filter(|version| **version > order.caught_up).copied().collect();
        let missing: Vec<_> = wanted.difference(&order.seen).collect();
        assert!(missing.is_empty(), "{user} was not told of {missing:?}: {order:?}");
        let more: Vec<_> = order.seen.difference(&wanted).collect();
        assert!(more.is_empty() || self.cut, "{user} was told of {more:?}, which nobody made");
        wanted.len()
    }
}
