//! `Verify`: counts every row anew, and holds what is in memory against what the store has, while
//! both go on changing.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::{Engine, Error, Stored};
use crate::{
    cache::{Held, KEYS_PER_HOLD_MAX},
    metrics::StoreOperation,
    model::{Key, ReadState, Version},
};

/// How often a state is looked at that changes while it is.
const LOOKS_MAX: usize = 16;

/// What is wrong with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Its parts are not those of any state, or do not add up to its count.
    Invalid,
    /// Clean in memory, and not in the store.
    RowMissing,
    /// Clean in memory, and another in the store.
    RowDiffers,
    /// Dirty in memory, and newer in the store.
    RowNewer,
    /// In the store, and not to be read.
    RowDamaged,
}

/// One state that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which state.
    pub key: Key,
    /// What is wrong.
    pub kind: DifferenceKind,
    /// Of the state in memory; 0 where there is none.
    pub cached: Version,
    /// Of the row; 0 where there is none.
    pub stored: Version,
}

/// How far a check is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Rows so far.
    pub rows: u64,
    /// States in memory so far.
    pub cached: u64,
    /// States that changed each time they were looked at, so far.
    pub undecided: u64,
    /// What was found since the step before.
    pub differences: Vec<Difference>,
}

/// A check of a whole server, step by step.
pub struct Verify {
    engine: Arc<Engine>,
    place: Place,
    checked: Checked,
    /// There is one check at a time: it reads all that there is.
    _turn: OwnedSemaphorePermit,
}

enum Place {
    /// Before what is dirty is in the store: until then there is nothing to hold it against.
    Dirty,
    /// Among the rows, above this key.
    Rows(Option<Key>),
    /// Among what is in memory of this shard, at this step through it.
    Shard(usize, usize),
    End,
}

/// What two looks at memory, with one at the store between them, say of a state.
enum Verdict {
    Fine,
    Wrong(Difference),
    /// It changed in between.
    Open,
}

impl Verify {
    /// A check that has what is dirty written first, as the flusher does it anyway.
    ///
    /// # Errors
    /// [`Error::VerifyUnderWay`] while there is another.
    pub fn new(engine: Arc<Engine>) -> Result<Self, Error> {
        let Ok(turn) = Arc::clone(&engine.verifies).try_acquire_owned() else {
            engine.metrics.rejections.too_many_requests.inc();
            return Err(Error::VerifyUnderWay);
        };
        Ok(Self { engine, place: Place::Dirty, checked: Checked::default(), _turn: turn })
    }

    /// A bounded part of the check; `None` at its end.
    ///
    /// # Errors
    /// That the store did not answer, or did not take what is dirty.
    pub async fn step(&mut self) -> Result<Option<Checked>, Error> {
        self.checked.differences.clear();
        match std::mem::replace(&mut self.place, Place::End) {
            Place::Dirty => {
                self.engine.flushed().await?;
                self.place = Place::Rows(None);
            }
            Place::Rows(after) => self.step_rows(after).await?,
            Place::Shard(index, step) => self.step_shard(index, step).await?,
            Place::End => return Ok(None),
        }
        Ok(Some(self.checked.clone()))
    }

    async fn step_rows(&mut self, after: Option<Key>) -> Result<(), Error> {
        let Stored { rows, damaged, last, is_end } = self.engine.stored_after(after).await?;
        self.checked.rows += (rows.len() + damaged.len()) as u64;
        for (key, state) in rows.iter().filter(|(_, state)| !adds_up(state)) {
            let (kind, stored) = (DifferenceKind::Invalid, state.version());
            let difference = Difference { key: *key, kind, cached: Version::ZERO, stored };
            self.checked.differences.push(difference);
        }
        for (key, _) in damaged {
            let held = self.engine.cache.held(&key);
            let cached = held.map_or(Version::ZERO, |held| held.state.version());
            let kind = DifferenceKind::RowDamaged;
            let difference = Difference { key, kind, cached, stored: Version::ZERO };
            self.checked.differences.push(difference);
        }
        for rows in rows.chunks(KEYS_PER_HOLD_MAX) {
            self.check_held(rows).await?;
        }
        self.place = if is_end { Place::Shard(0, 0) } else { Place::Rows(last) };
        Ok(())
    }

    /// Holds what is in memory of `rows` against them. A dirty state is newer than its row; it is
    /// looked at closer only where it is not.
    async fn check_held(&mut self, rows: &[(Key, ReadState)]) -> Result<(), Error> {
        let mut doubtful = Vec::new();
        for (key, row) in rows {
            let Some(held) = self.engine.cache.held(key) else { continue };
            self.checked.cached += 1;
            let Held { state, dirty } = &held;
            let newer = *dirty && state.version() > row.version();
            let same = state.to_parts() == row.to_parts();
            if !(adds_up(state) && (newer || same)) {
                doubtful.push(*key);
            }
        }
        self.check(&doubtful).await
    }

    /// Holds what is in memory of this part of a shard against the store. Where it has a row, the
    /// rows were held against memory already, or it is newer than that.
    async fn step_shard(&mut self, index: usize, step: usize) -> Result<(), Error> {
        if index >= self.engine.cache.shards() {
            return Ok(());
        }
        let Some(keys) = self.engine.cache.clean_keys(index, step) else {
            self.place = Place::Shard(index + 1, 0);
            return Ok(());
        };
        let rows = self.load(&keys).await?;
        let lost = keys.into_iter().zip(rows).filter(|(_, row)| matches!(row, Some(None)));
        let lost: Vec<Key> = lost.map(|(key, _)| key).collect();
        self.checked.cached += lost.len() as u64;
        self.check(&lost).await?;
        self.place = Place::Shard(index, step + 1);
        Ok(())
    }

    /// What the store has of each; nothing is said of a damaged row, which the scan has told of.
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Option<ReadState>>>, Error> {
        let rows = |keys: &[Key]| {
            let rows = self.engine.store.load_many(keys.to_vec());
            self.engine.ask(StoreOperation::LoadMany, rows)
        };
        match rows(keys).await {
            Ok(rows) => return Ok(rows.into_iter().map(Some).collect()),
            Err(Error::Corrupt(_)) => {}
            Err(error) => return Err(error),
        }
        let mut each = Vec::with_capacity(keys.len());
        for key in keys {
            each.push(match rows(&[*key]).await {
                Ok(mut rows) => rows.pop(),
                Err(Error::Corrupt(_)) => None,
                Err(error) => return Err(error),
            });
        }
        Ok(each)
    }

    /// Looks at `keys` until each is decided, or has changed too often.
    async fn check(&mut self, keys: &[Key]) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let verdicts = self.look(keys).await?;
        for (key, verdict) in keys.iter().zip(verdicts) {
            match self.decided(key, verdict).await? {
                Verdict::Fine => {}
                Verdict::Wrong(difference) => self.checked.differences.push(difference),
                Verdict::Open => self.checked.undecided += 1,
            }
        }
        Ok(())
    }

    async fn decided(&self, key: &Key, mut verdict: Verdict) -> Result<Verdict, Error> {
        for _ in 1..LOOKS_MAX {
            let Verdict::Open = verdict else { return Ok(verdict) };
            verdict = self.look(&[*key]).await?.pop().unwrap_or(Verdict::Fine);
        }
        Ok(verdict)
    }

    async fn look(&self, keys: &[Key]) -> Result<Vec<Verdict>, Error> {
        let held = || keys.iter().map(|key| self.engine.cache.held(key)).collect::<Vec<_>>();
        let before = held();
        let rows = self.load(keys).await?;
        let looks = before.into_iter().zip(rows).zip(held()).zip(keys);
        let verdict = |(((before, row), after), key)| match row {
            Some(row) => verdict(key, before, row, after),
            None => Verdict::Fine,
        };
        Ok(looks.map(verdict).collect())
    }
}

/// Whether the parts are those of a state, which has the count that they add up to.
fn adds_up(state: &ReadState) -> bool {
    let parts = state.to_parts();
    ReadState::from_parts(parts.clone())
        .is_ok_and(|anew| anew.mention_count() == state.mention_count() && anew.to_parts() == parts)
}

fn verdict(
    key: &Key,
    before: Option<Held>,
    row: Option<ReadState>,
    after: Option<Held>,
) -> Verdict {
    // Versions only rise: what is the same twice was so all the while.
    if before != after {
        return Verdict::Open;
    }
    let Some(Held { state, dirty }) = before else { return Verdict::Fine };
    let cached = state.version();
    let stored = row.as_ref().map_or(Version::ZERO, ReadState::version);
    let same = row.as_ref().is_some_and(|row| row.to_parts() == state.to_parts());
    let kind = match (dirty, row) {
        _ if !adds_up(&state) => DifferenceKind::Invalid,
        (true, _) if stored > cached => DifferenceKind::RowNewer,
        // It may be in a commit.
        (true, _) if stored < cached => return Verdict::Fine,
        (_, Some(_)) if same => return Verdict::Fine,
        // The row of a tombstone goes when its time is over; the one in memory does no harm.
        (false, None) if state.is_deleted() => return Verdict::Fine,
        (_, None) => DifferenceKind::RowMissing,
        (_, Some(_)) => DifferenceKind::RowDiffers,
    };
    Verdict::Wrong(Difference { key: *key, kind, cached, stored })
}
