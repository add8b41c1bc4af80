//! What a journal has goes to who owns the keyspace now, who merges it: its service was deposed
//! before it was flushed. The journal is done with then.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{JournalError, OfferChunk, Recovery};
use crate::{
    metrics::OfferMetrics,
    store::{Cluster, OfferPlace, OfferTable, Store as _, StoreError},
};

/// What the database did not take is tried again after this.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Taking back an offer that was given up may take so long: somebody waits for the end.
const TAKE_BACK_WITHIN: Duration = Duration::from_secs(5);
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
    hand: Hand,
}

/// Puts chunks into the table.
struct Hand {
    table: Arc<dyn OfferTable>,
    /// Without it, the first error of the database is the end.
    patience: Option<Patience>,
}

/// Chunks of one offer that are in the table, or may be.
struct Put {
    offer: u64,
    tried: u32,
}

struct Patience {
    stop: watch::Receiver<bool>,
    metrics: OfferMetrics,
}

impl Offering {
    /// Offers to the owner of the keyspace that `cluster` is connected to.
    pub fn new(cluster: Cluster) -> Self {
        let hand = Hand { table: Arc::new(cluster.clone()), patience: None };
        Self { cluster, hand }
    }

    /// As [`Self::new`]; where the database does not answer it is asked again, until `stop`.
    pub fn until(cluster: Cluster, metrics: OfferMetrics, stop: watch::Receiver<bool>) -> Self {
        let mut offering = Self::new(cluster);
        offering.hand.patience = Some(Patience { stop, metrics });
        offering
    }

    /// Offers everything that `recovery` has and removes that journal. Where it ends before that,
    /// the journal is as it was, and what was offered of it is taken back as far as the database
    /// lets it: when the journal comes back the owner may have changed what he had merged of it.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub async fn offer(&self, mut recovery: Recovery) -> Result<OfferCount, OfferError> {
        let ask = async || self.cluster.store(0).await?.identity().await;
        let identity = self.hand.answer(ask).await?;
        recovery.check_store(identity)?;
        let (chunks, mut given) = mpsc::channel(CHUNKS_MAX);
        let reading = spawn_blocking(move || {
            let read = recovery.offer(&mut |chunk| {
                // Fails where nobody puts them any more.
                chunks.blocking_send(chunk).map_err(|_| OfferError::Stopped)
            });
            (recovery, read)
        });
        // Fits a signed column.
        let offer = rand::random_range(1..=i64::MAX.unsigned_abs());
        let mut put = Put { offer, tried: 0 };
        let all_put = self.hand.put_all(&mut given, &mut put).await;
        drop(given);
        let (recovery, read) = reading.await?;
        match all_put.and_then(|count| read.map(|()| count)) {
            Ok(count) => {
                spawn_blocking(move || recovery.retire()).await??;
                Ok(count)
            }
            Err(error) => {
                self.hand.take_back(put).await;
                Err(error)
            }
        }
    }
}

impl Hand {
    async fn put_all(
        &self,
        given: &mut mpsc::Receiver<OfferChunk>,
        put: &mut Put,
    ) -> Result<OfferCount, OfferError> {
        let mut count = OfferCount::default();
        while let Some(chunk) = given.recv().await {
            let stop = self.patience.as_ref().map(|patience| &patience.stop);
            if stop.is_some_and(|stop| *stop.borrow()) {
                return Err(OfferError::Stopped);
            }
            let place = OfferPlace { offer: put.offer, chunk: put.tried };
            put.tried += 1;
            let bytes = chunk.encode();
            self.answer(|| self.table.put(place, bytes.clone())).await?;
            if let Some(Patience { metrics, .. }) = &self.patience {
                metrics.offered.inc_by(chunk.records());
            }
            count.states += chunk.states.len() as u64;
            count.deletions += chunk.deletions.len() as u64;
        }
        Ok(count)
    }

    /// A put that is under way yet comes to nothing: the removal is the newer one.
    async fn take_back(&self, Put { offer, tried }: Put) {
        let removing = async {
            for chunk in 0..tried {
                self.table.remove(OfferPlace { offer, chunk }).await?;
            }
            Ok::<_, StoreError>(())
        };
        let failed = match timeout(TAKE_BACK_WITHIN, removing).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not done within {TAKE_BACK_WITHIN:?}"),
        };
        warn!(offer, failed, "some of an offer that was given up stays with the owner");
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use parking_lot::Mutex;

    use super::*;
    use crate::{
        metrics::Metrics,
        store::{Offered, Pending},
    };

    /// Does what it is asked, and says that it did not for what is `unsure`.
    #[derive(Default)]
    struct Table {
        places: Mutex<BTreeSet<OfferPlace>>,
        unsure: Option<u32>,
        stop: watch::Sender<bool>,
    }

    impl OfferTable for Table {
        fn put(&self, place: OfferPlace, _: Vec<u8>) -> Pending<'_, ()> {
            self.places.lock().insert(place);
            let unsure = self.unsure == Some(place.chunk);
            self.stop.send_replace(unsure);
            let away = || StoreError::Unavailable("a test says so".to_owned());
            Box::pin(async move { if unsure { Err(away()) } else { Ok(()) } })
        }

        fn next(&self, _: Option<OfferPlace>) -> Pending<'_, Option<Offered>> {
            Box::pin(async { Ok(None) })
        }

        fn remove(&self, place: OfferPlace) -> Pending<'_, ()> {
            self.places.lock().remove(&place);
            Box::pin(async { Ok(()) })
        }
    }

    #[tokio::test]
    async fn what_was_put_of_an_offer_that_is_given_up_is_taken_back() {
        for unsure in [None, Some(2)] {
            let table = Arc::new(Table { unsure, ..Table::default() });
            let other = OfferPlace { offer: 9, chunk: 0 };
            table.put(other, Vec::new()).await.ok();
            let metrics = Metrics::new().expect("names are valid").offers;
            let patience = Some(Patience { stop: table.stop.subscribe(), metrics });
            let hand = Hand { table: Arc::clone(&table) as _, patience };
            let (chunks, mut given) = mpsc::channel(4);
            for _ in 0..4 {
                chunks.send(OfferChunk::default()).await.expect("there is room");
            }
            drop(chunks);
            let mut put = Put { offer: 5, tried: 0 };
            let all_put = hand.put_all(&mut given, &mut put).await;
            match unsure {
                None => assert_eq!(all_put.expect("it is put"), OfferCount::default()),
                Some(_) => assert!(matches!(all_put, Err(OfferError::Stopped))),
            }
            assert_eq!(table.places.lock().len(), if unsure.is_some() { 4 } else { 5 });
            hand.take_back(put).await;
            assert_eq!(*table.places.lock(), BTreeSet::from([other]));
        }
    }
}
