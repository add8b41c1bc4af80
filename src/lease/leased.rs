//! A store that is written to by its owner alone: where the lease stands between.

use std::sync::Arc;

use crate::{
    clock::CEILING_AHEAD_US,
    model::{Key, ReadState, UserId, Version},
    store::{
        Batch, CommitNumber, CommitReport, Pending, Row, Scanned, Store, StoreError, StoreIdentity,
        UserPage,
    },
};

use super::Lease;

/// Passes calls on to another store; those that write only while the lease is held, and none with a
/// version above the ceiling in the lease's row.
///
/// # A write that lands late
///
/// A look at the lease before the write is sent takes back nothing that is under way: it may reach
/// the store seconds later, or hours, as the hint of a node that was down. By then another may own
/// the keyspace. Yet all that such a write brings are versions up to the old owner's ceiling; all
/// that the new owner has written, or will, lies above it (L4). The store keeps the newest version
/// in every cell, and a deletion covers only what is older than itself, so the late one changes
/// nothing that the new owner has written. It can fill in a state that the new owner has not: one
/// that the old owner had acknowledged.
///
/// So the store says of a late write, too, that it is done, also where all of it has lost. Whoever
/// took that for a confirmation would forget the only copy of what he had acknowledged. Hence the
/// second look, behind the write: what was done while the lease was held, the next owner has read
/// and builds upon; of anything else it is not known, and it stays dirty.
pub struct Leased {
    inner: Arc<dyn Store>,
    lease: Lease,
}

impl Leased {
    /// `inner`, written to only under `lease`.
    pub fn new(inner: Arc<dyn Store>, lease: Lease) -> Self {
        Self { inner, lease }
    }

    /// Whether versions up to `newest` may be written now. The ceiling is raised ahead of them by
    /// those who give them out; here nothing gets past it even where they do not.
    async fn admit(&self, newest: Version) -> Result<(), StoreError> {
        self.lease.check()?;
        if newest > self.lease.ceiling() {
            let ahead = newest.as_micros().saturating_add(CEILING_AHEAD_US);
            self.lease.raise_ceiling(Version::from_micros(ahead)).await?;
            // That may have taken long.
            self.lease.check()?;
        }
        Ok(())
    }

    /// What a write came to, where the lease was held until it was done.
    fn confirmed<T>(&self, done: T) -> Result<T, StoreError> {
        self.lease.check()?;
        Ok(done)
    }
}

impl Store for Leased {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn load(&self, key: Key) -> Pending<'_, Option<ReadState>> {
        self.inner.load(key)
    }

    fn load_many(&self, keys: Vec<Key>) -> Pending<'_, Vec<Option<ReadState>>> {
        self.inner.load_many(keys)
    }

    fn load_user(&self, user: UserId, after: Option<Key>, limit: usize) -> Pending<'_, UserPage> {
        self.inner.load_user(user, after, limit)
    }

    fn commit(&self, batch: Batch) -> Pending<'_, CommitReport> {
        Box::pin(async move {
            let versions = batch.rows.iter().map(|row| row.state.version());
            self.admit(versions.max().unwrap_or_default()).await?;
            self.confirmed(self.inner.commit(batch).await?)
        })
    }

    fn persist(&self) -> Pending<'_, CommitNumber> {
        self.inner.persist()
    }

    fn delete_user(&self, user: UserId, version: Version) -> Pending<'_, ()> {
        Box::pin(async move {
            self.admit(version).await?;
            self.confirmed(self.inner.delete_user(user, version).await?)
        })
    }

    fn scan(&self, after: Option<Key>, limit: usize) -> Pending<'_, Vec<Row>> {
        self.inner.scan(after, limit)
    }

    fn scan_past_damage(&self, after: Option<Key>, limit: usize) -> Pending<'_, Scanned> {
        self.inner.scan_past_damage(after, limit)
    }

    fn expire(&self, before: Version, limit: usize) -> Pending<'_, usize> {
        Box::pin(async move {
            self.lease.check()?;
            // It comes from the wall clock, which may be far ahead: there is nothing to expire
            // above the ceiling but what another owner has written.
            let before = before.min(self.lease.ceiling());
            self.inner.expire(before, limit).await
        })
    }

    fn forget_before(&self, version: Version) -> Pending<'_, ()> {
        Box::pin(async move {
            self.admit(version).await?;
            self.confirmed(self.inner.forget_before(version).await?)
        })
    }

    fn identity(&self) -> Pending<'_, StoreIdentity> {
        self.inner.identity()
    }

    fn clock_ceiling(&self) -> Pending<'_, Version> {
        Box::pin(async move { Ok(self.inner.clock_ceiling().await?.max(self.lease.ceiling())) })
    }

    /// In the row of the lease alone, so that it is one with the question whose it is.
    fn raise_clock_ceiling(&self, ceiling: Version) -> Pending<'_, ()> {
        Box::pin(async move { Ok(self.lease.raise_ceiling(ceiling).await?) })
    }

    fn close(&self) -> Pending<'_, ()> {
        self.inner.close()
    }
}
