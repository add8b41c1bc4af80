//! States from elsewhere become those of this server: a dump's where they are newer (`Load`), those
//! that a deposed owner had not flushed by merging. They go the way of every change: a dirty place,
//! the journal, the cache, and from there to the store.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    DIRTY_WAIT_MAX, Durability, Engine, Error, concluded,
    load::{LOAD_DEADLINE, late},
};
use crate::{
    cache::{Arrival, DeletionTurn, Imported, KEYS_PER_HOLD_MAX, Refusal, Ticket},
    metrics::StoreOperation,
    model::{Key, ReadState, Sequence, UserId, Version},
    store::{Pending, StoreError},
};

/// How far ahead of this server's clock a version may be. The source's clock may have been; but
/// one from the end of time would leave no versions for what comes after it.
const AHEAD_MAX_US: u64 = 24 * 60 * 60 * 1_000_000;
/// Users whose marks of deletion are read from the store at the same time.
const CONCURRENT_MARKS: usize = 16;
/// Batches that are taken in at the same time, beyond which callers are refused: what they have in
/// memory, and ask of the store at once.
pub(super) const IMPORTS_MAX: usize = 64;
/// How often an import is begun anew because its key was touched meanwhile.
const IMPORT_ATTEMPTS_MAX: usize = 64;

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportCount {
    /// States that are the current ones now, or part of them.
    pub taken: u32,
    /// States older than, or as old as, what was here, or than the deletion of their user; of what
    /// is merged, those that have nothing new.
    pub older: u32,
}

/// What is known of a key that was not in memory: what the store has of it.
struct Looked {
    ticket: Ticket,
    stored: Option<ReadState>,
}

/// What the store said of a user.
pub(super) struct Mark {
    /// Before it was asked.
    turn: DeletionTurn,
    /// When the user was last deleted.
    pub deleted_at: Option<Version>,
}

impl Mark {
    fn covers(&self, state: &ReadState) -> bool {
        self.deleted_at.is_some_and(|deleted_at| state.version() <= deleted_at)
    }
}

pub(super) type Marks = HashMap<UserId, Mark>;

impl Engine {
    /// Takes those of `states` that are newer than what is here, or merges them with it. Returns
    /// once all of that is durable, and no delta misses any of it. After an error some may have
    /// been taken; the same call again does the rest.
    ///
    /// # Errors
    /// [`Error::AheadOfClock`] or [`Error::TooManyImports`] with nothing taken, or that it could
    /// not be done.
    pub async fn import(
        self: &Arc<Self>,
        states: Vec<(Key, ReadState)>,
        arrival: Arrival,
    ) -> Result<ImportCount, Error> {
        if states.is_empty() {
            // What was not taken is nothing that a delta could miss.
            return Ok(ImportCount::default());
        }
        let turn = Arc::clone(&self.imports).try_acquire_owned();
        let Ok(turn) = turn else {
            self.metrics.rejections.too_many_requests.inc();
            return Err(Error::TooManyImports);
        };
        // Detached: a caller that goes away leaves no ticket behind that nobody gives back. So it
        // has its turn for as long as it takes, not for as long as somebody waits for it.
        let engine = Arc::clone(self);
        let importing = tokio::spawn(async move {
            let imported = engine.import_all(states, arrival).await;
            drop(turn);
            imported
        });
        importing.await.unwrap_or(Err(Error::Draining))
    }

    async fn import_all(
        &self,
        states: Vec<(Key, ReadState)>,
        arrival: Arrival,
    ) -> Result<ImportCount, Error> {
        if arrival == Arrival::Replaces {
            self.check_ahead(&states)?;
        }
        let newest = states.iter().map(|(_, state)| state.version()).max().unwrap_or_default();
        self.lift_ceiling(newest).await?;
        let mut count = ImportCount::default();
        let mut record = None;
        let per_hold = KEYS_PER_HOLD_MAX.min(self.settings.durability.records_max());
        for states in states.chunks(per_hold) {
            for imported in self.import_some(states, arrival).await? {
                record = record.max(imported.unflushed);
                count.taken += u32::from(imported.taken);
                count.older += u32::from(!imported.taken);
            }
            // Between two parts, others on this runtime get their turn (I1).
            yield_now().await;
        }
        // What was merged has a new version, which deltas find; but a tombstone keeps its own. One
        // that is known may have been taken just before an error.
        let merges = arrival == Arrival::Merges;
        let is_missed = !merges || states.iter().any(|(_, state)| !state.exists());
        drop(states);
        if is_missed {
            self.conclude_import(record).await?;
        } else if let Some(record) = record {
            self.secured(record).await?;
        }
        Ok(count)
    }

    pub(super) async fn conclude_import(&self, record: Option<Sequence>) -> Result<(), Error> {
        if let Some(record) = record {
            self.secured(record).await?;
        }
        // Here, with each batch, and not in a last call that might never come.
        let version = self.cache.newest_version().next();
        // Every shard goes on behind it, also one that has not come near the ceiling itself.
        self.lift_ceiling(version).await?;
        self.cache.raise_versions(version);
        in_time(self.store.forget_before(version)).await
    }

    fn check_ahead(&self, states: &[(Key, ReadState)]) -> Result<(), Error> {
        let known = self.clock.wall_us().saturating_add(AHEAD_MAX_US);
        let ahead = |(_, state): &(Key, ReadState)| state.version().as_micros() > known;
        match states.iter().position(ahead) {
            Some(place) => Err(Error::AheadOfClock { place }),
            None => Ok(()),
        }
    }

    /// Sees to it that versions after `newest` can be given out, also after a restart.
    pub(super) async fn lift_ceiling(&self, newest: Version) -> Result<(), Error> {
        let Some(ceiling) = self.clock.wanted_ceiling(newest) else { return Ok(()) };
        match &self.settings.durability {
            Durability::Journal(journal) => {
                if self.store.is_shared() {
                    in_time(self.store.raise_clock_ceiling(ceiling)).await?;
                }
                journal.reached(journal.append_ceiling(ceiling)).await?;
            }
            Durability::Memory | Durability::Store => {
                in_time(self.store.raise_clock_ceiling(ceiling)).await?;
            }
        }
        self.clock.raise_ceiling(ceiling);
        Ok(())
    }

    /// At most as many as fit in one reservation and one run of the lock.
    async fn import_some(
        &self,
        states: &[(Key, ReadState)],
        arrival: Arrival,
    ) -> Result<Vec<Imported>, Error> {
        let mut imported = Vec::with_capacity(states.len());
        let mut left: Vec<&(Key, ReadState)> = states.iter().collect();
        let mut attempts = 0;
        while !left.is_empty() {
            let before = left.len();
            let refusal = self.import_once(&mut left, &mut imported, arrival).await?;
            if let Some(refusal) = refusal {
                let freed = || self.place_freed(Instant::now() + DIRTY_WAIT_MAX);
                if refusal != Refusal::DirtyLimit || !freed().await {
                    self.counted(concluded(Err(refusal)).result)?;
                }
            }
            attempts = if left.len() < before { 0 } else { attempts + 1 };
            if attempts == IMPORT_ATTEMPTS_MAX {
                return Err(Error::TooManyLoads);
            }
        }
        Ok(imported)
    }

    /// Does what can be done at once; leaves in `left` what has to be begun anew, and says why a
    /// place was refused.
    async fn import_once(
        &self,
        left: &mut Vec<&(Key, ReadState)>,
        imported: &mut Vec<Imported>,
        arrival: Arrival,
    ) -> Result<Option<Refusal>, Error> {
        let (mut looked, marks) = self.look(left, arrival).await?;
        let room = match self.settings.durability.room(left.len()).await {
            Ok(room) => room,
            Err(error) => {
                self.abandon(looked.into_values());
                return self.counted(Err(error)).map(|_| None);
            }
        };
        let now = self.clock.now();
        let mut refusal = None;
        left.retain(|(key, state)| {
            let mark = marks.get(&key.user);
            if mark.is_some_and(|mark| mark.covers(state)) {
                imported.push(Imported { taken: false, unflushed: None });
                return false;
            }
            let outcome = match looked.remove(key) {
                Some(Looked { ticket, stored }) => {
                    self.cache.admit_import(ticket, stored, state, arrival, &now).ok()
                }
                None => self.cache.import(key, (state, arrival), mark.map(|mark| mark.turn), &now),
            };
            match outcome {
                Some(Ok(done)) => imported.push(done),
                Some(Err(why)) => refusal = Some(why),
                None => {}
            }
            !matches!(outcome, Some(Ok(_)))
        });
        drop(room);
        // Of a key that is named twice the second has found the first in memory.
        self.abandon(looked.into_values());
        if self.cache.dirty() >= self.cache.sizing().dirty_limit.div_ceil(2) {
            self.rounds.nudge();
        }
        Ok(refusal)
    }

    /// Asks the store about the keys that are not in memory, and when their users were last
    /// deleted. The tickets come first: a deletion of the user that is not in what is read voids
    /// them (I5).
    ///
    /// What is newer replaces what is in memory, whatever was deleted with its user. But nothing is
    /// merged into what came after a deletion that it came before: so of what is merged every user
    /// is asked about, each time anew.
    async fn look(
        &self,
        states: &[&(Key, ReadState)],
        arrival: Arrival,
    ) -> Result<(HashMap<Key, Looked>, Marks), Error> {
        let keys: BTreeSet<Key> = states.iter().map(|(key, _)| *key).collect();
        let tickets = keys.iter().filter_map(|key| self.cache.begin_load(*key));
        let tickets: Vec<Ticket> = tickets.collect();
        let users = match arrival {
            Arrival::Replaces => tickets.iter().map(|ticket| ticket.key().user).collect(),
            Arrival::Merges => keys.iter().map(|key| key.user).collect(),
        };
        match self.read_stored(&tickets, users).await {
            Ok((rows, marks)) => {
                let looked = |(ticket, stored): (Ticket, Option<ReadState>)| {
                    (ticket.key(), Looked { ticket, stored })
                };
                Ok((tickets.into_iter().zip(rows).map(looked).collect(), marks))
            }
            Err(error) => {
                tickets.into_iter().for_each(|ticket| self.cache.abandon_load(ticket));
                Err(error)
            }
        }
    }

    async fn read_stored(
        &self,
        tickets: &[Ticket],
        users: BTreeSet<UserId>,
    ) -> Result<(Vec<Option<ReadState>>, Marks), Error> {
        let marks = self.marks(users).await?;
        if tickets.is_empty() {
            return Ok((Vec::new(), marks));
        }
        let keys: Vec<Key> = tickets.iter().map(Ticket::key).collect();
        let rows = self.ask(StoreOperation::LoadMany, self.store.load_many(keys)).await?;
        if rows.len() != tickets.len() {
            let why = "it did not answer for every key".to_owned();
            return Err(StoreError::Unavailable(why).into());
        }
        Ok((rows, marks))
    }

    /// What the store says of each of the users.
    pub(super) async fn marks(&self, users: BTreeSet<UserId>) -> Result<Marks, Error> {
        let marks = users.into_iter().map(|user| async move {
            let turn = self.cache.deletion_turn(user);
            let page = self.store.load_user(user, None, 0);
            let page = self.ask(StoreOperation::LoadUser, page).await?;
            Ok::<_, Error>((user, Mark { turn, deleted_at: page.deleted_at }))
        });
        stream::iter(marks).buffer_unordered(CONCURRENT_MARKS).try_collect().await
    }

    fn abandon(&self, looked: impl Iterator<Item = Looked>) {
        looked.for_each(|looked| self.cache.abandon_load(looked.ticket));
    }
}

/// What the store says, within the time that a load may take.
async fn in_time(pending: Pending<'_, ()>) -> Result<(), Error> {
    let answer = timeout(LOAD_DEADLINE, pending).await;
    Ok(answer.unwrap_or_else(|_| Err(late()))?)
}
