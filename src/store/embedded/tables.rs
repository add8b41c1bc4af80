//! The engine's handles, opened and checked.

use std::path::Path;

use fjall::{
    Database, Iter, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable,
    Snapshot,
};

use crate::store::StoreError;

use super::{
    EmbeddedOptions,
    folder::Folder,
    layout::{META, ROWS_END, ROWS_START},
    log,
    meta::Meta,
    options::MEMTABLE_BYTES,
    writer::rest,
};

const TREE: &str = "readstates";

/// The open database and its one tree. The folder is let go with the last clone.
#[derive(Clone)]
pub(super) struct Tables {
    // In this order they are dropped: the engine ends its threads with the last of both.
    tree: Keyspace,
    database: Database,
}

/// Everything as it was at one moment.
pub(super) struct View<'a> {
    tree: &'a Keyspace,
    snapshot: Snapshot,
}

impl Tables {
    pub(super) fn open(options: &EmbeddedOptions) -> Result<Self, StoreError> {
        let folder = Folder::prepare(&options.path)?;
        if folder.has_engine()? {
            log::mend(&folder.engine(), options.log_is_only_witness)?;
        } else {
            Self::make(&folder, options)?;
        }
        let tables = Self::open_engine(&folder.engine(), options)?;
        let is_made = folder.has_marker()?;
        if tables.meta()?.is_some() {
            return if is_made { Ok(tables) } else { folder.put_marker().map(|()| tables) };
        }
        if is_made || tables.view().has_rows() {
            return Err(StoreError::Corrupt(
                format!(
                    "{} has lost its meta row; put the data directory back from a backup",
                    options.path.display()
                )
                .into(),
            ));
        }
        // An engine that was made here, by whatever means, and never held anything of ours.
        drop(tables);
        folder.remove_engine()?;
        Self::open(options)
    }

    fn open_engine(path: &Path, options: &EmbeddedOptions) -> Result<Self, StoreError> {
        let database = Database::builder(path)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.journal_bytes())
            .worker_threads(options.merge_threads.max(1))
            .max_cached_files(Some(options.open_files_max.max(1)))
            .open()?;
        let create = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        Ok(Self { tree: database.keyspace(TREE, create)?, database })
    }

    /// Makes the engine's folder under another name and moves it into its place when it is whole:
    /// the engine does not take up its own creation where it was cut off, nor would our tree then
    /// have its number.
    fn make(folder: &Folder, options: &EmbeddedOptions) -> Result<(), StoreError> {
        folder.remove_unfinished_engine()?;
        let tables = Self::open_engine(&folder.unfinished_engine(), options)?;
        let mut batch = tables.batch(true);
        batch.insert(&tables.tree, META, Meta::default().with_id().encode());
        batch.commit()?;
        rest(&tables, options.persist_within)?;
        drop(tables);
        folder.put_engine()
    }

    pub(super) fn tree(&self) -> &Keyspace {
        &self.tree
    }

    pub(super) fn batch(&self, durable: bool) -> OwnedWriteBatch {
        let mode = if durable { PersistMode::SyncAll } else { PersistMode::Buffer };
        self.database.batch().durability(Some(mode))
    }

    /// Hands the engine's log to the disk. Fails where the engine has failed before.
    pub(super) fn sync(&self, mode: PersistMode) -> Result<(), StoreError> {
        Ok(self.database.persist(mode)?)
    }

    pub(super) fn view(&self) -> View<'_> {
        View { tree: &self.tree, snapshot: self.database.snapshot() }
    }

    pub(super) fn meta(&self) -> Result<Option<Meta>, StoreError> {
        self.view().find(&META)?.map(|row| Meta::decode(&row)).transpose()
    }
}

impl View<'_> {
    pub(super) fn find(&self, key: &[u8]) -> Result<Option<fjall::Slice>, StoreError> {
        Ok(self.snapshot.get(self.tree, key)?)
    }

    /// What lies from `from` on and below `to`, in order.
    pub(super) fn range(&self, from: &[u8], to: &[u8]) -> Iter {
        self.snapshot.range(self.tree, from..to)
    }

    fn has_rows(&self) -> bool {
        self.range(&ROWS_START, &ROWS_END).next().is_some()
    }
}
