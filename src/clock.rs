//! The hybrid clock: wall time for versions, kept below a ceiling that is persisted ahead of it.
//!
//! A version must never be given out twice, nor a lower one after a higher one, even when the
//! process restarts while the wall clock was set back. So no version above the *ceiling* is given
//! out, the ceiling is durable before it counts, and after a restart versions start at it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::model::Version;

/// How far the ceiling is persisted ahead of the newest version.
pub const CEILING_AHEAD_US: u64 = 60_000_000;
/// Wall time stays this far below the ceiling, so that a run of updates within one microsecond, or
/// while the ceiling cannot be raised, still finds versions to take.
const HEADROOM_US: u64 = 20_000_000;

/// One look at the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall time in microseconds since the Unix epoch, held below the ceiling.
    pub wall_us: u64,
    /// No version above this one may be given out.
    pub ceiling: Version,
    /// Milliseconds on a clock that never goes back.
    pub elapsed_ms: u64,
}

impl Now {
    /// The next version after `last` (of the shard) and `current` (of the state); `None` where
    /// that would pass the ceiling.
    pub fn next_version(&self, last: Version, current: Version) -> Option<Version> {
        let next = Version::from_micros(self.wall_us).max(last.next()).max(current.next());
        (next <= self.ceiling).then_some(next)
    }
}

/// The clock that every room is given. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    ceiling_us: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
enum Source {
    System { started: Instant },
    Manual(Arc<ManualTime>),
}

/// Time that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualTime {
    wall_us: AtomicU64,
    elapsed_ms: AtomicU64,
}

impl ManualTime {
    /// Starts at `wall_us` microseconds since the Unix epoch.
    pub fn starting_at(wall_us: u64) -> Arc<Self> {
        Arc::new(Self { wall_us: AtomicU64::new(wall_us), elapsed_ms: AtomicU64::new(0) })
    }

    /// Lets both clocks run on.
    pub fn advance_ms(&self, ms: u64) {
        self.elapsed_ms.fetch_add(ms, Ordering::Relaxed);
        self.wall_us.fetch_add(ms * 1000, Ordering::Relaxed);
    }

    /// Sets the wall clock alone, back or forth.
    pub fn set_wall_us(&self, wall_us: u64) {
        self.wall_us.store(wall_us, Ordering::Relaxed);
    }
}

impl Clock {
    /// The machine's clocks, under a ceiling of 0: raise it before the first version is needed.
    pub fn system() -> Self {
        Self::with_source(Source::System { started: Instant::now() })
    }

    /// A test's clock.
    pub fn manual(time: Arc<ManualTime>) -> Self {
        Self::with_source(Source::Manual(time))
    }

    fn with_source(source: Source) -> Self {
        Self { source, ceiling_us: Arc::new(AtomicU64::new(0)) }
    }

    /// A look at the clock.
    pub fn now(&self) -> Now {
        let ceiling_us = self.ceiling_us.load(Ordering::Acquire);
        Now {
            wall_us: self.wall_us().min(ceiling_us.saturating_sub(HEADROOM_US)),
            ceiling: Version::from_micros(ceiling_us),
            elapsed_ms: self.elapsed_ms(),
        }
    }

    /// Wall time in microseconds since the Unix epoch, whatever the ceiling.
    pub fn wall_us(&self) -> u64 {
        match &self.source {
            Source::System { .. } => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_micros() as u64),
            Source::Manual(time) => time.wall_us.load(Ordering::Relaxed),
        }
    }

    /// Milliseconds on a clock that never goes back.
    pub fn elapsed_ms(&self) -> u64 {
        match &self.source {
            Source::System { started } => started.elapsed().as_millis() as u64,
            Source::Manual(time) => time.elapsed_ms.load(Ordering::Relaxed),
        }
    }

    /// The ceiling to persist next, given the newest version that is known: `None` while at least
    /// half of the lead is left.
    pub fn wanted_ceiling(&self, newest: Version) -> Option<Version> {
        let base = self.wall_us().max(newest.as_micros());
        let wanted = base.saturating_add(CEILING_AHEAD_US);
        let current = self.ceiling_us.load(Ordering::Acquire);
        (current < base.saturating_add(CEILING_AHEAD_US / 2))
            .then_some(Version::from_micros(wanted))
    }

    /// Lets versions rise up to `ceiling`, which is durable by now. Never lowers it.
    pub fn raise_ceiling(&self, ceiling: Version) {
        self.ceiling_us.fetch_max(ceiling.as_micros(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: u64 = 3_600_000_000;

    #[test]
    fn versions_rise_while_the_wall_clock_goes_back() {
        let time = ManualTime::starting_at(10 * HOUR_US);
        let clock = Clock::manual(time.clone());
        clock.raise_ceiling(Version::from_micros(11 * HOUR_US));
        let first = clock.now().next_version(Version::ZERO, Version::ZERO).unwrap();
        assert_eq!(first, Version::from_micros(10 * HOUR_US));
        time.set_wall_us(9 * HOUR_US);
        let second = clock.now().next_version(first, Version::ZERO).unwrap();
        assert_eq!(second, first.next());
    }

    #[test]
    fn no_version_passes_the_ceiling_even_when_the_wall_clock_jumps_ahead() {
        let time = ManualTime::starting_at(HOUR_US);
        let clock = Clock::manual(time.clone());
        let ceiling = clock.wanted_ceiling(Version::ZERO).unwrap();
        clock.raise_ceiling(ceiling);
        assert_eq!(clock.wanted_ceiling(Version::ZERO), None);
        time.set_wall_us(5 * HOUR_US);
        let now = clock.now();
        let version = now.next_version(Version::ZERO, Version::ZERO).unwrap();
        assert!(version < ceiling);
        assert_eq!(now.next_version(ceiling, Version::ZERO), None);
        assert!(clock.wanted_ceiling(version).is_some());
    }
}
