//! What the journal knows at start: it comes back into the cache as dirty states, and is written
//! down anew before anybody is served.

use std::{cell::Cell, sync::Arc, time::Instant};

use tokio::{runtime::Handle, task::spawn_blocking};
use tracing::{info, warn};

use super::{StartError, journaling::Journaling};
use crate::{
    cache::{Cache, Full},
    clock::Clock,
    flush::{Flusher, Newer, PassEnd, Scope},
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
        // Who has served since has raised the ceiling, which the journal does not know: not before
        // all of this is done, so that a start after a crash in the midst of it does it again.
        let others = store.is_shared() && recovery.ceiling() < self.last;
        let replay = Replay {
            cache: Arc::clone(cache),
            flusher,
            runtime: Handle::current(),
            journal: journaling.map(|journaling| journaling.journal.clone()),
            newer: match (others, store.is_shared() || recovery.may_be_behind()) {
                (true, _) => Some(Newer::Merges),
                (false, true) => Some(Newer::Stays),
                (false, false) => None,
            },
            gone: Cell::default(),
            merged: Cell::default(),
        };
        if others && replay.parts(&recovery) > 1 {
            // Its parts go to the store before all of it is read.
            store.forget_before(self.last).await?;
        }
        let replayed = spawn_blocking(move || replay.run(recovery)).await;
        let replayed = replayed.map_err(|error| StartError::Assembly(error.to_string()))?;
        let (flusher, recovery, records) = replayed?;
        if others && cache.dirty() > 0 {
            // The other's clients know newer versions than what comes back here.
            store.forget_before(self.last).await?;
        }
        if others {
            // Before a version of what was merged is in the journal: whoever serves next, should
            // this start fail, has to begin above it (L4).
            store.raise_clock_ceiling(self.last.max(cache.newest_version())).await?;
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
    /// The store may have newer rows than what is replayed; what is done then.
    newer: Option<Newer>,
    /// States that gave way to those.
    gone: Cell<usize>,
    /// States that were merged with those.
    merged: Cell<usize>,
}

impl Replay {
    fn run(self, recovery: Recovery) -> Result<(Flusher, Recovery, u64), StartError> {
        self.flusher.set_replaying(true);
        let parts = self.parts(&recovery);
        let mut records = 0;
        for part in 0..parts {
            let replayed = recovery.replay(&mut |sequence, record| match &record {
                Record::State { key, .. } if key.part_of(parts) != part => Ok(()),
                _ => self.take(sequence, &record),
            })?;
            records = replayed.records;
            self.end()?;
            // What the store refuses alone stays dirty, and goes to a new place in the journal.
            if parts > 1
                && self.runtime.block_on(self.flusher.pass(Scope::Everything)) == PassEnd::Failed
            {
                return Err(StartError::Recovery);
            }
        }
        self.flusher.set_replaying(false);
        self.tell();
        Ok((self.flusher, recovery, records))
    }

    /// In how many parts the keys are gone through. What is merged is newer than any record, so
    /// all records of a key have to be taken back before it is: each part has to fit the cache.
    /// Deletions of users are in each.
    fn parts(&self, recovery: &Recovery) -> u64 {
        let room = self.cache.sizing().dirty_limit as u64;
        if self.newer != Some(Newer::Merges) || recovery.records() <= room {
            return 1;
        }
        // Parts are not all of a size.
        (2 * recovery.records()).div_ceil(room)
    }

    /// Where the cache is full of dirty states, the store has to take them first.
    fn take(&self, sequence: Sequence, record: &Record) -> Result<(), StartError> {
        for _ in 0..PASSES_PER_RECORD_MAX {
            if self.restore(sequence, record).is_ok() {
                return Ok(());
            }
            if self.newer == Some(Newer::Merges) {
                return Err(StartError::Crowded);
            }
            self.give_way()?;
            self.runtime.block_on(self.flusher.pass(Scope::Everything));
        }
        // A pass fails where the journal does, too.
        let failure = self.journal.as_ref().and_then(Journal::failure);
        Err(failure.map_or(StartError::Recovery, StartError::Journal))
    }

    /// Before anything of it goes to the store, or to a new place in the journal. In the midst of
    /// the replay a later record may bring back as new a state as one that gave way.
    fn give_way(&self) -> Result<(), StartError> {
        let Some(newer) = self.newer else { return Ok(()) };
        let met = self.runtime.block_on(self.flusher.give_way(newer))?;
        self.gone.set(self.gone.get() + met.gone);
        self.merged.set(self.merged.get() + met.merged);
        Ok(())
    }

    /// Nothing that gave way goes from the journal before what it gave way to rests safely.
    fn end(&self) -> Result<(), StartError> {
        self.give_way()?;
        if self.gone.get() > 0 {
            settled(self.runtime.block_on(self.flusher.persist()))?;
        }
        Ok(())
    }

    fn tell(&self) {
        let (states, merged) = (self.gone.get(), self.merged.get());
        if states > 0 {
            warn!(states, "the store has newer rows than the journal, and they stay");
        }
        if merged > 0 {
            info!(merged, "what another has not known was merged with what he has written since");
        }
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
