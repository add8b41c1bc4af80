//! A store that knows confirmed from persisted: a power cut forgets the newest of what it had
//! confirmed and not persisted, and its commit number goes back with that.

use std::{collections::BTreeMap, io, sync::Arc};

use parking_lot::Mutex;
use rand::{Rng as _, RngCore};
use readstates::{
    model::{Key, ReadState, UserId, Version},
    store::{
        Batch, CommitNumber, CommitReport, Pending, Row, Store, StoreError, StoreIdentity, UserPage,
    },
};
use tokio::task::yield_now;

/// Persisted states that are remembered, as backups are.
const COPIES_MAX: usize = 4;

/// Clones are the same store.
#[derive(Clone)]
pub struct LossyStore(Arc<Mutex<Inner>>);

#[derive(Clone, Default)]
struct Image {
    rows: BTreeMap<Key, ReadState>,
    deleted: BTreeMap<UserId, Version>,
    ceiling: Version,
    commits: u64,
}

#[derive(Clone)]
enum Change {
    Rows(Vec<Row>),
    /// Where it is cut off, only its first so many rows go.
    Deletion {
        user: UserId,
        version: Version,
        rows: usize,
    },
    Ceiling(Version),
}

#[derive(Default)]
struct Inner {
    persisted: Image,
    /// What is persisted and all changes since.
    live: Image,
    unpersisted: Vec<Change>,
    copies: Vec<Image>,
    closed: bool,
    /// The next commit fails, and nothing is written from then on.
    poison_next: bool,
    /// It is poisoned by the commit of these, which may be found when it is opened again.
    poisoned: Option<Change>,
    /// The next deletion of a user is cut off after so many rows.
    cut_next: Option<usize>,
}

impl Image {
    fn apply(&mut self, change: &Change) {
        self.commits += 1;
        match change {
            Change::Rows(rows) => {
                let rows = rows.iter().map(|row| (row.key, row.state.clone()));
                self.rows.extend(rows);
            }
            Change::Deletion { user, version, rows } => {
                let mark = self.deleted.entry(*user).or_default();
                *mark = (*mark).max(*version);
                let covered = |(key, state): &(&Key, &ReadState)| {
                    key.user == *user && state.version() <= *version
                };
                let covered = self.rows.iter().filter(covered).take(*rows);
                let gone: Vec<Key> = covered.map(|(key, _)| *key).collect();
                gone.iter().for_each(|key| drop(self.rows.remove(key)));
            }
            Change::Ceiling(ceiling) => self.ceiling = self.ceiling.max(*ceiling),
        }
    }
}

impl Inner {
    fn change(&mut self, change: Change) {
        self.live.apply(&change);
        self.unpersisted.push(change);
    }

    fn writable(&self) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        match &self.poisoned {
            Some(_) => Err(StoreError::Io(Arc::new(io::Error::other("it failed before")))),
            None => Ok(()),
        }
    }
}

impl LossyStore {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// The rows that a reader sees.
    pub fn rows(&self) -> BTreeMap<Key, ReadState> {
        self.0.lock().live.rows.clone()
    }

    /// The disk fails at the next commit.
    pub fn poison(&self) {
        self.0.lock().poison_next = true;
    }

    pub fn cut_next_deletion(&self, rows: usize) {
        self.0.lock().cut_next = Some(rows);
    }

    /// The process has ended, and the store is opened anew. Whether a commit that failed is there
    /// after all, nobody can say.
    pub fn reopen(&self, chance: &mut dyn RngCore) {
        let mut inner = self.0.lock();
        inner.closed = false;
        inner.poison_next = false;
        if let Some(change) = inner.poisoned.take().filter(|_| chance.random_bool(0.5)) {
            inner.change(change);
        }
    }

    /// Forgets some of what was not persisted, the newest first; how many changes.
    pub fn power_cut(&self, chance: &mut dyn RngCore) -> usize {
        let mut inner = self.0.lock();
        let kept = chance.random_range(0..=inner.unpersisted.len());
        let lost = inner.unpersisted.len() - kept;
        let mut left = inner.persisted.clone();
        inner.unpersisted.drain(..).take(kept).for_each(|change| left.apply(&change));
        inner.persisted = left.clone();
        inner.live = left;
        if inner.poisoned.is_some() {
            inner.poisoned = None;
        }
        lost
    }

    /// Puts back an older copy of itself; how to undo that. `None` where there is none.
    pub fn put_back_copy(&self, chance: &mut dyn RngCore) -> Option<Undo> {
        let mut inner = self.0.lock();
        if inner.copies.is_empty() || !inner.unpersisted.is_empty() || inner.poisoned.is_some() {
            return None;
        }
        let index = chance.random_range(0..inner.copies.len());
        let copies = inner.copies.clone();
        inner.copies.truncate(index + 1);
        let copy = inner.copies[index].clone();
        inner.live = copy.clone();
        let before = std::mem::replace(&mut inner.persisted, copy);
        Some(Undo { before, copies })
    }

    pub fn undo(&self, undo: Undo) {
        let mut inner = self.0.lock();
        inner.live = undo.before.clone();
        inner.persisted = undo.before;
        inner.copies = undo.copies;
    }

    fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Image) -> T + Send + 'static,
    ) -> Pending<'_, T> {
        Box::pin(async move {
            let answer = {
                let inner = self.0.lock();
                if inner.closed {
                    return Err(StoreError::Closed);
                }
                act(&inner.live)
            };
            // It gets old on its way.
            yield_now().await;
            Ok(answer)
        })
    }

    fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<'_, T> {
        Box::pin(async move {
            let answer = {
                let mut inner = self.0.lock();
                inner.writable().and_then(|()| act(&mut inner))
            };
            yield_now().await;
            answer
        })
    }
}

/// See [`LossyStore::put_back_copy`].
pub struct Undo {
    before: Image,
    copies: Vec<Image>,
}

fn failed() -> StoreError {
    StoreError::Io(Arc::new(io::Error::other("its disk failed")))
}

fn page(image: &Image, user: UserId, after: Option<Key>, limit: usize) -> UserPage {
    let rows = image.rows.iter().filter(|(key, _)| key.user == user && Some(**key) > after);
    let rows = rows.take(limit).map(|(key, state)| Row { key: *key, state: state.clone() });
    let deleted_at = image.deleted.get(&user).copied();
    UserPage { rows: rows.collect(), deleted_at, expired_before: Version::ZERO }
}

impl Store for LossyStore {
    fn name(&self) -> &'static str {
        "lossy"
    }

    fn load(&self, key: Key) -> Pending<'_, Option<ReadState>> {
        self.read(move |image| image.rows.get(&key).cloned())
    }

    fn load_many(&self, keys: Vec<Key>) -> Pending<'_, Vec<Option<ReadState>>> {
        self.read(move |image| keys.iter().map(|key| image.rows.get(key).cloned()).collect())
    }

    fn load_user(&self, user: UserId, after: Option<Key>, limit: usize) -> Pending<'_, UserPage> {
        self.read(move |image| page(image, user, after, limit))
    }

    fn commit(&self, batch: Batch) -> Pending<'_, CommitReport> {
        self.write(move |inner| {
            let change = Change::Rows(batch.rows);
            if inner.poison_next {
                inner.poisoned = Some(change);
                return Err(failed());
            }
            inner.change(change);
            Ok(CommitReport::default())
        })
    }

    fn persist(&self) -> Pending<'_, CommitNumber> {
        Box::pin(async move {
            // What is confirmed until now is what it answers for.
            let (image, changes) = {
                let inner = self.0.lock();
                inner.writable()?;
                (inner.live.clone(), inner.unpersisted.len())
            };
            yield_now().await;
            let mut inner = self.0.lock();
            inner.writable()?;
            inner.unpersisted.drain(..changes);
            inner.copies.push(image.clone());
            if inner.copies.len() > COPIES_MAX {
                inner.copies.remove(0);
            }
            let commits = CommitNumber(image.commits);
            inner.persisted = image;
            Ok(commits)
        })
    }

    fn delete_user(&self, user: UserId, version: Version) -> Pending<'_, ()> {
        self.write(move |inner| {
            let rows = inner.cut_next.take();
            inner.change(Change::Deletion { user, version, rows: rows.unwrap_or(usize::MAX) });
            rows.map_or(Ok(()), |_| Err(failed()))
        })
    }

    fn scan(&self, after: Option<Key>, limit: usize) -> Pending<'_, Vec<Row>> {
        self.read(move |image| {
            let rows = image.rows.iter().filter(|(key, _)| Some(**key) > after).take(limit);
            rows.map(|(key, state)| Row { key: *key, state: state.clone() }).collect()
        })
    }

    /// Nothing does: what time does to tombstones is another test's.
    fn expire(&self, _: Version, _: usize) -> Pending<'_, usize> {
        Box::pin(async { Ok(0) })
    }

    /// Nothing is loaded from elsewhere here.
    fn forget_before(&self, _: Version) -> Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn identity(&self) -> Pending<'_, StoreIdentity> {
        self.read(|image| StoreIdentity { id: 1, commits: CommitNumber(image.commits), upto: None })
    }

    fn clock_ceiling(&self) -> Pending<'_, Version> {
        self.read(|image| image.ceiling)
    }

    fn raise_clock_ceiling(&self, ceiling: Version) -> Pending<'_, ()> {
        self.write(move |inner| {
            inner.change(Change::Ceiling(ceiling));
            Ok(())
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            self.0.lock().closed = true;
            Ok(())
        })
    }
}
