//! Where states rest: whole rows by key, written in batches, read by key, by user or in order.

mod cassandra;
pub mod codec;
mod embedded;
mod error;
mod fault;
pub mod lasting;
mod lease_table;
mod memory;
mod offer_table;
mod row;
mod user_bounds;

use std::{future::Future, pin::Pin};

pub use cassandra::{CassandraOptions, CassandraStore, Cluster, Replication, TlsFiles, schema};
pub use embedded::{EmbeddedOptions, EmbeddedStore};
pub use error::{Damage, StoreError};
pub use fault::{Call, FaultStore, Faults, Gate, Moment, Tally};
#[cfg(test)]
pub(crate) use lease_table::OneRow;
pub use lease_table::{LeaseRow, LeaseTable, Swap};
pub use memory::MemoryStore;
pub use offer_table::{OfferPlace, OfferTable, Offered};
pub use row::{CommitReport, Row, Scanned, UserPage};

use crate::model::{Key, ReadState, Sequence, UserId, Version};

/// A future of a store: one allocation per miss, none per hit.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Counts what was written to an embedded store; rises with every commit, over restarts (I11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitNumber(pub u64);

/// Which store this is, and how much was written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreIdentity {
    /// Drawn at random when the store was made; never 0.
    pub id: u64,
    /// What was written to it so far, as [`Store::persist`] counts.
    pub commits: CommitNumber,
    /// As the last commit said in [`Batch::upto`], where nothing else was written since.
    pub upto: Option<Sequence>,
}

/// Rows to be written together.
#[derive(Debug, Default)]
pub struct Batch {
    /// At most one row per key. A state that is deleted is a tombstone and is kept as a row.
    pub rows: Vec<Row>,
    /// Return only once the rows would survive a power cut.
    pub durable: bool,
    /// No row is of a later record of the journal than this, where there is one. A store that
    /// remembers it tells a journal that is an older copy.
    pub upto: Option<Sequence>,
}

/// A place where states rest.
///
/// A key is in at most one commit at a time and its versions rise from commit to commit; the cache
/// above keeps that (I12), a store need not check it. Reads see every commit that was confirmed.
/// Futures may be dropped: a commit that was begun then still ends, one way or the other.
pub trait Store: Send + Sync + 'static {
    /// What it is called in settings and metrics.
    fn name(&self) -> &'static str;

    /// Whether others write to it before and after this process. What they wrote may be newer than
    /// anything that is known here, and its ceiling of versions binds all.
    fn is_shared(&self) -> bool {
        false
    }

    /// The state of `key`, a tombstone included; `None` where there is no row.
    fn load(&self, key: Key) -> Pending<'_, Option<ReadState>>;

    /// As [`Store::load`] for each key, in their order.
    fn load_many(&self, keys: Vec<Key>) -> Pending<'_, Vec<Option<ReadState>>>;

    /// Up to `limit` rows of `user` with keys above `after`, in key order, tombstones included,
    /// and the version at which the user was last deleted as a whole.
    fn load_user(&self, user: UserId, after: Option<Key>, limit: usize) -> Pending<'_, UserPage>;

    /// Writes rows. `Err` means that none was written; a report names those that were not. While
    /// the outcome is unknown the future does not end (I12); but where a late write of an older
    /// version can do no harm, it may end with an error, or name the rows as failed.
    fn commit(&self, batch: Batch) -> Pending<'_, CommitReport>;

    /// Returns once every commit confirmed before the call rests in the store's own files, without
    /// help of its log, and survives a power cut.
    fn persist(&self) -> Pending<'_, CommitNumber>;

    /// Removes the rows of `user` up to and including `version` and leaves a mark with it, unless
    /// there is one with a later. It survives a power cut. After an error a part may be gone, and
    /// if so the mark is there.
    fn delete_user(&self, user: UserId, version: Version) -> Pending<'_, ()>;

    /// Up to `limit` rows of all users with keys above `after`, in key order, tombstones included.
    fn scan(&self, after: Option<Key>, limit: usize) -> Pending<'_, Vec<Row>>;

    /// As [`Store::scan`], but a damaged row does not fail it: it is told beside the others, and
    /// counts as one.
    fn scan_past_damage(&self, after: Option<Key>, limit: usize) -> Pending<'_, Scanned> {
        let rows = self.scan(after, limit);
        Box::pin(async { Ok(Scanned { rows: rows.await?, damaged: Vec::new() }) })
    }

    /// Removes up to `limit` tombstones and marks of deleted users older than `before`; how many
    /// it removed. One that was replaced by a newer row in the meantime stays; one that was written
    /// after an expiry had gone beyond its version may stay until its key is written again.
    fn expire(&self, before: Version, limit: usize) -> Pending<'_, usize>;

    /// Says that no delta from before `version` is to be trusted, as after an expiry: from now on
    /// [`UserPage::expired_before`] is at least that. It survives a power cut.
    fn forget_before(&self, version: Version) -> Pending<'_, ()>;

    /// Which store this is, and how much was written to it: one that lost writes counts less than
    /// [`Store::persist`] has answered.
    fn identity(&self) -> Pending<'_, StoreIdentity>;

    /// The version that no version given out before may exceed; 0 in a new store.
    fn clock_ceiling(&self) -> Pending<'_, Version>;

    /// Raises the ceiling, durably before it returns. A lower one changes nothing.
    fn raise_clock_ceiling(&self, ceiling: Version) -> Pending<'_, ()>;

    /// Ends the store's threads once everything begun is done. Later calls fail with
    /// [`StoreError::Closed`], but closing again changes nothing.
    fn close(&self) -> Pending<'_, ()>;
}
