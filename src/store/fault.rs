//! A store that fails, hangs, dawdles or stops when a test says so, and counts what was asked of
//! it. It has no clock and no randomness: whoever holds [`Faults`] decides and can await anything,
//! so that no test needs to sleep.

mod faults;
mod tally;

use std::{future::Future, sync::Arc};

use crate::model::{Key, ReadState, UserId, Version};

use super::{
    Batch, CommitNumber, CommitReport, Pending, Row, Scanned, Store, StoreError, StoreIdentity,
    UserPage,
};
pub use faults::{Faults, Gate, Moment};
pub use tally::{Call, Tally};

/// Passes calls on to another store, except as [`Faults`] say.
pub struct FaultStore {
    inner: Arc<dyn Store>,
    faults: Faults,
}

impl FaultStore {
    /// Behaves as `inner` until told otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, faults: Faults::default() }
    }

    /// What it is controlled and watched by.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Makes a call of `inner`. Where it is held or dropped before, `inner` never hears of it.
    fn pass<'a, T: Send + 'a>(
        &'a self,
        call: Call,
        inner: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> Pending<'a, T> {
        Box::pin(async move {
            let _begun = self.faults.begin(call);
            self.faults.dawdle(call).await;
            self.faults.wait_at(call, Moment::Before).await;
            self.faults.check(call)?;
            let answer = inner.await;
            self.faults.wait_at(call, Moment::After).await;
            answer
        })
    }

    async fn commit_healthy(&self, batch: Batch) -> Result<CommitReport, StoreError> {
        let (failing, rows): (Vec<Row>, Vec<Row>) =
            batch.rows.into_iter().partition(|row| self.faults.is_failing(&row.key));
        let mut written: Vec<Key> = rows.iter().map(|row| row.key).collect();
        let mut report = self.inner.commit(Batch { rows, ..batch }).await?;
        written.retain(|key| !report.failed.contains(key));
        self.faults.count_writes(&written);
        report.failed.extend(failing.iter().map(|row| row.key));
        Ok(report)
    }
}

fn damage() -> StoreError {
    StoreError::Corrupt("a row that is to be damaged".to_owned().into())
}

impl Store for FaultStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn load(&self, key: Key) -> Pending<'_, Option<ReadState>> {
        self.pass(Call::Load, async move {
            self.faults.count_loads(&[key]);
            self.inner.load(key).await
        })
    }

    fn load_many(&self, keys: Vec<Key>) -> Pending<'_, Vec<Option<ReadState>>> {
        self.pass(Call::LoadMany, async move {
            self.faults.count_loads(&keys);
            if keys.iter().any(|key| self.faults.is_damaged(key)) {
                return Err(damage());
            }
            self.inner.load_many(keys).await
        })
    }

    fn load_user(&self, user: UserId, after: Option<Key>, limit: usize) -> Pending<'_, UserPage> {
        self.pass(Call::LoadUser, self.inner.load_user(user, after, limit))
    }

    fn commit(&self, batch: Batch) -> Pending<'_, CommitReport> {
        self.pass(Call::Commit, self.commit_healthy(batch))
    }

    fn persist(&self) -> Pending<'_, CommitNumber> {
        self.pass(Call::Persist, self.inner.persist())
    }

    fn delete_user(&self, user: UserId, version: Version) -> Pending<'_, ()> {
        self.pass(Call::DeleteUser, self.inner.delete_user(user, version))
    }

    fn scan(&self, after: Option<Key>, limit: usize) -> Pending<'_, Vec<Row>> {
        self.pass(Call::Scan, self.inner.scan(after, limit))
    }

    fn scan_past_damage(&self, after: Option<Key>, limit: usize) -> Pending<'_, Scanned> {
        self.pass(Call::Scan, async move {
            let mut scanned = self.inner.scan_past_damage(after, limit).await?;
            let damaged = scanned.rows.extract_if(.., |row| self.faults.is_damaged(&row.key));
            scanned.damaged.extend(damaged.map(|row| (row.key, damage())));
            Ok(scanned)
        })
    }

    fn expire(&self, before: Version, limit: usize) -> Pending<'_, usize> {
        self.pass(Call::Expire, self.inner.expire(before, limit))
    }

    fn forget_before(&self, version: Version) -> Pending<'_, ()> {
        self.pass(Call::ForgetBefore, self.inner.forget_before(version))
    }

    fn identity(&self) -> Pending<'_, StoreIdentity> {
        self.pass(Call::Identity, self.inner.identity())
    }

    fn clock_ceiling(&self) -> Pending<'_, Version> {
        self.pass(Call::ClockCeiling, self.inner.clock_ceiling())
    }

    fn raise_clock_ceiling(&self, ceiling: Version) -> Pending<'_, ()> {
        self.pass(Call::RaiseClockCeiling, self.inner.raise_clock_ceiling(ceiling))
    }

    fn close(&self) -> Pending<'_, ()> {
        self.pass(Call::Close, self.inner.close())
    }
}
