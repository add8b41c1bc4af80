//! What runs came to, so that a test can tell that it tested something.

use readstates::cache::CacheCounts;

use crate::{
    history,
    life::{Life, Report},
};

/// Counts of one run or of many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub changes: history::Tally,
    pub groups: u64,
    pub kills: u64,
    pub power_cuts: u64,
    pub stops: u64,
    pub starts: u64,
    pub replayed: u64,
    pub replay_passes: u64,
    pub torn_tails: u64,
    pub commits_lost: u64,
    pub refused_copies: u64,
    pub healed_copies: u64,
    pub evictions_dirty: u64,
    pub refused_dirty: u64,
    pub journal_failures: u64,
    pub segments_freed: u64,
    /// Journals that were given up.
    pub retirements: u64,
    /// ... while the store did not have everything.
    pub retired_dirty: u64,
}

impl Tally {
    pub fn start(&mut self, report: &Report) {
        self.starts += 1;
        self.replayed += report.records;
        self.replay_passes += report.passes;
        self.torn_tails += u64::from(report.torn_bytes > 0);
        self.healed_copies += u64::from(report.healed);
    }

    pub fn observe(&mut self, counts: &CacheCounts) {
        self.evictions_dirty = self.evictions_dirty.max(counts.evictions_dirty);
        self.refused_dirty = self.refused_dirty.max(counts.dirty_refused);
    }

    pub fn end(&mut self, life: &Life) {
        self.journal_failures += u64::from(life.journal.failure().is_some());
    }

    /// Panics where a run of many seeds did not meet what it is there for.
    pub fn assert_rich(&self) {
        let met = [
            self.changes.shown,
            self.changes.undone,
            self.changes.duplicates,
            self.kills,
            self.power_cuts,
            self.stops,
            self.replayed,
            self.replay_passes,
            self.torn_tails,
            self.commits_lost,
            self.refused_copies,
            self.healed_copies,
            self.evictions_dirty,
            self.refused_dirty,
            self.journal_failures,
            self.segments_freed,
            self.retirements,
            self.retired_dirty,
        ];
        assert!(met.iter().all(|times| *times > 5), "{self:#?}");
    }

    pub fn add(&mut self, run: &Self) {
        self.changes.changes += run.changes.changes;
        self.changes.shown += run.changes.shown;
        self.changes.undone += run.changes.undone;
        self.changes.duplicates += run.changes.duplicates;
        self.groups += run.groups;
        self.kills += run.kills;
        self.power_cuts += run.power_cuts;
        self.stops += run.stops;
        self.starts += run.starts;
        self.replayed += run.replayed;
        self.replay_passes += run.replay_passes;
        self.torn_tails += run.torn_tails;
        self.commits_lost += run.commits_lost;
        self.refused_copies += run.refused_copies;
        self.healed_copies += run.healed_copies;
        self.evictions_dirty += run.evictions_dirty;
        self.refused_dirty += run.refused_dirty;
        self.journal_failures += run.journal_failures;
        self.segments_freed += run.segments_freed;
        self.retirements += run.retirements;
        self.retired_dirty += run.retired_dirty;
    }
}
