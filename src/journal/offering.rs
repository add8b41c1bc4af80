//! What a journal has goes to who owns the keyspace now, who merges it: its service was deposed
//! before it was flushed. The journal is done with then.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::sleep,
};
use tracing::warn;

use super::{JournalError, OfferChunk, Recovery};
use crate::{
    metrics::OfferMetrics,
    store::{Cluster, OfferPlace, OfferTable as _, Store as _, StoreError},
};

/// What the database did not take is tried again after this.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Chunks in memory that wait for the database.
const CHUNKS_MAX: usize = 1;

/// What was offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfferCount {
    /// States, each as it was last.
    pub states: u64,
    /// Deletions of users.
    pub deletions: u64,
}

/// A journal could not be offered, and is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The journal cannot be read, or belongs to another store.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The database does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told to stop.
    #[error("told to stop before all of the journal was offered")]
    Stopped,
    /// The thread that read the journal ended.
    #[error("the journal could not be read to its end: {0}")]
    Reader(#[from] tokio::task::JoinError),
}

/// Offers journals to the owner of a keyspace.
pub struct Offering {
    cluster: Cluster,
    /// Without it, the first error of the database is the end.
    patience: Option<Patience>,
}

struct Patience {
    stop: watch::Receiver<bool>,
    metrics: OfferMetrics,
}

impl Offering {
    /// Offers to the owner of the keyspace that `cluster` is connected to.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, patience: None }
    }

    /// As [`Self::new`]; where the database does not answer it is asked again, until `stop`.
    pub fn until(cluster: Cluster, metrics: OfferMetrics, stop: watch::Receiver<bool>) -> Self {
        Self { cluster, patience: Some(Patience { stop, metrics }) }
    }

    /// Offers everything that `recovery` has and removes that journal. Where it ends before that,
    /// the journal is as it was, and all of it may be offered again: what the owner finds twice
    /// does no harm.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub async fn offer(&self, mut recovery: Recovery) -> Result<OfferCount, OfferError> {
        let identity = self.answer(async || self.cluster.store(0).await?.identity().await).await?;
        recovery.check_store(identity)?;
        let (chunks, mut given) = mpsc::channel(CHUNKS_MAX);
        let reading = spawn_blocking(move || {
            let read = recovery.offer(&mut |chunk| {
                // Fails where nobody puts them any more.
                chunks.blocking_send(chunk).map_err(|_| OfferError::Stopped)
            });
            (recovery, read)
        });
        let put = self.put_all(&mut given).await;
        drop(given);
        let (recovery, read) = reading.await?;
        let count = put?;
        read?;
        spawn_blocking(move || recovery.retire()).await??;
        Ok(count)
    }

    async fn put_all(
        &self,
        given: &mut mpsc::Receiver<OfferChunk>,
    ) -> Result<OfferCount, OfferError> {
        let mut count = OfferCount::default();
        // Fits a signed column.
        let offer = rand::random_range(1..=i64::MAX.unsigned_abs());
        let mut place = OfferPlace { offer, chunk: 0 };
        while let Some(chunk) = given.recv().await {
            let stop = self.patience.as_ref().map(|patience| &patience.stop);
            if stop.is_some_and(|stop| *stop.borrow()) {
                return Err(OfferError::Stopped);
            }
            let bytes = chunk.encode();
            self.answer(|| self.cluster.put(place, bytes.clone())).await?;
            place.chunk += 1;
            if let Some(Patience { metrics, .. }) = &self.patience {
                metrics.offered.inc_by(chunk.records());
            }
            count.states += chunk.states.len() as u64;
            count.deletions += chunk.deletions.len() as u64;
        }
        Ok(count)
    }

    /// What the database says, asked until it answers where that is wanted.
    async fn answer<T>(
        &self,
        ask: impl AsyncFn() -> Result<T, StoreError>,
    ) -> Result<T, OfferError> {
        let mut told = false;
        loop {
            let error = match ask().await {
                Err(error @ (StoreError::Unavailable(_) | StoreError::Io(_))) => error,
                answered => return Ok(answered?),
            };
            let Some(Patience { stop, metrics }) = &self.patience else { return Err(error.into()) };
            metrics.failures.inc();
            if !std::mem::replace(&mut told, true) {
                warn!(%error, "the journal could not be offered; trying again");
            }
            let mut stop = stop.clone();
            tokio::select! {
                // Also where nobody is left who could say so.
                _ = stop.wait_for(|stop| *stop) => return Err(OfferError::Stopped),
                () = sleep(TRY_AGAIN_AFTER) => {}
            }
        }
    }
}
