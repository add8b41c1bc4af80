//! The owner of a shared keyspace merges what deposed owners offer: what they had acknowledged and
//! not flushed ([`Offering`](crate::journal::Offering)).

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval, timeout};
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

/// Merges offers into an engine.
pub(super) struct Merging {
    table: Arc<dyn OfferTable>,
    engine: Arc<Engine>,
    metrics: OfferMetrics,
    /// The last chunk that was complained about.
    told: Option<OfferPlace>,
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
        Self { table, engine, metrics, told: None }
    }

    /// Looks for offers, at first at once, until the server drains.
    pub async fn keep(mut self, lifecycle: Lifecycle) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let looking = async {
            let mut told_failing = false;
            loop {
                ticks.tick().await;
                let merged = self.merge_all().await;
                if let Err(error) = &merged {
                    self.metrics.failures.inc();
                    if !told_failing {
                        warn!(%error, "what a deposed owner offers was not merged; trying again");
                    }
                }
                told_failing = merged.is_err();
            }
        };
        tokio::select! {
            _ = lifecycle.wait_for(Phase::Draining) => {}
            () = looking => {}
        }
    }

    /// Merges what is there before anybody is served, if that does not take long: callers of who
    /// had offered it find it there.
    pub async fn at_start(&mut self) {
        match timeout(START_MAX, self.merge_all()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "what a deposed owner offers was not merged yet"),
            Err(_) => info!("what deposed owners offer is merged while calls are served"),
        }
    }

    /// Merges every chunk that is there. One that cannot be merged now holds up no other.
    async fn merge_all(&mut self) -> Result<(), MergeError> {
        let (mut after, mut merged) = (None, Ok(()));
        while let Some(offered) = self.table.next(after).await? {
            after = Some(offered.place);
            let one = self.merge(offered).await;
            merged = merged.and(one);
        }
        merged
    }

    /// Merges a chunk, and removes it once that is durable. Where the end comes between the two it
    /// is merged again, which changes nothing that has a position.
    async fn merge(&mut self, offered: Offered) -> Result<(), MergeError> {
        let chunk = match OfferChunk::decode(&offered.bytes) {
            Ok(chunk) => chunk,
            Err(error) => {
                self.metrics.failures.inc();
                self.complain(offered.place, &error.to_string());
                return Ok(());
            }
        };
        let records = chunk.records();
        for (user, version) in chunk.deletions {
            self.engine.delete_user_upto(user, version).await?;
        }
        let count = self.engine.import(chunk.states, Arrival::Merges).await?;
        // Not before the store has it, which takes it from the owner only: the journal of a service
        // that was deposed meanwhile may never come back.
        self.engine.flushed().await?;
        self.table.remove(offered.place).await?;
        self.metrics.merged.inc_by(records - u64::from(count.older));
        self.metrics.known.inc_by(count.older.into());
        let (states, known) = (count.taken, count.older);
        info!(states, known, "what a deposed owner had not flushed is merged");
        Ok(())
    }

    fn complain(&mut self, place: OfferPlace, what: &str) {
        if self.told.replace(place) != Some(place) {
            let OfferPlace { offer, chunk } = place;
            error!(offer, chunk, what, "what is offered cannot be read; it stays in the table");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, num::NonZeroUsize};

    use parking_lot::Mutex;

    use super::*;
    use crate::{
        cache::{Cache, Sizing},
        clock::{Clock, ManualTime},
        engine::{Durability, EngineSettings},
        flush::{FlushSettings, FlushThread, Flusher, raise_ceiling},
        metrics::Metrics,
        model::{ChannelId, Key, Parts, ReadState, UserId, Version},
        store::{Call, FaultStore, Faults, MemoryStore, Pending, Store},
    };

    #[derive(Default)]
    struct Table(Mutex<BTreeMap<OfferPlace, Vec<u8>>>);

    impl OfferTable for Table {
        fn put(&self, place: OfferPlace, bytes: Vec<u8>) -> Pending<'_, ()> {
            self.0.lock().insert(place, bytes);
            Box::pin(async { Ok(()) })
        }

        fn next(&self, after: Option<OfferPlace>) -> Pending<'_, Option<Offered>> {
            let places = self.0.lock();
            let mut behind = places.iter().filter(|(place, _)| Some(**place) > after);
            let next = behind.next().map(|(place, bytes)| (*place, bytes.clone()));
            Box::pin(async move { Ok(next.map(|(place, bytes)| Offered { place, bytes })) })
        }

        fn remove(&self, place: OfferPlace) -> Pending<'_, ()> {
            self.0.lock().remove(&place);
            Box::pin(async { Ok(()) })
        }
    }

    struct Scene {
        table: Arc<Table>,
        engine: Arc<Engine>,
        store: Arc<dyn Store>,
        faults: Faults,
        metrics: OfferMetrics,
        merging: Merging,
        flusher: FlushThread,
    }

    async fn scene() -> Scene {
        let store = FaultStore::new(Arc::new(MemoryStore::new()));
        let faults = store.faults();
        let store: Arc<dyn Store> = Arc::new(store);
        let clock = Clock::manual(ManualTime::starting_at(1_700_000_000_000_000));
        raise_ceiling(&clock, store.as_ref(), Version::ZERO).await.expect("the ceiling rises");
        let entries = NonZeroUsize::new(64).expect("not 0");
        let cache = Cache::new(Sizing::for_entries(entries, None, None), Version::ZERO, 7);
        let cache = Arc::new(cache);
        let metrics = Arc::new(Metrics::new().expect("names are valid"));
        let settings = EngineSettings {
            durability: Durability::Memory,
            concurrent_loads: 8,
            tombstone_ttl_ms: u64::MAX,
            watched_users: 8,
            waiting_changes: 8,
            waiting_changes_per_watch: 8,
        };
        let flushing = FlushSettings {
            flush_after_ms: u64::MAX,
            batch_rows: 8,
            tombstone_ttl_ms: u64::MAX,
            persist_after_ms: u64::MAX,
        };
        let (kept, counted) = (Arc::clone(&store), Arc::clone(&metrics));
        let flusher = Flusher::new(Arc::clone(&cache), kept, clock.clone(), counted, flushing);
        let flusher = FlushThread::spawn(flusher).expect("a thread");
        let (rounds, offers) = (flusher.rounds(), metrics.offers.clone());
        let engine = Engine::new(cache, Arc::clone(&store), clock, rounds, metrics, settings);
        let (engine, table) = (Arc::new(engine), Arc::new(Table::default()));
        let merging = Merging::new(Arc::clone(&table) as _, Arc::clone(&engine), offers.clone());
        Scene { table, engine, store, faults, metrics: offers, merging, flusher }
    }

    fn key(user: u64) -> Key {
        let user = UserId::new(user).expect("not 0");
        Key::channel(user, ChannelId::new(1).expect("not 0"))
    }

    fn chunk(users: &[u64]) -> Vec<u8> {
        let version = Version::from_micros(20);
        let parts = Parts { version, last_acked_id: 10, ..Parts::default() };
        let state = ReadState::from_parts(parts).expect("valid parts");
        let states = users.iter().map(|user| (key(*user), state.clone())).collect();
        OfferChunk { deletions: Vec::new(), states }.encode()
    }

    fn place(offer: u64, chunk: u32) -> OfferPlace {
        OfferPlace { offer, chunk }
    }

    impl Scene {
        async fn offer(&self, place: OfferPlace, bytes: Vec<u8>) {
            self.table.put(place, bytes).await.expect("it never fails");
        }

        fn left(&self) -> Vec<OfferPlace> {
            self.table.0.lock().keys().copied().collect()
        }

        async fn watermark(&self, user: u64) -> u64 {
            self.engine.read(key(user)).await.expect("a read").view.last_acked_id
        }

        fn counted(&self) -> [u64; 3] {
            [&self.metrics.merged, &self.metrics.known, &self.metrics.failures]
                .map(prometheus::IntCounter::get)
        }
    }

    #[tokio::test]
    async fn every_chunk_is_merged_and_removed() {
        let mut scene = scene().await;
        scene.offer(place(5, 0), chunk(&[1, 2])).await;
        scene.offer(place(5, 1), chunk(&[3])).await;
        scene.offer(place(9, 0), chunk(&[2])).await;
        scene.merging.merge_all().await.expect("the store is well");
        assert_eq!(scene.left(), []);
        for user in 1..=3 {
            assert_eq!(scene.watermark(user).await, 10, "user {user}");
        }
        assert_eq!(scene.counted(), [3, 1, 0]);
        // Nothing is removed that a crash could take back.
        let row = scene.store.load(key(3)).await.expect("the store is well");
        assert_eq!(row.map(|row| row.last_acked_id()), Some(10));
        scene.flusher.stop();
    }

    #[tokio::test]
    async fn what_cannot_be_merged_now_stays() {
        let mut scene = scene().await;
        scene.offer(place(5, 0), chunk(&[1])).await;
        let away = || StoreError::Unavailable("a test says so".to_owned());
        for call in [Call::LoadMany, Call::LoadUser, Call::Commit] {
            scene.faults.fail_next(call, u64::MAX, away());
            assert!(scene.merging.merge_all().await.is_err(), "{call:?}");
            assert_eq!(scene.left(), [place(5, 0)], "{call:?}");
            scene.faults.heal();
        }
        scene.merging.merge_all().await.expect("the store is well");
        assert_eq!(scene.left(), []);
        assert_eq!(scene.watermark(1).await, 10);
    }

    #[tokio::test]
    async fn what_cannot_be_read_stays_and_holds_up_nothing() {
        let mut scene = scene().await;
        scene.offer(place(1, 0), b"no chunk".to_vec()).await;
        scene.offer(place(2, 0), chunk(&[1])).await;
        scene.merging.merge_all().await.expect("the store is well");
        assert_eq!(scene.left(), [place(1, 0)]);
        assert_eq!(scene.watermark(1).await, 10);
        assert_eq!(scene.counted(), [1, 0, 1]);
    }
}
