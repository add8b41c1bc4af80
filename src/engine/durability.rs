//! What an acknowledgement means, and the wait for it: nothing is shown that a crash can take back
//! (I8), as far as the durability promises.

use super::{Concluded, Engine, Error};
use crate::{
    journal::{Journal, Reservation},
    model::{Key, Sequence},
};

/// What an acknowledgement means.
#[derive(Clone)]
pub enum Durability {
    /// The change is in memory; the store has it within the flush delay.
    Memory,
    /// The change is in the journal, on disk.
    Journal(Journal),
    /// The store has committed the change.
    Store,
}

impl Durability {
    pub(super) fn is_journal(&self) -> bool {
        matches!(self, Self::Journal(_))
    }

    /// How many records there is ever room for at once.
    pub(super) fn records_max(&self) -> usize {
        match self {
            Self::Journal(journal) => journal.records_max(),
            Self::Memory | Self::Store => usize::MAX,
        }
    }

    /// Keeps room for that many records. To be asked for before a shard is locked (I1), and kept
    /// until the change is made.
    ///
    /// # Errors
    /// That the journal takes no more.
    pub(super) async fn room(&self, records: usize) -> Result<Option<Reservation>, Error> {
        match self {
            Self::Journal(journal) if records > 0 => match journal.try_reserve(records) {
                Some(room) => Ok(Some(room)),
                None => Ok(Some(Box::pin(journal.reserve(records)).await?)),
            },
            _ => Ok(None),
        }
    }
}

impl Engine {
    /// Shows what was concluded for `key` once a crash cannot take it back.
    pub(super) async fn when_durable<T>(
        &self,
        key: Key,
        concluded: Concluded<T>,
    ) -> Result<T, Error> {
        if let Some(record) = concluded.unflushed {
            let secured = self.secured(record).await;
            self.confirmed(&key, secured)?;
        }
        concluded.result
    }

    /// Returns once a crash cannot take back what was made until `record`.
    pub(super) async fn secured(&self, record: Sequence) -> Result<(), Error> {
        match &self.settings.durability {
            Durability::Memory => Ok(()),
            Durability::Journal(journal) => Ok(journal.reached(record).await?),
            Durability::Store => Box::pin(self.flushed()).await,
        }
    }

    /// What a failure means for `key`: nothing, where it is others that were not written.
    pub(super) fn confirmed(&self, key: &Key, secured: Result<(), Error>) -> Result<(), Error> {
        secured.or_else(|error| match self.settings.durability {
            Durability::Store if self.cache.is_flushed(key) => Ok(()),
            _ => Err(error),
        })
    }

    /// Returns once the store has what is dirty now.
    ///
    /// # Errors
    /// That it did not take it.
    pub async fn flushed(&self) -> Result<(), Error> {
        self.rounds.flushed().await.map_err(|_| Error::NotDurable)
    }
}
