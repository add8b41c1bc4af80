//! How a process ends, and how the next one starts.

use std::rc::Rc;

use rand::Rng as _;
use readstates::{
    flush::{PassEnd, Scope},
    journal::{Disk as _, JournalError, SegmentId},
};

use crate::{
    life::{NoStart, Report, Start, wait},
    tasks::Tasks,
    world::{Up, World},
};

/// From this try on nothing goes wrong with a start.
const TROUBLED_STARTS_MAX: u32 = 3;
/// Tries after which a start that nothing disturbs has failed for good.
const STARTS_MAX: u32 = 8;
/// Passes in which everything must reach a store that is well.
const PASSES_MAX: u32 = 40;

impl World {
    /// Starts until a process serves.
    pub fn start(&mut self) {
        for attempt in 0..STARTS_MAX {
            let troubled = attempt < TROUBLED_STARTS_MAX && self.plan.is_troubled();
            let fuse = self.prepare_start(troubled);
            let mut history = self.history.borrow_mut();
            let mut start = Start {
                plan: &self.plan,
                random: &mut self.random,
                disk: &self.disk,
                lossy: &self.lossy,
                time: &self.time,
                metrics: &self.metrics,
                history: &mut history,
                spawner: self.tasks.spawner(),
                fuse,
                failing_store: troubled,
                report: Report::default(),
                trace: self.trace.clone(),
            };
            let started = start.run();
            let report = start.report;
            drop(history);
            self.tally.start(&report);
            match started {
                Ok((life, writer)) => {
                    self.trace.note(|| format!("started: {report:?}"));
                    let (flushing, raising) = Default::default();
                    let (life, gates) = (Rc::new(life), Vec::new());
                    self.up = Some(Up { life, writer, gates, flushing, raising });
                    self.undo = None;
                    return;
                }
                Err(why) => self.not_started(why, troubled),
            }
        }
        panic!("nothing is in the way of a start, and it does not succeed");
    }

    /// What goes wrong with the next start; the turns after which it is killed, if it is.
    fn prepare_start(&mut self, troubled: bool) -> Option<u32> {
        self.lossy.reopen(&mut self.random);
        if !troubled {
            self.mend_disk();
            return None;
        }
        if self.undo.is_none() && self.random.random_ratio(self.plan.old_copies, 100) {
            self.undo = self.lossy.put_back_copy(&mut self.random);
            self.trace.note(|| format!("an old copy of the store: {}", self.undo.is_some()));
        }
        if self.random.random_bool(0.1) {
            let calls = self.random.random_range(0..80);
            self.trace.note(|| format!("disk stops after {calls} calls of the start"));
            self.disk.faults().stop_after(calls);
            self.disk_fails = true;
        }
        self.random.random_bool(0.1).then(|| self.random.random_range(0..150))
    }

    /// Nothing but what was done to it may stop a start, and never damage.
    fn not_started(&mut self, why: NoStart, troubled: bool) {
        self.trace.note(|| format!("not started: {why}"));
        match &why {
            NoStart::Journal(JournalError::StoreLost { .. }) if self.undo.is_some() => {
                let undo = self.undo.take().expect("it is there");
                self.lossy.undo(undo);
                self.tally.refused_copies += 1;
                return;
            }
            NoStart::Journal(error) => {
                let by_disk = matches!(
                    error,
                    JournalError::Io { .. }
                        | JournalError::Failed(_)
                        | JournalError::DiskFull { .. }
                );
                // A disk that was filled between two lives, or while one served.
                let is_full = matches!(error, JournalError::DiskFull { .. })
                    && self.disk.free_bytes().is_ok_and(|free| free < u64::MAX);
                assert!(by_disk && (self.disk_fails || is_full), "{error}");
            }
            NoStart::Store(_) | NoStart::Recovery => assert!(troubled, "{why}"),
            NoStart::Killed => {}
        }
        self.after_end();
    }

    /// Between two processes: the power may go as well, and the disk may be mended.
    fn after_end(&mut self) {
        match self.random.random_range(0..3) {
            0 => self.lose_power(),
            1 => self.mend_disk(),
            _ => {}
        }
    }

    pub fn end(&mut self) {
        let Some(up) = self.up.take() else { return };
        let durable = up.life.journal.durable();
        self.history.borrow_mut().secure(durable);
        self.tally.observe(&up.life.cache.counts(0));
        self.tally.end(&up.life);
        self.tasks = Tasks::default();
        self.stopping = None;
    }

    pub fn lose_power(&mut self) {
        let lost = self.lossy.power_cut(&mut self.random);
        self.disk = self.disk.power_cut(&mut self.random);
        self.disk_fails = false;
        self.tally.power_cuts += 1;
        self.tally.commits_lost += lost as u64;
        self.trace.note(|| format!("power cut: the store lost {lost} changes"));
    }

    pub fn kill(&mut self) {
        self.trace.note(|| "killed".to_owned());
        self.tally.kills += 1;
        self.end();
        self.after_end();
        self.start();
    }

    pub fn cut_power(&mut self) {
        self.end();
        self.lose_power();
        self.start();
    }

    /// A clean end, as far as store and disk allow one.
    pub fn stop(&mut self) {
        let closed = self.close();
        self.trace.note(|| format!("stopped: {closed}"));
        self.tally.stops += u64::from(closed);
        if self.random.random_bool(0.5) {
            self.lose_power();
        }
        self.start();
    }

    /// Ends calls, flushes, seals: as the server's shutdown does.
    fn close(&mut self) -> bool {
        self.heal_store();
        self.mend_disk();
        self.stopping = None;
        if !self.drain() {
            self.end();
            return false;
        }
        let Up { life, mut writer, .. } = self.up.take().expect("it serves");
        let (random, mut fuse) = (&mut self.random, None);
        for _ in 0..PASSES_MAX {
            if life.cache.close_if_clean() {
                break;
            }
            let pass = life.flusher.pass(Scope::Everything);
            wait(random, &mut fuse, Some(&mut writer), pass).expect("no fuse burns");
        }
        let persisted = wait(random, &mut fuse, Some(&mut writer), life.flusher.persist());
        persisted.expect("no fuse burns");
        let last = life.journal.last();
        let closed = writer.close(Some(life.newest()));
        if closed.is_ok() {
            self.history.borrow_mut().secure(last);
        }
        let durable = life.journal.durable();
        self.history.borrow_mut().secure(durable);
        wait(random, &mut fuse, None, life.store.close()).expect("no fuse burns").expect("it ends");
        self.tasks = Tasks::default();
        closed.is_ok()
    }

    /// Without any more trouble, everything is as it should be: in memory, in the store, and after
    /// one more power cut. Or the journal is given up.
    pub fn finish(&mut self) {
        self.trace.note(|| "the end".to_owned());
        self.plan.calm();
        if self.random.random_bool(0.25) {
            return self.retire();
        }
        if self.random.random_bool(0.5) {
            self.stop();
        } else {
            self.cut_power();
        }
        self.check();
        self.flush_everything();
        self.history.borrow().check_store(&self.lossy);
        self.check();
        let usage = self.up().life.journal.usage();
        let segments = usage.segments as u64 * self.plan.journal.segment_bytes;
        let allowed = self.plan.journal.size_bytes.max(self.plan.journal.segment_bytes);
        assert!(segments <= allowed, "{usage:?}: {allowed} are allowed");
        self.cut_power();
        assert_eq!(self.up().life.cache.dirty(), 0, "everything was persisted");
        self.history.borrow().check_store(&self.lossy);
        let names = self.disk.names().expect("it lists");
        let oldest = names.iter().find_map(|name| SegmentId::from_file_name(name));
        self.tally.segments_freed = oldest.map_or(0, |oldest| oldest.0 - 1);
        assert!(self.close(), "nothing is in the way of a clean end");
    }

    fn flush_everything(&mut self) {
        let Up { life, writer, .. } = self.up.as_mut().expect("it serves");
        let (random, mut fuse) = (&mut self.random, None);
        for _ in 0..PASSES_MAX {
            let pass = life.flusher.pass(Scope::Everything);
            let end = wait(random, &mut fuse, Some(&mut *writer), pass).expect("no fuse burns");
            if end == PassEnd::Done && life.cache.dirty() == 0 {
                let persist = life.flusher.persist();
                let end = wait(random, &mut fuse, Some(writer), persist).expect("no fuse burns");
                assert_eq!(end, PassEnd::Done);
                return;
            }
        }
        panic!("{} states do not reach a store that is well", life.cache.dirty());
    }
}
