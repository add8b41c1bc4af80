//! The flusher's upkeep of the journal: it lets go what the store has, and writes down anew what
//! would otherwise keep too much of it.

use std::time::Instant;

use tracing::warn;

use super::{
    Flusher, PassEnd,
    journaled::{Journaled, JournaledError, ended},
};
use crate::metrics::StoreOperation;

/// A commit, a deletion or a persist that takes longer hangs.
pub const WRITE_HANGS_AFTER_MS: u64 = 10_000;

impl Flusher {
    /// Looks at the write that the store is at, while another task waits for it: shows how long it
    /// has taken and, where it hangs, tells so once and keeps the journal short without it.
    pub async fn watch_write(&self, told: &mut bool) {
        let age_ms = self.under_way.age_ms(self.clock.elapsed_ms());
        let seconds = age_ms.unwrap_or_default() / 1_000;
        self.metrics.flush.write_seconds.set(seconds as i64);
        if age_ms.is_none_or(|age_ms| age_ms < WRITE_HANGS_AFTER_MS) {
            *told = false;
            return;
        }
        if !std::mem::replace(told, true) {
            warn!(seconds, "a write of the store hangs; changes wait in memory and in the journal");
        }
        self.shorten_journal().await;
    }

    /// While this is held no checkpoint is made.
    pub(super) async fn settling(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match &self.journaled {
            Some(journaled) => Some(journaled.settling().await),
            None => None,
        }
    }

    /// While the records of the journal come back into the cache it lets nothing go: what is still
    /// to come is in no dirty state yet.
    pub fn set_replaying(&self, replaying: bool) {
        self.journaled.iter().for_each(|journaled| journaled.set_replaying(replaying));
    }

    /// Makes the store persist what it confirmed, if that is due, and lets the journal go that far.
    /// Where the journal stays longer than it may be all the same, writes down anew what it is
    /// still needed for.
    pub async fn tend_journal(&self) -> PassEnd {
        let Some(journaled) = &self.journaled else { return PassEnd::Done };
        let now_ms = self.clock.elapsed_ms();
        let crowded = journaled.wants_checkpoint();
        let mut end = PassEnd::Done;
        if crowded || journaled.is_due(now_ms, self.settings.persist_after_ms) {
            end = self.persist().await;
        }
        if crowded && journaled.wants_checkpoint() {
            end = end.max(self.checkpoint().await);
        }
        end
    }

    /// As [`Self::tend_journal`], while the store fails or hangs: it is not asked for anything.
    pub async fn shorten_journal(&self) {
        if self.journaled.as_ref().is_some_and(Journaled::wants_checkpoint) {
            self.checkpoint().await;
        }
    }

    /// Makes the store persist everything that it confirmed, and lets the journal go that far.
    pub async fn persist(&self) -> PassEnd {
        let Some(journaled) = &self.journaled else { return PassEnd::Done };
        let started = Instant::now();
        let write = self.under_way.begin(self.clock.elapsed_ms());
        let persisted = journaled.persist(&self.cache, self.store.as_ref()).await;
        drop(write);
        let error_kind = match &persisted {
            Err(JournaledError::Store(error)) => Some(error.kind()),
            _ => None,
        };
        self.metrics.store.record(StoreOperation::Persist, started.elapsed(), error_kind);
        ended(persisted, "the journal keeps what the store has not persisted")
    }

    /// Writes down anew what old records are needed for, and lets those go.
    pub async fn checkpoint(&self) -> PassEnd {
        ended(self.try_checkpoint().await, "the journal stays as long as it is")
    }

    /// As [`Self::checkpoint`], for who wants to know what is in the way.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn try_checkpoint(&self) -> Result<(), JournaledError> {
        match &self.journaled {
            Some(journaled) => journaled.checkpoint(&self.cache).await,
            None => Ok(()),
        }
    }
}
