//! The owner of a shared keyspace merges what deposed owners offer: what they had acknowledged and
//! not flushed ([`Offering`](crate::journal::Offering)).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{error, info, warn};

use crate::{
    engine::{Arrival, Engine, Error},
    journal::OfferChunk,
    lifecycle::{Lifecycle, Phase},
    metrics::OfferMetrics,
    store::{OfferPlace, OfferTable, Offered, StoreError},
};

/// Looks for offers this often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A start waits for the first look at most so long.
const START_MAX: Duration = Duration::from_secs(3);

/// Chunks that are merged and wait for the store, at most: then no more are merged.
const MERGED_MAX: usize = 1_024;

/// Unreadable chunks that are told of, once each; of more only the metric tells.
const TOLD_MAX: usize = 1_024;

/// Merges offers into an engine.
pub(super) struct Merging {
    table: Arc<dyn OfferTable>,
    engine: Arc<Engine>,
    metrics: OfferMetrics,
    /// Chunks that are part of what is in memory, and not removed yet. Merged once more they would
    /// bring back what was deleted and made anew since, or mentions without a position that were
    /// taken back.
    merged: BTreeMap<OfferPlace, Merged>,
    /// Chunks that were complained about, and are there still.
    told: BTreeSet<OfferPlace>,
}

/// What a chunk came to: records that had something new, and those that had not.
#[derive(Clone, Copy)]
struct Merged {
    new: u64,
    known: u64,
}

#[derive(Debug, thiserror::Error)]
enum MergeError {
    #[error("{0}")]
    Table(#[from] StoreError),
    #[error("{0}")]
    Engine(#[from] Error),
}

impl Merging {
    pub fn new(table: Arc<dyn OfferTable>, engine: Arc<Engine>, metrics: OfferMetrics) -> Self {
        Self { table, engine, metrics, merged: BTreeMap::new(), told: BTreeSet::new() }
    }

    /// Merges what is there before anybody is served, if that does not take long: callers of who
    /// had offered it find it there. Goes on with it, and looks for more, until the server drains.
    pub async fn start(self, lifecycle: Lifecycle) {
        let (looked, first) = oneshot::channel();
        // Not dropped where it takes longer: what it has begun would be begun anew.
        tokio::spawn(self.keep(lifecycle, looked));
        if timeout(START_MAX, first).await.is_err() {
            info!("what deposed owners offer is merged while calls are served");
        }
    }

    async fn keep(mut self, lifecycle: Lifecycle, looked: oneshot::Sender<()>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let looking = async {
            let (mut looked, mut told_failing) = (Some(looked), false);
            loop {
                // The first is at once.
                ticks.tick().await;
                let merged = self.merge_all().await;
                if let Err(error) = &merged {
                    self.metrics.failures.inc();
                    if !told_failing {
                        warn!(%error, "what a deposed owner offers was not merged; trying again");
                    }
                }
                told_failing = merged.is_err();
                if let Some(looked) = looked.take() {
                    looked.send(()).ok();
                }
            }
        };
        tokio::select! {
            _ = lifecycle.wait_for(Phase::Draining) => {}
            () = looking => {}
        }
    }

    /// Merges every chunk that is there. One that cannot be merged now holds up no other.
    async fn merge_all(&mut self) -> Result<(), MergeError> {
        let (mut after, mut merged) = (None, Ok(()));
        while let Some(offered) = self.table.next(after).await? {
            // What was passed over is not there any more: it was removed, though nobody said so.
            self.forget(|place| Some(place) > after && place < offered.place);
            after = Some(offered.place);
            let one = self.merge(offered).await;
            merged = merged.and(one);
        }
        self.forget(|place| Some(place) > after);
        merged
    }

    fn forget(&mut self, is_gone: impl Fn(OfferPlace) -> bool) {
        self.merged.retain(|place, _| !is_gone(*place));
        self.told.retain(|place| !is_gone(*place));
    }

    /// Merges a chunk, once, and removes it as soon as that is durable. Where the process ends
    /// between the two the next owner merges it again: that changes nothing that has a position and
    /// was not deleted and made anew in between.
    async fn merge(&mut self, Offered { place, bytes }: Offered) -> Result<(), MergeError> {
        let merged = match self.merged.get(&place) {
            Some(merged) => *merged,
            // So many have failed to be removed, and each has said so.
            None if self.merged.len() >= MERGED_MAX => return Ok(()),
            None => {
                let Some(chunk) = self.decoded(place, &bytes) else { return Ok(()) };
                let merged = self.take_in(chunk).await?;
                self.merged.insert(place, merged);
                merged
            }
        };
        // Not before the store has it, which takes it from the owner only: the journal of a service
        // that was deposed meanwhile may never come back.
        self.engine.flushed().await?;
        self.table.remove(place).await?;
        self.merged.remove(&place);
        let Merged { new, known } = merged;
        self.metrics.merged.inc_by(new);
        self.metrics.known.inc_by(known);
        info!(new, known, "what a deposed owner had not flushed is merged");
        Ok(())
    }

    /// After an error some of it may have been taken in; the same call again does the rest.
    async fn take_in(&self, chunk: OfferChunk) -> Result<Merged, Error> {
        let records = chunk.records();
        self.engine.delete_users_upto(&chunk.deletions).await?;
        let count = self.engine.import(chunk.states, Arrival::Merges).await?;
        let known = u64::from(count.older);
        Ok(Merged { new: records - known, known })
    }

    fn decoded(&mut self, place: OfferPlace, bytes: &[u8]) -> Option<OfferChunk> {
        let decoded = OfferChunk::decode(bytes);
        decoded.inspect_err(|error| self.complain(place, &error.to_string())).ok()
    }

    fn complain(&mut self, place: OfferPlace, what: &str) {
        self.metrics.failures.inc();
        if self.told.len() < TOLD_MAX && self.told.insert(place) {
            let OfferPlace { offer, chunk } = place;
            error!(offer, chunk, what, "what is offered cannot be read; it stays in the table");
        }
    }
}

#[cfg(test)]
mod tests;
