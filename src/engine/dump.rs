//! `Dump`: all that the store has, behind a line drawn through the versions.

use super::{Engine, Error};
use crate::{
    metrics::StoreOperation,
    model::{Key, ReadState, Version},
    store::Scanned,
};

/// Rows read from the store in one step of a dump.
pub const DUMP_STEP_ROWS: usize = 500;

impl Engine {
    /// Draws the line: every change made before has the version returned or an older one, and is
    /// in the store by the time this returns, unless a newer one of its key is. No writer waits.
    ///
    /// What is in the store is durable (I8), so rows read from there may be shown as they are.
    ///
    /// # Errors
    /// [`Error::NotDurable`] where the store did not take what was dirty.
    pub async fn cut(&self) -> Result<Version, Error> {
        let version = self.cache.cut();
        self.flushed().await?;
        Ok(version)
    }

    /// Takes up a dump that broke off, of the line `version`: as [`Self::cut`], every change made
    /// before is in the store by the time this returns. That they were when the line was drawn says
    /// nothing of a restart since, behind which they may be in memory again.
    ///
    /// # Errors
    /// [`Error::UnknownLine`] where no version here is as new; else as [`Self::cut`].
    pub async fn go_on(&self, version: Version) -> Result<(), Error> {
        if version > self.cache.newest_version() {
            return Err(Error::UnknownLine);
        }
        self.flushed().await
    }

    /// What the store has of the next [`DUMP_STEP_ROWS`] keys above `after`, in order, tombstones
    /// included.
    ///
    /// # Errors
    /// That the store did not answer.
    pub async fn stored_after(&self, after: Option<Key>) -> Result<Stored, Error> {
        let scan = self.store.scan_past_damage(after, DUMP_STEP_ROWS);
        let Scanned { rows, damaged } = self.ask(StoreOperation::Scan, scan).await?;
        let last = rows.last().map(|row| row.key).max(damaged.last().map(|(key, _)| *key));
        Ok(Stored {
            is_end: rows.len() + damaged.len() < DUMP_STEP_ROWS,
            last: last.or(after),
            rows: rows.into_iter().map(|row| (row.key, row.state)).collect(),
            damaged: damaged.into_iter().map(|(key, damage)| (key, damage.into())).collect(),
        })
    }
}

/// A step through all rows.
#[derive(Debug)]
pub struct Stored {
    /// In key order.
    pub rows: Vec<(Key, ReadState)>,
    /// The keys of rows between them that are damaged, in order, with an error that says how.
    pub damaged: Vec<(Key, Error)>,
    /// The next step begins behind this.
    pub last: Option<Key>,
    /// Whether there is no next step.
    pub is_end: bool,
}
