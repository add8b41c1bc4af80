//! A store in this process's memory: `--store memory`, for demos, and for tests of all above it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::model::{Key, ReadState, Sequence, UserId, Version};

use super::{
    Batch, CommitNumber, CommitReport, Pending, Row, Store, StoreError, StoreIdentity, UserPage,
    user_bounds::user_bounds,
};

/// Keeps rows for as long as it, or a clone of it, lives. Nothing survives the process.
///
/// Clones share their rows, so that a test can close a store, open it again and find them.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    // One lock for everything: each call is one short critical section, hence one snapshot.
    shared: Arc<Mutex<Shared>>,
    /// Drawn when it was made: a new process has another store.
    id: u64,
}

#[derive(Debug, Default)]
struct Shared {
    rows: BTreeMap<Key, ReadState>,
    /// The tombstones among the rows, oldest first: exactly those, so `expire` finds what it needs.
    tombstones: BTreeSet<(Version, Key)>,
    deleted_users: BTreeMap<UserId, Version>,
    expired_before: Version,
    commits: CommitNumber,
    upto: Option<Sequence>,
    clock_ceiling: Version,
    closed: bool,
    is_shared: bool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { shared: Arc::default(), id: rand::random_range(1..=u64::MAX) }
    }

    /// Makes a closed store usable again, as opening its files again would.
    pub fn reopen(&self) {
        self.shared.lock().closed = false;
    }

    /// From here on it says that others can reach it ([`Store::is_shared`]). A test is to see to it
    /// that they do so in turn.
    pub fn share(&self) {
        self.shared.lock().is_shared = true;
    }

    /// Does `act` at the first poll, in one critical section.
    fn with<T: Send>(&self, act: impl FnOnce(&mut Shared) -> T + Send + 'static) -> Pending<'_, T> {
        Box::pin(async move {
            let mut shared = self.shared.lock();
            if shared.closed {
                return Err(StoreError::Closed);
            }
            Ok(act(&mut shared))
        })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn put(&mut self, Row { key, state }: Row) {
        self.remove(&key);
        if state.is_deleted() {
            self.tombstones.insert((state.version(), key));
        }
        self.rows.insert(key, state);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(state) = self.rows.remove(key) {
            self.tombstones.remove(&(state.version(), *key));
        }
    }

    fn user_page(&self, user: UserId, after: Option<Key>, limit: usize) -> UserPage {
        let (first, last) = user_bounds(user);
        let from = match after {
            Some(after) if after >= last => return self.page(Vec::new(), user),
            Some(after) if after >= first => Excluded(after),
            _ => Included(first),
        };
        let rows = self.rows.range((from, Included(last))).take(limit).map(row).collect();
        self.page(rows, user)
    }

    fn page(&self, rows: Vec<Row>, user: UserId) -> UserPage {
        let deleted_at = self.deleted_users.get(&user).copied();
        UserPage { rows, deleted_at, expired_before: self.expired_before }
    }

    fn scan(&self, after: Option<Key>, limit: usize) -> Vec<Row> {
        let from = after.map_or(Unbounded, Excluded);
        self.rows.range((from, Unbounded)).take(limit).map(row).collect()
    }

    fn delete_user(&mut self, user: UserId, version: Version) {
        let (first, last) = user_bounds(user);
        let covered =
            |(key, state): (&Key, &ReadState)| (state.version() <= version).then_some(*key);
        let keys: Vec<Key> = self.rows.range(first..=last).filter_map(covered).collect();
        for key in &keys {
            self.remove(key);
        }
        let mark = self.deleted_users.entry(user).or_insert(version);
        *mark = version.max(*mark);
    }

    fn expire(&mut self, before: Version, limit: usize) -> usize {
        let old = |(version, _): &&(Version, Key)| *version < before;
        let tombstones = self.tombstones.iter().take_while(old).take(limit);
        let keys: Vec<Key> = tombstones.map(|(_, key)| *key).collect();
        for key in &keys {
            self.remove(key);
        }
        let old = |(_, version): &(&UserId, &Version)| **version < before;
        let marks = self.deleted_users.iter().filter(old).take(limit - keys.len());
        let users: Vec<UserId> = marks.map(|(user, _)| *user).collect();
        for user in &users {
            self.deleted_users.remove(user);
        }
        let removed = keys.len() + users.len();
        if removed > 0 {
            self.expired_before = self.expired_before.max(before);
        }
        removed
    }
}

fn row((key, state): (&Key, &ReadState)) -> Row {
    Row { key: *key, state: state.clone() }
}

impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn is_shared(&self) -> bool {
        self.shared.lock().is_shared
    }

    fn load(&self, key: Key) -> Pending<'_, Option<ReadState>> {
        self.with(move |shared| shared.rows.get(&key).cloned())
    }

    fn load_many(&self, keys: Vec<Key>) -> Pending<'_, Vec<Option<ReadState>>> {
        self.with(move |shared| keys.iter().map(|key| shared.rows.get(key).cloned()).collect())
    }

    fn load_user(&self, user: UserId, after: Option<Key>, limit: usize) -> Pending<'_, UserPage> {
        self.with(move |shared| shared.user_page(user, after, limit))
    }

    fn commit(&self, batch: Batch) -> Pending<'_, CommitReport> {
        self.with(move |shared| {
            shared.commits.0 += 1;
            shared.upto = batch.upto;
            batch.rows.into_iter().for_each(|row| shared.put(row));
            CommitReport::default()
        })
    }

    fn persist(&self) -> Pending<'_, CommitNumber> {
        self.with(|shared| shared.commits)
    }

    fn delete_user(&self, user: UserId, version: Version) -> Pending<'_, ()> {
        self.with(move |shared| {
            shared.upto = None;
            shared.delete_user(user, version);
        })
    }

    fn scan(&self, after: Option<Key>, limit: usize) -> Pending<'_, Vec<Row>> {
        self.with(move |shared| shared.scan(after, limit))
    }

    fn expire(&self, before: Version, limit: usize) -> Pending<'_, usize> {
        self.with(move |shared| shared.expire(before, limit))
    }

    fn forget_before(&self, version: Version) -> Pending<'_, ()> {
        self.with(move |shared| shared.expired_before = shared.expired_before.max(version))
    }

    fn identity(&self) -> Pending<'_, StoreIdentity> {
        let id = self.id;
        self.with(move |shared| StoreIdentity { id, commits: shared.commits, upto: shared.upto })
    }

    fn clock_ceiling(&self) -> Pending<'_, Version> {
        self.with(|shared| shared.clock_ceiling)
    }

    fn raise_clock_ceiling(&self, ceiling: Version) -> Pending<'_, ()> {
        self.with(move |shared| shared.clock_ceiling = shared.clock_ceiling.max(ceiling))
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            self.shared.lock().closed = true;
            Ok(())
        })
    }
}
