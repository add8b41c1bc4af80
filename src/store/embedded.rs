//! The default store: an LSM tree on the local disk, by way of `fjall`, on threads of its own.
//!
//! ```text
//! callers --queue--> writer thread    commits, deletions, ceilings, persist: in order
//!         --queue--> reader threads   loads and scans, each on one snapshot
//! ```
//!
//! The engine may stall a write for as long as it likes, so no call of it is made on a thread of
//! the callers. Both queues are bounded; a caller whose queue is full waits for a place, which
//! holds it back as a slow disk does anyway, and may give up by dropping its future.

mod engine_error;
mod folder;
mod layout;
mod log;
mod meta;
mod options;
mod queue;
mod reader;
mod table_file;
mod tables;
mod version_file;
mod writer;

use tokio::sync::watch;

use crate::model::{Key, ReadState, UserId, Version};

use super::{
    Batch, CommitNumber, CommitReport, Pending, Row, Scanned, Store, StoreError, StoreIdentity,
    UserPage,
};
pub use options::EmbeddedOptions;
use queue::Queue;
use reader::Reader;
use tables::Tables;
use writer::Writer;

/// Jobs that wait for the writer thread at most. A commit is one job, whatever its rows.
const WRITES_QUEUED_MAX: usize = 64;
/// Jobs that wait for the reader threads at most.
const READS_QUEUED_MAX: usize = 1_024;

/// Keeps rows in a folder of the local disk.
///
/// Where a write fails for a reason of the disk it takes no more until it is reopened, and may then
/// be found to have the rows of that write after all: whole, and none that was not asked for.
///
/// Dropped without being closed it ends its threads too, behind the scenes and once all that is
/// queued is done; only then can the folder be opened again.
pub struct EmbeddedStore {
    writes: Queue<Writer>,
    reads: Queue<Reader>,
    /// Closed once no thread is left, and the folder with them.
    threads: watch::Sender<()>,
}

impl EmbeddedStore {
    /// Opens the folder, or makes it, and starts the threads. Blocks until the store can be used.
    ///
    /// # Errors
    /// Where another process has it, a newer release wrote it, it is damaged or no folder of this
    /// store, or the disk fails.
    pub fn open(options: &EmbeddedOptions) -> Result<Self, StoreError> {
        let tables = Tables::open(options)?;
        let reader = Reader::new(tables.clone());
        let writer = Writer::open(tables, options.persist_within)?;
        let (threads, alive) = watch::channel(());
        let writes = Queue::start("store-writer", WRITES_QUEUED_MAX, vec![writer], &alive)?;
        let readers = vec![reader; options.reader_threads.max(1)];
        let reads = Queue::start("store-reader", READS_QUEUED_MAX, readers, &alive)?;
        Ok(Self { writes, reads, threads })
    }
}

impl Store for EmbeddedStore {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn load(&self, key: Key) -> Pending<'_, Option<ReadState>> {
        self.reads.ask(move |reader| reader.load(&key))
    }

    fn load_many(&self, keys: Vec<Key>) -> Pending<'_, Vec<Option<ReadState>>> {
        self.reads.ask(move |reader| reader.load_many(&keys))
    }

    fn load_user(&self, user: UserId, after: Option<Key>, limit: usize) -> Pending<'_, UserPage> {
        self.reads.ask(move |reader| reader.load_user(user, after, limit))
    }

    fn commit(&self, batch: Batch) -> Pending<'_, CommitReport> {
        self.writes.ask(move |writer| writer.commit(&batch))
    }

    fn persist(&self) -> Pending<'_, CommitNumber> {
        self.writes.ask(Writer::persist)
    }

    fn delete_user(&self, user: UserId, version: Version) -> Pending<'_, ()> {
        self.writes.ask(move |writer| writer.delete_user(user, version))
    }

    fn scan(&self, after: Option<Key>, limit: usize) -> Pending<'_, Vec<Row>> {
        self.reads.ask(move |reader| reader.scan(after, limit))
    }

    fn scan_past_damage(&self, after: Option<Key>, limit: usize) -> Pending<'_, Scanned> {
        self.reads.ask(move |reader| reader.scan_past_damage(after, limit))
    }

    fn expire(&self, before: Version, limit: usize) -> Pending<'_, usize> {
        self.writes.ask(move |writer| writer.expire(before, limit))
    }

    fn forget_before(&self, version: Version) -> Pending<'_, ()> {
        self.writes.ask(move |writer| writer.forget_before(version))
    }

    fn identity(&self) -> Pending<'_, StoreIdentity> {
        self.writes.ask(|writer| Ok(writer.identity()))
    }

    fn clock_ceiling(&self) -> Pending<'_, Version> {
        self.writes.ask(|writer| Ok(writer.clock_ceiling()))
    }

    fn raise_clock_ceiling(&self, ceiling: Version) -> Pending<'_, ()> {
        self.writes.ask(move |writer| writer.raise_clock_ceiling(ceiling))
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let synced = self.writes.ask_last(Writer::sync).await;
            self.reads.close();
            self.threads.closed().await;
            match synced {
                Err(StoreError::Closed) => Ok(()),
                synced => synced,
            }
        })
    }
}
