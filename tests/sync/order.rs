//! What one stream may say of one user, and in which order.

use std::collections::BTreeSet;

use readstates::{
    engine::{Event, WatchFrom},
    model::{Cause, UserId, Version},
};

/// How far the stream is with the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begun,
    Delta,
    Full,
    Live,
    /// A deletion was told; that it is complete comes next.
    Deleted,
}

/// What one stream has said of one user.
#[derive(Debug)]
pub struct Order {
    user: UserId,
    from: WatchFrom,
    stage: Stage,
    /// Of the newest event.
    last: Version,
    /// From here on every change comes.
    pub caught_up: Version,
    /// Versions of changes that came since.
    pub seen: BTreeSet<Version>,
    /// A delta may not be to be had.
    may_resync: bool,
}

impl Order {
    pub fn new(user: UserId, from: WatchFrom, may_resync: bool) -> Self {
        let last = match from {
            WatchFrom::Version(since) => since,
            WatchFrom::Now => Version::ZERO,
        };
        let (stage, seen) = (Stage::Begun, BTreeSet::new());
        Self { user, from, stage, last, caught_up: Version::ZERO, seen, may_resync }
    }

    /// Whether the catch-up is over.
    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Since then deltas may not be to be had.
    pub fn allow_resync(&mut self) {
        self.may_resync = true;
    }

    /// Takes the next event of the user; one that may not come now is a failure.
    pub fn take(&mut self, event: &Event) {
        let Self { user, stage, last, .. } = *self;
        assert_eq!(event.user, user);
        assert_eq!(
            event.state.map(|(key, view)| (key.user, view.version)),
            match event.cause {
                Cause::CaughtUp | Cause::Resync => None,
                _ => Some((user, event.version)),
            }
        );
        let rises = event.version > last;
        let fits = match (stage, event.cause) {
            (Stage::Begun | Stage::Delta, Cause::Resync) => self.may_begin_anew(event),
            (Stage::Begun | Stage::Delta, Cause::CatchUp) => rises && self.from != WatchFrom::Now,
            (Stage::Full, Cause::CatchUp) => {
                rises && event.state.is_some_and(|(_, view)| view.exists())
            }
            (Stage::Begun | Stage::Delta | Stage::Full, Cause::CaughtUp) => event.version >= last,
            (Stage::Deleted, Cause::CaughtUp) => event.version == last,
            (Stage::Live, Cause::CatchUp | Cause::CaughtUp) => false,
            (Stage::Live, _) => rises,
            _ => false,
        };
        assert!(fits, "{event:?} after {last} in {self:?}");
        self.follow(event);
    }

    fn may_begin_anew(&self, event: &Event) -> bool {
        let wanted = match self.from {
            WatchFrom::Version(since) => since == Version::ZERO || self.may_resync,
            WatchFrom::Now => false,
        };
        wanted && event.version == Version::ZERO
    }

    fn follow(&mut self, event: &Event) {
        self.last = event.version;
        self.stage = match (self.stage, event.cause) {
            (Stage::Live, Cause::Resync) => Stage::Deleted,
            (_, Cause::Resync) => Stage::Full,
            (Stage::Deleted, Cause::CaughtUp) => Stage::Live,
            (_, Cause::CaughtUp) => {
                self.caught_up = event.version;
                Stage::Live
            }
            (Stage::Begun, Cause::CatchUp) => Stage::Delta,
            (stage, _) => stage,
        };
        if self.stage == Stage::Live && event.cause != Cause::CaughtUp {
            self.seen.insert(event.version);
        }
    }
}
