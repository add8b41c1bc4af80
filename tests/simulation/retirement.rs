//! The end of some runs: a start with another durability brings what the journal holds to the store
//! and gives the journal up. It may be killed in the midst of it, and is then begun anew.

use std::sync::Arc;

use rand::Rng as _;
use readstates::{
    cache::{Cache, Full, Log, NoLog},
    clock::Clock,
    flush::{Flusher, Newer, PassEnd, Scope},
    journal::{Disk as _, Inspection, Record, Recovery},
    model::Sequence,
    store::Store,
};

use crate::{
    life::{NoStart, wait},
    world::World,
};

/// Tries in all, and those from which on none is killed.
const TRIES: u32 = 6;
const TRIES_IN_PEACE: u32 = 3;
/// Turns within which a kill comes.
const FUSE_TURNS_MAX: u32 = 40;
/// Passes in which the store may have to make room for one record, as at a start of the server.
const PASSES_PER_RECORD_MAX: usize = 3;

/// What a start without a journal is made of.
struct Parts {
    store: Arc<dyn Store>,
    cache: Arc<Cache>,
    flusher: Flusher,
}

impl World {
    /// Gives the journal up, with whatever is dirty in it: everything is in the store then, for
    /// good.
    pub fn retire(&mut self) {
        self.end();
        if self.random.random_bool(0.5) {
            self.lose_power();
        }
        self.mend_disk();
        let last = self.last_record();
        self.history.borrow_mut().crash(last);
        for left in (0..TRIES).rev() {
            self.lossy.reopen(&mut self.random);
            let mut fuse =
                (left >= TRIES_IN_PEACE).then(|| self.random.random_range(0..FUSE_TURNS_MAX));
            match self.try_to_retire(&mut fuse) {
                Ok(()) => break,
                // The store may fail once more, until it is opened again.
                Err(why @ (NoStart::Killed | NoStart::Store(_) | NoStart::Recovery))
                    if left > 0 =>
                {
                    self.trace.note(|| format!("not retired: {why}"));
                }
                Err(why) => panic!("nothing is in the way of the end of the journal: {why}"),
            }
            if self.random.random_bool(0.5) {
                self.lose_power();
            }
        }
        let names = self.disk.names().expect("it lists");
        assert!(names.iter().all(|name| name == "lock"), "{names:?}");
        self.lose_power();
        self.lossy.reopen(&mut self.random);
        self.history.borrow().check_store(&self.lossy);
        self.tally.retirements += 1;
    }

    /// The last record that a start brings back, or does not need to.
    fn last_record(&self) -> Sequence {
        let journal = Inspection::of(&self.disk).expect("it is read");
        assert!(journal.is_whole(), "{journal:?}");
        let last = journal.segments.last().map(|segment| segment.last);
        last.unwrap_or_default().max(journal.horizon)
    }

    fn try_to_retire(&mut self, fuse: &mut Option<u32>) -> Result<(), NoStart> {
        let mut recovery = Recovery::open(Arc::new(self.disk.clone()), self.plan.journal)?;
        let store: Arc<dyn Store> = Arc::new(self.lossy.clone());
        let identity = wait(&mut self.random, fuse, None, store.identity())??;
        recovery.check_store(identity)?;
        let parts = self.parts(store, &recovery);
        let (mut replayed, may_be_behind) = (0, recovery.may_be_behind());
        recovery.replay(&mut |sequence, record| {
            replayed += u64::from(matches!(record, Record::State { .. }));
            self.take_back(&parts, fuse, may_be_behind, sequence, &record)
        })?;
        if may_be_behind {
            wait(&mut self.random, fuse, None, parts.flusher.give_way(Newer::Stays))??;
        }
        let dirty = parts.cache.dirty();
        let pass = parts.flusher.pass(Scope::Everything);
        let end = wait(&mut self.random, fuse, None, pass)?;
        if end > PassEnd::Cut {
            return Err(NoStart::Recovery);
        }
        assert_eq!(parts.cache.dirty(), 0, "{end:?}");
        wait(&mut self.random, fuse, None, parts.store.persist())??;
        let raised = parts.store.raise_clock_ceiling(recovery.ceiling());
        wait(&mut self.random, fuse, None, raised)??;
        recovery.retire()?;
        self.trace.note(|| format!("retired: {replayed} states, {dirty} dirty"));
        self.tally.retired_dirty += u64::from(dirty > 0);
        Ok(())
    }

    fn parts(&self, store: Arc<dyn Store>, recovery: &Recovery) -> Parts {
        let log: Arc<dyn Log> = Arc::new(NoLog);
        let ceiling = recovery.ceiling();
        let cache = Cache::with_log(self.plan.sizing, ceiling, self.plan.seed, &log);
        let cache = Arc::new(cache);
        let flusher = Flusher::new(
            Arc::clone(&cache),
            Arc::clone(&store),
            Clock::manual(Arc::clone(&self.time)),
            Arc::clone(&self.metrics),
            self.plan.flush,
        );
        Parts { store, cache, flusher }
    }

    fn take_back(
        &mut self,
        parts: &Parts,
        fuse: &mut Option<u32>,
        may_be_behind: bool,
        sequence: Sequence,
        record: &Record,
    ) -> Result<(), NoStart> {
        for _ in 0..PASSES_PER_RECORD_MAX {
            if restore(&parts.cache, sequence, record).is_ok() {
                return Ok(());
            }
            if may_be_behind {
                wait(&mut self.random, fuse, None, parts.flusher.give_way(Newer::Stays))??;
            }
            wait(&mut self.random, fuse, None, parts.flusher.pass(Scope::Everything))?;
        }
        Err(NoStart::Recovery)
    }
}

fn restore(cache: &Cache, sequence: Sequence, record: &Record) -> Result<(), Full> {
    match record {
        Record::State { key, state } => cache.restore(key, state.clone(), sequence, 0),
        Record::UserDeletion { user, version } => cache.restore_deletion(*user, *version, sequence),
        _ => Ok(()),
    }
}
