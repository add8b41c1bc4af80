//! One life of the process: its parts, from a recovery as the server makes it to the end.

use std::{pin::Pin, sync::Arc, task::Poll};

use rand::{Rng as _, rngs::StdRng};
use readstates::{
    cache::{Cache, Full, Log},
    clock::{Clock, ManualTime},
    flush::{Flusher, JournalLog, Newer, PassEnd, Scope},
    journal::{Heal, Journal, JournalError, Record, Recovery, SimulatedDisk, Writer},
    metrics::Metrics,
    model::{Sequence, Version},
    store::{Call, FaultStore, Faults, Store, StoreError},
};

use crate::{
    history::History,
    lossy_store::LossyStore,
    plan::Plan,
    tasks::{Spawner, poll_now},
    trace::Trace,
};

/// Passes in which the store may refuse to make room for one record, as at a start of the server.
const PASSES_PER_RECORD_MAX: usize = 3;
/// Turns of a future and the writer; more mean that neither gets on.
const TURNS_MAX: u32 = 20_000;

/// What callers, flusher and scheduler share.
pub struct Life {
    pub cache: Arc<Cache>,
    pub store: Arc<dyn Store>,
    pub faults: Faults,
    pub journal: Journal,
    pub clock: Clock,
    pub flusher: Flusher,
    pub spawner: Spawner,
}

/// Why a start came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum NoStart {
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    #[error("store: {0}")]
    Store(#[from] StoreError),
    #[error("the store did not take what was recovered, or the journal did not")]
    Recovery,
    #[error("it was killed")]
    Killed,
}

/// What a start is made from, and what may go wrong with it.
pub struct Start<'a> {
    pub plan: &'a Plan,
    pub random: &'a mut StdRng,
    pub disk: &'a SimulatedDisk,
    pub lossy: &'a LossyStore,
    pub time: &'a Arc<ManualTime>,
    pub metrics: &'a Arc<Metrics>,
    pub history: &'a mut History,
    pub spawner: Spawner,
    /// After so many turns the process is killed.
    pub fuse: Option<u32>,
    /// The store may fail a few times.
    pub failing_store: bool,
    pub report: Report,
    pub trace: Trace,
}

/// How a start went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub undone: usize,
    pub records: u64,
    pub torn_bytes: u64,
    pub passes: u64,
    /// The store came back as an older copy, and the journal brings back what it lacks.
    pub healed: bool,
    /// The store may have newer rows than the journal.
    pub may_be_behind: bool,
    /// States that gave way to those.
    pub gone: usize,
}

impl Start<'_> {
    /// Recovers and goes on, step by step as the server does.
    pub fn run(&mut self) -> Result<(Life, Writer), NoStart> {
        let mut recovery = Recovery::open(Arc::new(self.disk.clone()), self.plan.journal)?;
        let fault_store = FaultStore::new(Arc::new(self.lossy.clone()));
        let faults = fault_store.faults();
        if self.failing_store && self.random.random_bool(0.2) {
            let outage = StoreError::Unavailable("an outage".to_owned());
            faults.fail_next(Call::Commit, self.random.random_range(1..4), outage);
        }
        let store: Arc<dyn Store> = Arc::new(fault_store);
        let identity = self.wait(None, store.identity())??;
        let ceiling = self.wait(None, store.clock_ceiling())??;
        let heal = recovery.check_store(identity)?;
        self.report.healed = heal != Heal::InStep;
        self.report.may_be_behind = recovery.may_be_behind();
        let last = ceiling.max(recovery.ceiling());
        let (journal, mut writer) = recovery.begin()?;
        self.trace.note(|| format!("begun: {:?}, store {identity:?}", journal.usage()));
        // From here on it is durable, and served.
        self.report.undone = self.history.crash(journal.last());
        let clock = Clock::manual(Arc::clone(self.time));
        let log: Arc<dyn Log> = Arc::new(JournalLog(journal.clone()));
        let cache = Cache::with_log(self.plan.sizing, last, self.plan.seed, &log);
        let cache = Arc::new(cache);
        let flusher = Flusher::new(
            Arc::clone(&cache),
            Arc::clone(&store),
            clock.clone(),
            Arc::clone(self.metrics),
            self.plan.flush,
        );
        let flusher = flusher.with_journal(journal.clone(), recovery.commits());
        let spawner = self.spawner.clone();
        // What is left of it when a process serves is not to be missed.
        let life = Life { cache, store, faults, journal, clock, flusher, spawner };
        self.relive(&recovery, &life, &mut writer)?;
        let raised = self.wait(Some(&mut writer), life.flusher.raise_ceiling())?;
        raised.map_err(|_| NoStart::Recovery)?;
        Ok((life, writer))
    }

    fn relive(
        &mut self,
        recovery: &Recovery,
        life: &Life,
        writer: &mut Writer,
    ) -> Result<(), NoStart> {
        life.flusher.set_replaying(true);
        let replayed =
            recovery.replay(&mut |sequence, record| self.take(life, writer, sequence, &record))?;
        self.end_replay(life, writer)?;
        self.report.records = replayed.records;
        self.report.torn_bytes = replayed.torn_bytes;
        if replayed.records > 0 {
            let end = self.wait(Some(writer), life.flusher.checkpoint())?;
            self.trace.note(|| format!("checkpoint {end:?}: {:?}", life.journal.usage()));
            settled(end)?;
        }
        life.cache.self_check();
        self.history.check(&life.cache, self.lossy);
        Ok(())
    }

    fn take(
        &mut self,
        life: &Life,
        writer: &mut Writer,
        sequence: Sequence,
        record: &Record,
    ) -> Result<(), NoStart> {
        self.trace.note(|| format!("replay {sequence}: {}", told(record)));
        for _ in 0..PASSES_PER_RECORD_MAX {
            if restore(life, sequence, record).is_ok() {
                return Ok(());
            }
            self.report.passes += 1;
            self.give_way(life, writer)?;
            let end = self.wait(Some(writer), life.flusher.pass(Scope::Everything))?;
            self.trace.note(|| format!("pass: {end:?}, dirty {}", life.cache.dirty()));
        }
        Err(NoStart::Recovery)
    }

    fn give_way(&mut self, life: &Life, writer: &mut Writer) -> Result<usize, NoStart> {
        if !self.report.may_be_behind {
            return Ok(0);
        }
        let gone = self.wait(Some(writer), life.flusher.give_way(Newer::Stays))??.gone;
        self.report.gone += gone;
        Ok(gone)
    }

    /// In the midst of a replay a newer record of the same state may be to come, but not behind
    /// its end: no journal is older than its store here, and none was repaired.
    fn end_replay(&mut self, life: &Life, writer: &mut Writer) -> Result<(), NoStart> {
        assert_eq!(self.give_way(life, writer)?, 0);
        if self.report.gone > 0 {
            settled(self.wait(Some(writer), life.flusher.persist())?)?;
        }
        life.flusher.set_replaying(false);
        Ok(())
    }

    fn wait<T>(
        &mut self,
        writer: Option<&mut Writer>,
        future: impl Future<Output = T>,
    ) -> Result<T, NoStart> {
        wait(self.random, &mut self.fuse, writer, future)
    }
}

/// Runs a future and the writer in turns until the future ends, or the fuse is burnt down.
pub fn wait<T>(
    random: &mut StdRng,
    fuse: &mut Option<u32>,
    mut writer: Option<&mut Writer>,
    future: impl Future<Output = T>,
) -> Result<T, NoStart> {
    let mut future: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(future);
    for _ in 0..TURNS_MAX {
        if let Some(left) = fuse {
            *left = left.checked_sub(1).ok_or(NoStart::Killed)?;
        }
        if let Poll::Ready(answer) = poll_now(&mut future) {
            return Ok(answer);
        }
        if let Some(writer) = &mut writer
            && random.random_bool(0.5)
        {
            writer.step();
        }
    }
    panic!("neither the store nor the journal gets on");
}

fn told(record: &Record) -> String {
    match record {
        Record::State { key, state } => format!("{key:?} at {}", state.version()),
        other => format!("{other:?}"),
    }
}

fn restore(life: &Life, sequence: Sequence, record: &Record) -> Result<(), Full> {
    match record {
        Record::State { key, state } => life.cache.restore(key, state.clone(), sequence, 0),
        Record::UserDeletion { user, version } => {
            life.cache.restore_deletion(*user, *version, sequence)
        }
        _ => Ok(()),
    }
}

fn settled(end: PassEnd) -> Result<(), NoStart> {
    match end {
        PassEnd::Done | PassEnd::Cut => Ok(()),
        PassEnd::Refused | PassEnd::Failed => Err(NoStart::Recovery),
    }
}

impl Life {
    /// The newest version, for a clean end.
    pub fn newest(&self) -> Version {
        self.cache.newest_version()
    }
}
