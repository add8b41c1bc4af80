//! The parts of a server without its ports, over a store that can be told to fail.

use std::{num::NonZeroUsize, sync::Arc};

use readstates::{
    cache::{Access, Cache, Sizing},
    clock::{Clock, ManualTime},
    engine::{Done, Durability, Engine, EngineSettings, Error},
    flush::{FlushSettings, FlushThread, Flusher, PassEnd, Rounds, Scope, raise_ceiling},
    metrics::Metrics,
    model::{Key, ReadState, Update, View},
    store::{Batch, FaultStore, Faults, MemoryStore, Row, Store, StoreError},
};

use crate::keys::{ack, key};

/// When every scene begins, in microseconds since the Unix epoch.
pub const START_US: u64 = 1_700_000_000_000_000;
pub const FLUSH_AFTER_MS: u64 = 30_000;
const TOMBSTONE_TTL_MS: u64 = 30 * 24 * 3_600_000;
/// Rests in the store from the beginning, to crowd others out of the cache.
const CROWD: u64 = 999_999;

/// What a scene is to be like.
pub struct Plan {
    pub entries: usize,
    pub dirty_limit: Option<usize>,
    pub batch_rows: usize,
    pub durability: Durability,
    pub concurrent_loads: usize,
    /// Beneath the fault store.
    pub rests: Arc<dyn Store>,
    pub time: Arc<ManualTime>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            entries: 32,
            dirty_limit: None,
            batch_rows: 1_024,
            durability: Durability::Memory,
            concurrent_loads: 64,
            rests: Arc::new(MemoryStore::new()),
            time: ManualTime::starting_at(START_US),
        }
    }
}

/// All parts, with a flusher that a test drives, or one that runs.
pub struct Scene<F> {
    pub time: Arc<ManualTime>,
    pub clock: Clock,
    pub store: Arc<dyn Store>,
    pub faults: Faults,
    /// The store beneath, which never fails.
    pub rests: Arc<dyn Store>,
    pub cache: Arc<Cache>,
    pub metrics: Arc<Metrics>,
    pub engine: Arc<Engine>,
    pub flusher: F,
    settings: EngineSettings,
}

pub type ByHand = Scene<Arc<Flusher>>;
pub type Live = Scene<FlushThread>;

impl Plan {
    /// Nothing is flushed but by [`ByHand::pass`]; nobody may wait for it in the engine.
    pub async fn by_hand(self) -> ByHand {
        self.build(|flusher| (Rounds::default(), Arc::new(flusher))).await
    }

    /// The flusher runs on its own thread.
    pub async fn live(self) -> Live {
        let spawn = |flusher| FlushThread::spawn(flusher).expect("a thread");
        self.build(|flusher| {
            let thread = spawn(flusher);
            (thread.rounds(), thread)
        })
        .await
    }

    async fn build<F>(self, flush: impl FnOnce(Flusher) -> (Rounds, F)) -> Scene<F> {
        let fault_store = FaultStore::new(Arc::clone(&self.rests));
        let faults = fault_store.faults();
        let store: Arc<dyn Store> = Arc::new(fault_store);
        let clock = Clock::manual(Arc::clone(&self.time));
        let last = store.clock_ceiling().await.expect("a ceiling");
        raise_ceiling(&clock, store.as_ref(), last).await.expect("the ceiling rises");
        let number = |n| NonZeroUsize::new(n).expect("not 0");
        let limit = self.dirty_limit.map(number);
        let sizing = Sizing::for_entries(number(self.entries), Some(NonZeroUsize::MIN), limit);
        let cache = Arc::new(Cache::new(sizing, last, 7));
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let flush_settings = FlushSettings {
            flush_after_ms: FLUSH_AFTER_MS,
            batch_rows: self.batch_rows,
            tombstone_ttl_ms: TOMBSTONE_TTL_MS,
            persist_after_ms: FLUSH_AFTER_MS,
        };
        let (rounds, flusher) = flush(Flusher::new(
            Arc::clone(&cache),
            Arc::clone(&store),
            clock.clone(),
            Arc::clone(&metrics),
            flush_settings,
        ));
        let settings = EngineSettings {
            durability: self.durability,
            concurrent_loads: self.concurrent_loads,
            tombstone_ttl_ms: TOMBSTONE_TTL_MS,
            watched_users: 1_000,
            waiting_changes: 100_000,
            waiting_changes_per_watch: 10_000,
        };
        let engine = Arc::new(Engine::new(
            Arc::clone(&cache),
            Arc::clone(&store),
            clock.clone(),
            rounds,
            Arc::clone(&metrics),
            settings.clone(),
        ));
        let (time, rests) = (self.time, self.rests);
        Scene { time, clock, store, faults, rests, cache, metrics, engine, flusher, settings }
    }
}

impl<F> Scene<F> {
    pub async fn update(&self, key: Key, update: Update) -> Done {
        self.engine.update(key, update).await.expect("an update")
    }

    pub async fn read(&self, key: Key) -> View {
        self.engine.read(key).await.expect("a read").view
    }

    /// Does it meanwhile.
    pub fn spawn_update(
        &self,
        key: Key,
        update: Update,
    ) -> tokio::task::JoinHandle<Result<Done, Error>> {
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move { engine.update(key, update).await })
    }

    pub fn spawn_read(&self, key: Key) -> tokio::task::JoinHandle<Result<Done, Error>> {
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move { engine.read(key).await })
    }

    /// What the store beneath has of `key`.
    pub async fn stored(&self, key: Key) -> Option<ReadState> {
        self.rests.load(key).await.expect("it never fails")
    }

    /// Puts a row into the store as if it had always been there.
    pub async fn put(&self, key: Key, update: Update) {
        let mut state = ReadState::default();
        assert!(state.apply(&update.operation).changed);
        state.set_version(readstates::model::Version::from_micros(1));
        let batch = Batch { rows: vec![Row { key, state }], durable: false, upto: None };
        self.rests.commit(batch).await.expect("it never fails");
    }

    /// Fills the cache with others, so that everything else is evicted. They are clean.
    pub async fn crowd_out(&self) {
        for channel in 1..=self.cache.sizing().entries as u64 {
            let row = key(CROWD, channel);
            if self.stored(row).await.is_none() {
                self.put(row, ack(1)).await;
            }
            self.read(row).await;
        }
    }

    /// Whether `key` is in memory.
    pub fn is_present(&self, key: Key) -> bool {
        self.cache.access(&key, &Access::Read, &self.clock.now()).is_some()
    }

    pub fn victims(&self) -> usize {
        self.cache.counts(0).victims
    }

    /// A second engine over the same cache, whose loads know nothing of the first one's.
    pub fn other_engine(&self) -> Engine {
        Engine::new(
            Arc::clone(&self.cache),
            Arc::clone(&self.store),
            self.clock.clone(),
            Rounds::default(),
            Arc::clone(&self.metrics),
            self.settings.clone(),
        )
    }
}

impl ByHand {
    pub async fn pass(&self, scope: Scope) -> PassEnd {
        self.flusher.pass(scope).await
    }

    /// Everything reaches the store, and the cache is found in order.
    pub async fn flush(&self) {
        assert_eq!(self.pass(Scope::Everything).await, PassEnd::Done);
        assert_eq!(self.cache.dirty(), 0);
        self.cache.self_check();
    }

    pub fn spawn_pass(&self, scope: Scope) -> tokio::task::JoinHandle<PassEnd> {
        let flusher = Arc::clone(&self.flusher);
        tokio::spawn(async move { flusher.pass(scope).await })
    }
}

impl Live {
    /// Waits until what is dirty now is in the store.
    pub async fn flush(&self) {
        self.flusher.rounds().flushed().await.expect("the store is well");
    }

    pub fn stop(self) {
        self.flusher.stop();
        self.cache.self_check();
    }
}

/// What a store says that is not there.
pub fn outage() -> StoreError {
    StoreError::Unavailable("a test says so".to_owned())
}

/// More failures than any test uses up.
pub const ALWAYS: u64 = u64::MAX;
