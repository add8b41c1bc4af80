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

/// A journal could not be offered. It is as it was, but for [`OfferError::Unfinished`].
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The journal cannot be read, or belongs to another store.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The database does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// All of it was offered, and it could not be removed: whether it still counts is not known.
    #[error(
        "the owner has all of the journal, which could not be removed; look at it with `readstates \
         journal inspect`, and remove its directory where it has records yet: {0}"
    )]
    Unfinished(JournalError),
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

/// Takes one chunk.
type Each<'a> = dyn FnMut(OfferChunk) -> Result<(), OfferError> + 'a;

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
    /// Where it is not known whether the journal still counts, what was offered stays: better
    /// merged twice than never.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub async fn offer(&self, mut recovery: Recovery) -> Result<OfferCount, OfferError> {
        let ask = async || self.cluster.store(0).await?.identity().await;
        let identity = self.hand.answer(ask).await?;
        recovery.check_store(identity)?;
        let recovery = Arc::new(recovery);
        let read = Arc::clone(&recovery);
        let read = move |each: &mut Each<'_>| read.offer(each);
        let retire = move || match recovery.retire() {
            Err(error) if recovery.still_counts() => Err(OfferError::Journal(error)),
            retired => retired.map(drop).map_err(OfferError::Unfinished),
        };
        self.hand.give(read, retire).await
    }
}

impl Hand {
    /// Puts what is read, and has it retired where it came from. What was put is taken back where
    /// that comes to nothing for certain.
    async fn give(
        &self,
        read: impl FnOnce(&mut Each<'_>) -> Result<(), OfferError> + Send + 'static,
        retire: impl FnOnce() -> Result<(), OfferError> + Send + 'static,
    ) -> Result<OfferCount, OfferError> {
        let (chunks, mut given) = mpsc::channel(CHUNKS_MAX);
        let reading = spawn_blocking(move || {
            // Fails where nobody puts them any more.
            read(&mut |chunk| chunks.blocking_send(chunk).map_err(|_| OfferError::Stopped))
        });
        // Fits a signed column.
        let offer = rand::random_range(1..=i64::MAX.unsigned_abs());
        let mut put = Put { offer, tried: 0 };
        let all_put = self.put_all(&mut given, &mut put).await;
        drop(given);
        let read = reading.await.unwrap_or_else(|ended| Err(ended.into()));
        let done = match all_put.and_then(|count| read.map(|()| count)) {
            Ok(count) => {
                let retired =
                    spawn_blocking(retire).await.unwrap_or_else(|ended| Err(ended.into()));
                retired.map(|()| count)
            }
            Err(error) => Err(error),
        };
        if done.as_ref().is_err_and(|error| !matches!(error, OfferError::Unfinished(_))) {
            self.take_back(put).await;
        }
        done
    }

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

    fn broken() -> JournalError {
        JournalError::Closed
    }

    /// Four chunks, and how their reading ends.
    async fn given(
        table: &Arc<Table>,
        read: Result<(), OfferError>,
        retired: Result<(), OfferError>,
    ) -> Result<OfferCount, OfferError> {
        let metrics = Metrics::new().expect("names are valid").offers;
        let patience = Some(Patience { stop: table.stop.subscribe(), metrics });
        let hand = Hand { table: Arc::clone(table) as _, patience };
        let reading = |each: &mut Each<'_>| {
            (0..4).try_for_each(|_| each(OfferChunk::default()))?;
            read
        };
        hand.give(reading, || retired).await
    }

    #[tokio::test]
    async fn what_was_put_is_taken_back_unless_the_journal_may_be_gone() {
        let other = OfferPlace { offer: 0, chunk: 0 };
        let table = |unsure| {
            let table = Arc::new(Table { unsure, ..Table::default() });
            table.places.lock().insert(other);
            table
        };
        let unsure = table(Some(2));
        let stopped = given(&unsure, Ok(()), Ok(())).await;
        assert!(matches!(stopped, Err(OfferError::Stopped)), "{stopped:?}");
        let unread = table(None);
        given(&unread, Err(broken().into()), Ok(())).await.expect_err("it was not read");
        let whole = table(None);
        given(&whole, Ok(()), Err(broken().into())).await.expect_err("it is there yet");
        for table in [unsure, unread, whole] {
            assert_eq!(*table.places.lock(), BTreeSet::from([other]));
        }
        let gone = table(None);
        let unfinished = Err(OfferError::Unfinished(broken()));
        given(&gone, Ok(()), unfinished).await.expect_err("it may be there yet");
        let all = table(None);
        assert_eq!(given(&all, Ok(()), Ok(())).await.expect("it is put"), OfferCount::default());
        assert_eq!([gone, all].map(|table| table.places.lock().len()), [5, 5]);
    }
}
