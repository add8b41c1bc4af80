//! The parts of a server, from the ports up.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc};

use tokio::{net::TcpListener, task::spawn_blocking};
use tracing::info;

use super::StartError;
use crate::{
    cache::{Cache, CacheCounts, DIRTY_BYTES, ENTRY_BYTES, Sizing},
    clock::Clock,
    config::{Config, Durability, StoreKind},
    engine::{self, Engine, EngineSettings},
    flush::{FlushSettings, FlushThread, Flusher, raise_ceiling},
    metrics::{CacheSnapshot, Metrics},
    model::Version,
    store::{EmbeddedOptions, EmbeddedStore, MemoryStore, Store, StoreError},
};

/// What runs behind the ports.
pub(super) struct Parts {
    pub metrics: Arc<Metrics>,
    pub store: Arc<dyn Store>,
    pub cache: Arc<Cache>,
    pub flusher: FlushThread,
    pub engine: Arc<Engine>,
}

pub(super) async fn bind(config: &Config) -> Result<(TcpListener, TcpListener), StartError> {
    let grpc = listen("listen", config.listen).await?;
    let admin = listen("admin-listen", config.admin_listen).await?;
    Ok((grpc, admin))
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| StartError::Bind { setting, address, source })
}

pub(super) async fn open_store(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    match config.store {
        StoreKind::Memory => Ok(Arc::new(MemoryStore::default())),
        StoreKind::Embedded => {
            let mut options = EmbeddedOptions::new(&config.data_dir);
            options.cache_bytes = config.store_cache_memory;
            options.log_is_only_witness = config.durability == Durability::Store;
            let opened = spawn_blocking(move || EmbeddedStore::open(&options)).await;
            let opened = opened.map_err(|error| StartError::Assembly(error.to_string()))?;
            Ok(Arc::new(opened?))
        }
    }
}

pub(super) async fn parts(
    config: &Config,
    clock: Clock,
    store: Arc<dyn Store>,
) -> Result<Parts, StartError> {
    let metrics = Metrics::new().map_err(|error| StartError::Assembly(error.to_string()))?;
    let metrics = Arc::new(metrics);
    let last = start_clock(&clock, store.as_ref()).await?;
    let cache = Arc::new(Cache::new(sizing(config), last, rand::random()));
    announce_memory(config, &cache);
    observe(&metrics, &cache, &clock);
    let flusher = Flusher::new(
        Arc::clone(&cache),
        Arc::clone(&store),
        clock.clone(),
        Arc::clone(&metrics),
        flush_settings(config),
    );
    let flusher = FlushThread::spawn(flusher).map_err(StartError::Listen)?;
    let engine = Arc::new(Engine::new(
        Arc::clone(&cache),
        Arc::clone(&store),
        clock,
        flusher.rounds(),
        Arc::clone(&metrics),
        engine_settings(config),
    ));
    Ok(Parts { metrics, store, cache, flusher, engine })
}

/// Starts versions above all that were ever given out, and persists how high they may rise.
async fn start_clock(clock: &Clock, store: &dyn Store) -> Result<Version, StoreError> {
    let last = store.clock_ceiling().await?;
    raise_ceiling(clock, store, last).await?;
    Ok(last)
}

fn sizing(config: &Config) -> Sizing {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let shards = config.shards.and_then(NonZeroUsize::new);
    let dirty_limit = config.dirty_limit.map(count).and_then(NonZeroUsize::new);
    match config.cache_entries.map(count).and_then(NonZeroUsize::new) {
        Some(entries) => Sizing::for_entries(entries, shards, dirty_limit),
        None => Sizing::for_memory(count(config.cache_memory), shards, dirty_limit),
    }
}

fn announce_memory(config: &Config, cache: &Cache) {
    let sizing = cache.sizing();
    let store_bytes = match config.store {
        StoreKind::Memory => 0,
        StoreKind::Embedded => {
            let mut options = EmbeddedOptions::new(&config.data_dir);
            options.cache_bytes = config.store_cache_memory;
            options.log_is_only_witness = config.durability == Durability::Store;
            options.memory_bytes()
        }
    };
    info!(
        entries = sizing.entries,
        shards = sizing.shards,
        dirty_limit = sizing.dirty_limit,
        cache_bytes = sizing.bytes(),
        store_bytes,
        total_bytes = sizing.bytes() as u64 + store_bytes,
        "memory when full and as dirty as allowed"
    );
}

fn observe(metrics: &Metrics, cache: &Arc<Cache>, clock: &Clock) {
    let (cache, clock) = (Arc::clone(cache), clock.clone());
    metrics.observe_cache(move || snapshot(&cache.counts(clock.elapsed_ms()), &cache.sizing()));
}

fn snapshot(counts: &CacheCounts, sizing: &Sizing) -> CacheSnapshot {
    CacheSnapshot {
        entries: counts.entries as u64,
        capacity: sizing.entries as u64,
        bytes: (counts.entries * ENTRY_BYTES + counts.extra_bytes + counts.dirty * DIRTY_BYTES)
            as u64,
        hits: counts.hits,
        misses: counts.misses,
        evictions_clean: counts.evictions_clean,
        evictions_dirty: counts.evictions_dirty,
        dirty: counts.dirty as u64,
        dirty_limit: sizing.dirty_limit as u64,
        oldest_dirty_age_seconds: counts.oldest_dirty_ms.unwrap_or(0) as f64 / 1000.0,
        victims: counts.victims as u64,
        dirty_refused: counts.dirty_refused,
    }
}

fn flush_settings(config: &Config) -> FlushSettings {
    FlushSettings {
        flush_after_ms: config.flush_after.as_millis() as u64,
        batch_rows: config.flush_batch_rows,
        tombstone_ttl_ms: config.tombstone_ttl.as_millis() as u64,
    }
}

fn engine_settings(config: &Config) -> EngineSettings {
    EngineSettings {
        durability: match config.durability {
            Durability::Memory => engine::Durability::Memory,
            Durability::Store => engine::Durability::Store,
        },
        concurrent_loads: config.max_concurrent_loads,
        tombstone_ttl_ms: config.tombstone_ttl.as_millis() as u64,
    }
}
