//! The parts of a server without its ports, over a store in memory, in a runtime of one thread
//! whose time goes on when nothing else does.

use std::{
    num::NonZeroUsize,
    sync::{Arc, OnceLock},
};

use readstates::{
    cache::{Cache, Sizing},
    clock::{Clock, ManualTime},
    engine::{Durability, Engine, EngineSettings},
    flush::{FlushSettings, Flusher, Rounds, raise_ceiling, run},
    lifecycle::{Lifecycle, Phase},
    metrics::Metrics,
    rpc::{Limits, Service},
    store::{MemoryStore, Store},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// When every ground begins, in microseconds since the Unix epoch.
const START_US: u64 = 1_700_000_000_000_000;
const TOMBSTONE_TTL_MS: u64 = 30 * 24 * 3_600_000;

/// Items of one request at most, and rows of a page: few enough to be reached.
pub const ITEMS_MAX: usize = 64;

/// A runtime for one thread. Timers fire at once where nothing else is left to do.
///
/// # Panics
/// Where the machine gives none.
pub fn runtime() -> Runtime {
    let built = Builder::new_current_thread().enable_all().start_paused(true).build();
    built.expect("a runtime")
}

/// Parts that work together.
pub struct Ground {
    pub service: Service,
    pub engine: Arc<Engine>,
    pub cache: Arc<Cache>,
    pub lifecycle: Lifecycle,
    pub metrics: Arc<Metrics>,
    store: MemoryStore,
    time: Arc<ManualTime>,
    rounds: Rounds,
    flushing: JoinHandle<()>,
}

impl Ground {
    /// A new one, whose cache has room for so many states. To be called in a runtime.
    pub async fn new(entries: usize) -> Self {
        Self::over(MemoryStore::new(), ManualTime::starting_at(START_US), entries).await
    }

    async fn over(memory: MemoryStore, time: Arc<ManualTime>, entries: usize) -> Self {
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let clock = Clock::manual(Arc::clone(&time));
        let last = store.clock_ceiling().await.expect("it is in memory");
        raise_ceiling(&clock, store.as_ref(), last).await.expect("it is in memory");
        let entries = NonZeroUsize::new(entries).expect("room for some");
        let sizing = Sizing::for_entries(entries, Some(NonZeroUsize::MIN), Some(entries));
        let cache = Arc::new(Cache::new(sizing, last, 7));
        let (metrics, rounds, lifecycle) = (metrics(), Rounds::default(), Lifecycle::new());
        lifecycle.advance(Phase::Ready);
        let settings = FlushSettings {
            flush_after_ms: 30_000,
            batch_rows: 4,
            tombstone_ttl_ms: TOMBSTONE_TTL_MS,
            persist_after_ms: 30_000,
        };
        let (counted, kept) = (Arc::clone(&metrics), Arc::clone(&cache));
        let flusher = Flusher::new(kept, Arc::clone(&store), clock.clone(), counted, settings);
        let settings = EngineSettings {
            durability: Durability::Memory,
            concurrent_loads: 64,
            tombstone_ttl_ms: TOMBSTONE_TTL_MS,
            watched_users: 1_000,
            waiting_changes: 10_000,
            waiting_changes_per_watch: 1_000,
        };
        let (counted, kept) = (Arc::clone(&metrics), Arc::clone(&cache));
        let engine = Engine::new(kept, store, clock, rounds.clone(), counted, settings);
        let engine = Arc::new(engine);
        let passes = rounds.clone();
        let flushing = tokio::spawn(async move { run(&flusher, &passes).await });
        let service = Service::new(Arc::clone(&engine), limits(), lifecycle.clone());
        let store = memory;
        Self { service, engine, cache, lifecycle, metrics, store, time, rounds, flushing }
    }

    /// Ends, with everything in the store, and begins anew over that.
    pub async fn restart(self) -> Self {
        self.rounds.flushed().await.expect("the store never fails");
        self.cache.self_check();
        let (store, time) = (self.store.clone(), Arc::clone(&self.time));
        let entries = self.cache.sizing().entries;
        drop(self);
        Self::over(store, time, entries).await
    }

    /// So many milliseconds go by.
    pub fn wait_ms(&self, ms: u64) {
        self.time.advance_ms(ms);
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.flushing.abort();
    }
}

/// What the services of a ground take.
pub fn limits() -> Limits {
    Limits { items: ITEMS_MAX, keys: ITEMS_MAX, page_size: ITEMS_MAX }
}

/// Those of all grounds: they take long to make.
fn metrics() -> Arc<Metrics> {
    static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
    let made = || Arc::new(Metrics::new().expect("names are valid"));
    Arc::clone(METRICS.get_or_init(made))
}
