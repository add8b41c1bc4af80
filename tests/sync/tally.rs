//! What runs came to, so that a test can tell that it tested something.

use readstates::{engine::Event, model::Cause};

/// Counts of one run or of many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub events: u64,
    pub caught_up: u64,
    pub catch_ups: u64,
    pub resyncs: u64,
    pub pages: u64,
    pub overflows: u64,
    pub changes: u64,
    pub checked: u64,
    pub kills: u64,
    pub stops: u64,
    pub power_cuts: u64,
    pub settled: u64,
}

impl Tally {
    pub fn event(&mut self, event: &Event) {
        match event.cause {
            Cause::CaughtUp => self.caught_up += 1,
            Cause::CatchUp => self.catch_ups += 1,
            Cause::Resync => self.resyncs += 1,
            _ => self.events += 1,
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.caught_up += other.caught_up;
        self.catch_ups += other.catch_ups;
        self.resyncs += other.resyncs;
        self.pages += other.pages;
        self.overflows += other.overflows;
        self.changes += other.changes;
        self.checked += other.checked;
        self.kills += other.kills;
        self.stops += other.stops;
        self.power_cuts += other.power_cuts;
        self.settled += other.settled;
    }

    /// Everything that runs are to meet, they met.
    pub fn assert_rich(&self) {
        let Self { events, caught_up, catch_ups, resyncs, pages, overflows, .. } = *self;
        let met = [events, caught_up, catch_ups, resyncs, pages, overflows];
        assert!(met.iter().all(|count| *count > 100), "{self:?}");
        let met = [self.changes, self.checked, self.kills, self.stops, self.power_cuts];
        assert!(met.iter().all(|count| *count > 20), "{self:?}");
    }
}
