//! What the journal knows at start: it comes back into the cache as dirty states, and is written
//! down anew before anybody is served.

use std::{cell::Cell, sync::Arc, time::Instant};

use tokio::{runtime::Handle, task::spawn_blocking};
use tracing::{info, warn};

use super::{StartError, journaling::Journaling};
use crate::{
    cache::{Cache, Full},
    clock::Clock,
    flush::{Flusher, PassEnd, Scope},
    journal::{Heal, Journal, Record, Recovery, WriterThread},
    metrics::Metrics,
    model::{Sequence, Version},
    store::{CommitNumber, Store},
};

/// Passes in which the store may refuse to make room for one record.
const PASSES_PER_RECORD_MAX: usize = 3;

/// The journal as it was found, and the store beside it.
pub(super) struct Past {
    found: Option<Recovery>,
    last: Version,
    commits: CommitNumber,
}

impl Past {
    /// Checks that journal and store belong together (I11).
    pub async fn of(mut found: Option<Recovery>, store: &dyn Store) -> Result<Self, StartError> {
        if found.as_ref().is_some_and(Recovery::is_new) {
            // From here on the store's own log may be cut where it is damaged.
            store.persist().await?;
        }
        let identity = store.identity().await?;
        let mut last = store.clock_ceiling().await?;
        if let Some(recovery) = &mut found {
            let heal = recovery.check_store(identity)?;
            last = last.max(recovery.ceiling());
            if heal != Heal::InStep {
                // The journal brings states back, not what the store knew of deltas.
                store.forget_before(last).await?;
            }
        }
        let commits = found.as_ref().map_or_else(CommitNumber::default, Recovery::commits);
        Ok(Self { found, last, commits })
    }

    /// Every version given out before is at most this one.
    pub fn last(&self) -> Version {
        self.last
    }

    /// What the store has persisted for certain.
    pub fn commits(&self) -> CommitNumber {
        self.commits
    }

    /// Begins a new segment behind what was found, and starts what keeps the journal going.
    pub fn begin(
        &self,
        metrics: &Metrics,
        clock: &Clock,
    ) -> Result<Option<Journaling>, StartError> {
        let Some(recovery) = &self.found else { return Ok(None) };
        let (journal, writer) = recovery.begin()?;
        journal.observe(metrics, clock.clone());
        let writer = WriterThread::spawn(writer).map_err(StartError::Listen)?;
        let herald = tokio::spawn(journal.clone().herald());
        Ok(Some(Journaling { journal, writer, herald }))
    }

    /// Brings back what the store does not have. With a journal that goes on, all of it is durable
    /// there anew before this returns: what was read may have been in the system's memory only
    /// (I10). Without one it is in the store, and the old journal is gone.
    pub async fn relive(
        self,
        cache: &Arc<Cache>,
        flusher: Flusher,
        store: &Arc<dyn Store>,
        journaling: Option<&Journaling>,
    ) -> Result<Flusher, StartError> {
        let Some(recovery) = self.found else { return Ok(flusher) };
        let started = Instant::now();
        let replay = Replay {
            cache: Arc::clone(cache),
            flusher,
            runtime: Handle::current(),
            journal: journaling.map(|journaling| journaling.journal.clone()),
            // Of a shared store others have written newer rows, perhaps.
            may_be_behind: store.is_shared() || recovery.may_be_behind(),
            gone: Cell::default(),
        };
        let replayed = spawn_blocking(move || replay.run(recovery)).await;
        let replayed = replayed.map_err(|error| StartError::Assembly(error.to_string()))?;
        let (flusher, recovery, records) = replayed?;
        if store.is_shared() && recovery.ceiling() < self.last && cache.dirty() > 0 {
            // Another has served since: his clients know newer versions than what comes back here.
            store.forget_before(self.last).await?;
        }
        if let Some(Journaling { journal, .. }) = journaling {
            if records > 0 {
                flusher.try_checkpoint().await?;
            }
            journal.note_recovery(records, started.elapsed());
        } else {
            settled(flusher.pass(Scope::Everything).await)?;
            if cache.dirty() > 0 {
                return Err(StartError::Recovery);
            }
            store.persist().await?;
            store.raise_clock_ceiling(self.last).await?;
            retire(recovery).await?;
        }
        let (dirty, took) = (cache.dirty(), started.elapsed());
        info!(records, dirty, ?took, "the journal was replayed");
        Ok(flusher)
    }
}

async fn retire(recovery: Recovery) -> Result<(), StartError> {
    let retired = spawn_blocking(move || recovery.retire()).await;
    if retired.map_err(|error| StartError::Assembly(error.to_string()))?? {
        info!("the journal is done with: the store has all of it, and the durability is another");
    }
    Ok(())
}

fn settled(end: PassEnd) -> Result<(), StartError> {
    match end {
        PassEnd::Done | PassEnd::Cut => Ok(()),
        PassEnd::Refused | PassEnd::Failed => Err(StartError::Recovery),
    }
}

/// The replay, on a thread of its own: reading files waits.
struct Replay {
    cache: Arc<Cache>,
    flusher: Flusher,
    runtime: Handle,
    journal: Option<Journal>,
    /// The store may have newer rows than what is replayed.
    may_be_behind: bool,
    /// States that gave way to those.
    gone: Cell<usize>,
}

impl Replay {
    fn run(self, recovery: Recovery) -> Result<(Flusher, Recovery, u64), StartError> {
        self.flusher.set_replaying(true);
        let replayed = recovery.replay(&mut |sequence, record| self.take(sequence, &record))?;
        self.end()?;
        self.flusher.set_replaying(false);
        Ok((self.flusher, recovery, replayed.records))
    }

    /// Where the cache is full of dirty states, the store has to take them first.
    fn take(&self, sequence: Sequence, record: &Record) -> Result<(), StartError> {
        for _ in 0..PASSES_PER_RECORD_MAX {
            if self.restore(sequence, record).is_ok() {
                return Ok(());
            }
            self.give_way()?;
            self.runtime.block_on(self.flusher.pass(Scope::Everything));
        }
        // A pass fails where the journal does, too.
        let failure = self.journal.as_ref().and_then(Journal::failure);
        Err(failure.map_or(StartError::Recovery, StartError::Journal))
    }

    /// Before anything of it goes to the store, or to a new place in the journal. How many states
    /// gave way; in the midst of the replay a later record may bring back as new a one.
    fn give_way(&self) -> Result<usize, StartError> {
        if !self.may_be_behind {
            return Ok(0);
        }
        let gone = self.runtime.block_on(self.flusher.give_way())?;
        self.gone.set(self.gone.get() + gone);
        Ok(gone)
    }

    /// Nothing that gave way goes from the journal before what it gave way to rests safely.
    fn end(&self) -> Result<(), StartError> {
        let states = self.give_way()?;
        if states > 0 {
            warn!(states, "the store has newer rows than the journal, and they stay");
        }
        if self.gone.get() > 0 {
            settled(self.runtime.block_on(self.flusher.persist()))?;
        }
        Ok(())
    }

    fn restore(&self, sequence: Sequence, record: &Record) -> Result<(), Full> {
        match record {
            Record::State { key, state } => self.cache.restore(key, state.clone(), sequence, 0),
            Record::UserDeletion { user, version } => {
                self.cache.restore_deletion(*user, *version, sequence)
            }
            _ => Ok(()),
        }
    }
}
