//! The store for more than one machine: Apache Cassandra or ScyllaDB, by way of their driver.
//!
//! ```text
//! read_states  ((user_id), type, channel_id)   one partition a user: a load, a page, a batch
//! tombstones   ((hour), version, ...)          what expires, oldest first
//! meta         one row                         which store this is, how much was written to it
//! lease        one row                         who may write (lightweight transactions only)
//! offers       one partition                   what deposed owners had not flushed, in chunks
//! ```
//!
//! Every write carries the version of what it writes as its timestamp. So writes may be repeated
//! and may come late and in any order: in every cell the newest version stays. What takes part in
//! one commit is written user by user, and seen as a whole by those who read one user.

mod books;
mod columns;
mod failure;
mod lease;
mod number;
mod offers;
mod options;
mod reader;
mod requests;
mod roll;
mod schema;
mod session;
mod statements;
mod tombstones;
mod writer;

use std::sync::Arc;

use tokio::sync::RwLock;

use crate::model::{Key, ReadState, UserId, Version};

use super::{
    Batch, CommitNumber, CommitReport, LeaseRow, LeaseTable, OfferPlace, OfferTable, Offered,
    Pending, Row, Store, StoreError, StoreIdentity, Swap, UserPage,
};
use books::Books;
pub use options::{CassandraOptions, TlsFiles};
use requests::Requests;
use roll::Roll;
pub use schema::{Replication, schema};
use session::DriverRuntime;

/// A connected cluster with everything prepared. Clones share it.
#[derive(Clone)]
pub struct Cluster {
    requests: Arc<Requests>,
    runtime: Arc<DriverRuntime>,
}

impl Cluster {
    /// Connects, and checks that the schema is there.
    ///
    /// # Errors
    /// That no node answers, or that the keyspace is not as it should be, and what to do.
    pub async fn connect(options: CassandraOptions) -> Result<Self, StoreError> {
        let connected = session::connect(&options).await?;
        let session = connected.session;
        let prepared = connected.runtime.run(async move {
            schema::check(&session, &options.keyspace).await?;
            Requests::prepare(session, options).await
        });
        let requests = Arc::new(prepared.await?);
        Ok(Self { requests, runtime: Arc::new(connected.runtime) })
    }

    /// Makes keyspace and tables where they are not there; what is there stays as it is.
    ///
    /// # Errors
    /// That no node answers, or that it refuses.
    pub async fn apply_schema(
        options: &CassandraOptions,
        replication: Replication,
    ) -> Result<(), StoreError> {
        let connected = session::connect(options).await?;
        let (session, keyspace) = (connected.session, options.keyspace.clone());
        let applied = async move { schema::apply(&session, &keyspace, &replication).await };
        connected.runtime.run(applied).await
    }

    /// The store in this keyspace. Nobody else may write to it: this is the owner of that `epoch`,
    /// or of 0 where there is no lease.
    ///
    /// # Errors
    /// That it is of a newer release, or does not answer.
    pub async fn store(&self, epoch: u64) -> Result<CassandraStore, StoreError> {
        let requests = Arc::clone(&self.requests);
        let opened = async move { Books::open(&requests, epoch).await };
        let books = Arc::new(self.runtime.run(opened).await?);
        Ok(CassandraStore {
            cluster: self.clone(),
            books,
            roll: Arc::default(),
            closed: Arc::default(),
        })
    }

    /// Runs `work` to its end on the driver's threads, whoever waits for it.
    fn ask<T: Send + 'static, F>(
        &self,
        work: impl FnOnce(Arc<Requests>) -> F + Send + 'static,
    ) -> Pending<'_, T>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        Box::pin(self.runtime.run(work(Arc::clone(&self.requests))))
    }
}

impl LeaseTable for Cluster {
    fn read(&self) -> Pending<'_, Option<LeaseRow>> {
        self.ask(|requests| async move { lease::read(&requests).await })
    }

    fn swap(&self, seen: Option<LeaseRow>, new: LeaseRow) -> Pending<'_, Swap> {
        self.ask(|requests| async move { lease::swap(&requests, seen, new).await })
    }
}

impl OfferTable for Cluster {
    fn put(&self, place: OfferPlace, bytes: Vec<u8>) -> Pending<'_, ()> {
        self.ask(move |requests| async move { offers::put(&requests, place, bytes).await })
    }

    fn next(&self, after: Option<OfferPlace>) -> Pending<'_, Option<Offered>> {
        self.ask(move |requests| async move { offers::next(&requests, after).await })
    }

    fn remove(&self, place: OfferPlace) -> Pending<'_, ()> {
        self.ask(move |requests| async move { offers::remove(&requests, place).await })
    }
}

/// Keeps rows in a keyspace of a cluster.
///
/// A commit is not one write but one for each user, or some: where the outcome of one is unknown
/// the report names its keys, and they are written again, which does no harm.
pub struct CassandraStore {
    cluster: Cluster,
    books: Arc<Books>,
    roll: Arc<Roll>,
    /// Whether it is closed. Whatever is under way holds it for reading.
    closed: Arc<RwLock<bool>>,
}

impl CassandraStore {
    /// As [`Cluster::ask`], until the store is closed; what was begun before that is done.
    fn ask<T: Send + 'static, F>(
        &self,
        work: impl FnOnce(Arc<Requests>, Arc<Books>) -> F + Send + 'static,
    ) -> Pending<'_, T>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        Box::pin(async move {
            let open = Arc::clone(&self.closed).read_owned().await;
            if *open {
                return Err(StoreError::Closed);
            }
            let work = work(Arc::clone(&self.cluster.requests), Arc::clone(&self.books));
            let work = async move {
                let done = work.await;
                drop(open);
                done
            };
            self.cluster.runtime.run(work).await
        })
    }
}

impl Store for CassandraStore {
    fn name(&self) -> &'static str {
        "cassandra"
    }

    fn load(&self, key: Key) -> Pending<'_, Option<ReadState>> {
        self.ask(move |requests, _| async move { reader::load(&requests, &key).await })
    }

    fn load_many(&self, keys: Vec<Key>) -> Pending<'_, Vec<Option<ReadState>>> {
        self.ask(move |requests, _| async move { reader::load_many(&requests, &keys).await })
    }

    fn load_user(&self, user: UserId, after: Option<Key>, limit: usize) -> Pending<'_, UserPage> {
        self.ask(move |requests, books| async move {
            let page = reader::load_user(&requests, user, after, limit).await?;
            // Looked at behind the rows: what has expired meanwhile is told.
            Ok(UserPage { expired_before: books.expired_before(), ..page })
        })
    }

    fn commit(&self, batch: Batch) -> Pending<'_, CommitReport> {
        self.ask(
            move |requests, books| async move { writer::commit(&requests, &books, batch).await },
        )
    }

    /// What a commit confirmed rests with as many replicas as were asked for; how safe it is there
    /// is theirs to say.
    fn persist(&self) -> Pending<'_, CommitNumber> {
        self.ask(move |_, books| async move { Ok(books.commits().await) })
    }

    fn delete_user(&self, user: UserId, version: Version) -> Pending<'_, ()> {
        self.ask(move |requests, books| async move {
            writer::delete_user(&requests, user, version).await?;
            books.count(&requests, crate::model::Sequence::ZERO).await
        })
    }

    fn scan(&self, after: Option<Key>, limit: usize) -> Pending<'_, Vec<Row>> {
        let roll = Arc::clone(&self.roll);
        self.ask(
            move |requests, _| async move { reader::scan(&requests, &roll, after, limit).await },
        )
    }

    fn expire(&self, before: Version, limit: usize) -> Pending<'_, usize> {
        self.ask(move |requests, books| async move {
            tombstones::expire(&requests, before, limit, &books).await
        })
    }

    fn forget_before(&self, version: Version) -> Pending<'_, ()> {
        self.ask(
            move |requests, books| async move { books.forget_before(&requests, version).await },
        )
    }

    fn identity(&self) -> Pending<'_, StoreIdentity> {
        self.ask(move |_, books| async move { Ok(books.identity().await) })
    }

    fn clock_ceiling(&self) -> Pending<'_, Version> {
        self.ask(move |requests, _| async move { books::clock_ceiling(&requests).await })
    }

    fn raise_clock_ceiling(&self, ceiling: Version) -> Pending<'_, ()> {
        self.ask(move |requests, _| async move { books::raise_ceiling(&requests, ceiling).await })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            *self.closed.write().await = true;
            Ok(())
        })
    }
}
