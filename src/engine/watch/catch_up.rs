//! What changed of one user up to the moment from which the cache tells of changes.

use std::collections::BTreeMap;

use super::{Event, charged::Charged};
use crate::{
    engine::{
        Engine, Error,
        user_scan::{SCAN_STEP_ROWS, UserScan},
    },
    model::{Key, UserId, Version, View},
    sabotage::{self, Fault},
};

/// States that are held at a time. They come in the order of their versions, which no store keeps:
/// of more than these the user is scanned again.
const STATES_MAX: usize = 4_096;
/// As many even where slow readers have taken nearly all that may wait: a user is not scanned more
/// often than that makes necessary.
const STATES_MIN: usize = 256;

/// The catch-up of one user.
pub(super) struct CatchUp {
    user: UserId,
    /// Everything up to here was given out, or need not be.
    after: Version,
    /// What is above comes from the cache.
    upto: Version,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unknown,
    /// Tombstones included.
    Delta,
    /// Only what exists.
    Full,
}

impl CatchUp {
    /// Of what changed after `since`, where that can be told, else of everything.
    pub fn new(user: UserId, since: Version, upto: Version) -> Self {
        Self { user, after: since, upto, kind: Kind::Unknown }
    }

    /// Whose it is.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Brings the next events; whether those are the last.
    pub async fn step(
        &mut self,
        engine: &Engine,
        events: &mut Charged<Event>,
    ) -> Result<bool, Error> {
        let _turn = engine.watches.catch_up().await;
        let states_max = engine.watches.share().clamp(STATES_MIN, STATES_MAX);
        let mut lowest = BTreeMap::new();
        let mut unflushed = None;
        let mut left_out = false;
        let mut begun = false;
        let mut scan = UserScan::new(engine, self.user, None, SCAN_STEP_ROWS);
        while let Some(step) = scan.step().await? {
            if !begun {
                self.choose(engine.is_delta(self.after, &step), events);
                begun = true;
            }
            unflushed = unflushed.max(step.unflushed);
            for (key, view) in step.rows.iter().filter(|(_, view)| self.wants(view)) {
                left_out |= keep_lowest(&mut lowest, states_max, *key, *view);
            }
        }
        if let Some(record) = unflushed {
            engine.secured(record).await?;
        }
        self.after = lowest.last_key_value().map_or(self.after, |(version, _)| *version);
        let mut lowest: Vec<(Key, View)> = lowest.into_values().collect();
        if sabotage::is(Fault::WatchUnordered) {
            lowest.sort_unstable_by_key(|(key, _)| *key);
        }
        lowest.into_iter().for_each(|(key, view)| events.push(Event::catch_up(key, view)));
        if !left_out {
            events.push(Event::caught_up(self.user, self.upto));
        }
        Ok(!left_out)
    }

    /// Says what it is going to be at the first scan, and anew where a delta is not to be had any
    /// more at a later one: between two of them a reader may take its time, and tombstones expire.
    fn choose(&mut self, is_delta: bool, events: &mut Charged<Event>) {
        if self.kind == Kind::Full {
            return;
        }
        self.kind = if is_delta { Kind::Delta } else { Kind::Full };
        if !is_delta {
            self.after = Version::ZERO;
            events.push(Event::resync(self.user));
        }
    }

    fn wants(&self, view: &View) -> bool {
        let tells_deletions = self.kind == Kind::Delta && !sabotage::is(Fault::WatchRevives);
        let is_shown = tells_deletions || view.exists();
        is_shown && view.version > self.after && self.is_mine(view.version)
    }

    /// Whether the cache does not tell of it.
    fn is_mine(&self, version: Version) -> bool {
        if sabotage::is(Fault::WatchForgets) {
            return version < self.upto;
        }
        version <= self.upto || sabotage::is(Fault::WatchRepeats)
    }
}

/// Keeps the state if it is one of the lowest; whether one was left out. Versions are unique among
/// a user's states.
fn keep_lowest(
    lowest: &mut BTreeMap<Version, (Key, View)>,
    states_max: usize,
    key: Key,
    view: View,
) -> bool {
    lowest.insert(view.version, (key, view));
    lowest.len() > states_max && lowest.pop_last().is_some()
}
