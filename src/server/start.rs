//! The parts of a server, from the ports up.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::{net::TcpListener, task::spawn_blocking};
use tracing::info;

use super::{
    Front, StartError,
    journaling::{self, Journaling, keeps_journal},
    memory_watch::MemoryWatch,
    past::Past,
    shared,
};
use crate::{
    cache::{Cache, CacheCounts, DIRTY_BYTES, ENTRY_BYTES, Log, NoLog, Sizing},
    clock::Clock,
    config::{Config, Durability, ListenAddress, StoreKind},
    edge::Listener,
    engine::{self, Engine, EngineSettings, WATCHED_USER_BYTES},
    flush::{FlushSettings, FlushThread, Flusher, JournalLog},
    journal::Recovery,
    lease::Lease,
    metrics::{CacheSnapshot, Metrics},
    model::Version,
    store::{CassandraOptions, EmbeddedOptions, EmbeddedStore, MemoryStore, OfferTable, Store},
};

/// Milliseconds after which the store persists what it confirmed: each time it writes a file.
const PERSIST_AFTER_MS: u64 = 60_000;
/// The same for a cluster. What the journal still has is merged where another serves next, and
/// should be little more than what the store lacks; but nodes that sync their commit logs every 10
/// s, as they come, may all lose power at once.
const PERSIST_SHARED_AFTER_MS: u64 = 15_000;

/// What runs behind the ports.
pub(super) struct Parts {
    /// The journal, where the durability is that.
    pub journal: Option<Journaling>,
    pub metrics: Arc<Metrics>,
    pub store: Arc<dyn Store>,
    pub cache: Arc<Cache>,
    pub flusher: FlushThread,
    pub engine: Arc<Engine>,
    /// Who may write, where others could.
    pub lease: Option<Lease>,
    /// What others offer, where they could have written.
    pub offers: Option<Arc<dyn OfferTable>>,
    pub memory: MemoryWatch,
}

pub(super) async fn listen_grpc(config: &Config) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::new();
    for address in config.listen.addresses() {
        let bound = Listener::bind(address).await;
        listeners.push(bound.map_err(|source| {
            let address = address.clone();
            StartError::Bind { setting: "listen", address, source }
        })?);
    }
    Ok(listeners)
}

pub(super) async fn listen_admin(config: &Config) -> Result<TcpListener, StartError> {
    let address = config.admin_listen;
    TcpListener::bind(address).await.map_err(|source| {
        let address = ListenAddress::Tcp(address);
        StartError::Bind { setting: "admin-listen", address, source }
    })
}

/// A store that may be written to.
pub(super) struct Opened {
    pub store: Arc<dyn Store>,
    /// For as long as this holds, where others could write as well.
    pub lease: Option<Lease>,
    /// What others offer that have written to it.
    pub offers: Option<Arc<dyn OfferTable>>,
}

impl Opened {
    /// A store that nobody else can reach.
    pub fn alone(store: Arc<dyn Store>) -> Self {
        Self { store, lease: None, offers: None }
    }
}

/// Opens the store. The journal that was found comes back, unless another service got it all.
///
/// Where it waits for others it ends with [`StartError::Interrupted`] once it is `asked` to.
pub(super) async fn open_store(
    config: &Config,
    found: Option<Recovery>,
    front: &Front,
    asked: impl Future<Output = ()>,
) -> Result<(Opened, Option<Recovery>), StartError> {
    match config.store {
        StoreKind::Cassandra => shared::open(config, found, front, asked).await,
        StoreKind::Memory => Ok((Opened::alone(Arc::new(MemoryStore::default())), found)),
        StoreKind::Embedded => {
            let mut options = EmbeddedOptions::new(&config.data_dir);
            options.cache_bytes = config.store_cache_memory;
            // Where there is a journal, it is another witness of what the store confirmed.
            options.log_is_only_witness = found.as_ref().is_none_or(Recovery::is_new);
            let opened = spawn_blocking(move || EmbeddedStore::open(&options)).await;
            let opened = opened.map_err(|error| StartError::Assembly(error.to_string()))?;
            Ok((Opened::alone(Arc::new(opened?)), found))
        }
    }
}

pub(super) async fn parts(
    config: &Config,
    clock: Clock,
    Opened { store, lease, offers }: Opened,
    found: Option<Recovery>,
    metrics: Arc<Metrics>,
) -> Result<Parts, StartError> {
    let given_up = found.is_some() && !keeps_journal(config);
    let past = Past::of(found, store.as_ref()).await?;
    let journal = if keeps_journal(config) { past.begin(&metrics, &clock)? } else { None };
    let log: Arc<dyn Log> = match &journal {
        Some(journaling) => Arc::new(JournalLog(journaling.journal.clone())),
        None => Arc::new(NoLog),
    };
    // A user with nothing yet has a version to resume from all the same.
    let last = past.last().max(Version::from_micros(clock.wall_us().saturating_sub(1)));
    let cache = Arc::new(Cache::with_log(sizing(config), last, rand::random(), &log));
    let memory = MemoryWatch::new(config, &metrics);
    memory.compare(announce_memory(config, &cache));
    observe(&metrics, &cache, &clock);
    let mut flusher = Flusher::new(
        Arc::clone(&cache),
        Arc::clone(&store),
        clock.clone(),
        Arc::clone(&metrics),
        flush_settings(config),
    );
    if let Some(journaling) = &journal {
        flusher = flusher.with_journal(journaling.journal.clone(), past.commits());
    }
    let flusher = past.relive(&cache, flusher, &store, journal.as_ref()).await?;
    if given_up {
        journaling::forget(config).await;
    }
    flusher.raise_ceiling().await.map_err(StartError::from)?;
    let flusher = FlushThread::spawn(flusher).map_err(StartError::Listen)?;
    let engine = Arc::new(Engine::new(
        Arc::clone(&cache),
        Arc::clone(&store),
        clock,
        flusher.rounds(),
        Arc::clone(&metrics),
        engine_settings(config, journal.as_ref()),
    ));
    Ok(Parts { journal, metrics, store, cache, flusher, engine, lease, offers, memory })
}

pub(super) fn sizing(config: &Config) -> Sizing {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let shards = config.shards.and_then(NonZeroUsize::new);
    let dirty_limit = config.dirty_limit.map(count).and_then(NonZeroUsize::new);
    match config.cache_entries.map(count).and_then(NonZeroUsize::new) {
        Some(entries) => Sizing::for_entries(entries, shards, dirty_limit),
        None => Sizing::for_memory(count(config.cache_memory), shards, dirty_limit),
    }
}

/// A call that waits to be told that it is refused, measured under overload (benches/rpc.rs).
const WAITING_REFUSAL_BYTES: u64 = 7 * 1024;

/// Tells what each part was given, and returns the sum.
fn announce_memory(config: &Config, cache: &Cache) -> u64 {
    let sizing = cache.sizing();
    let store_bytes = match config.store {
        StoreKind::Memory => 0,
        StoreKind::Cassandra => CassandraOptions::of(config).memory_bytes(),
        StoreKind::Embedded => {
            let mut options = EmbeddedOptions::new(&config.data_dir);
            options.cache_bytes = config.store_cache_memory;
            options.memory_bytes()
        }
    };
    let journal_bytes = journaling::memory_bytes(config);
    let watch_bytes = config.watch_memory + config.max_watched_users as u64 * WATCHED_USER_BYTES;
    let answer_bytes = config.max_answer_memory;
    let refusal_bytes = config.max_waiting_refusals as u64 * WAITING_REFUSAL_BYTES;
    let parts = [store_bytes, journal_bytes, watch_bytes, answer_bytes, refusal_bytes];
    let total_bytes = sizing.bytes() as u64 + parts.iter().sum::<u64>();
    info!(
        entries = sizing.entries,
        shards = sizing.shards,
        dirty_limit = sizing.dirty_limit,
        cache_bytes = sizing.bytes(),
        store_bytes,
        journal_bytes,
        watch_bytes,
        answer_bytes,
        refusal_bytes,
        total_bytes,
        "memory when full and as dirty as allowed"
    );
    total_bytes
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
        persist_after_ms: match config.store {
            StoreKind::Cassandra => PERSIST_SHARED_AFTER_MS,
            StoreKind::Embedded | StoreKind::Memory => PERSIST_AFTER_MS,
        },
    }
}

fn engine_settings(config: &Config, journaling: Option<&Journaling>) -> EngineSettings {
    EngineSettings {
        durability: match (config.durability, journaling) {
            (_, Some(journaling)) => engine::Durability::Journal(journaling.journal.clone()),
            (Durability::Store, None) => engine::Durability::Store,
            (Durability::Memory | Durability::Journal, None) => engine::Durability::Memory,
        },
        concurrent_loads: config.max_concurrent_loads,
        tombstone_ttl_ms: config.tombstone_ttl.as_millis() as u64,
        watched_users: config.max_watched_users,
        waiting_changes: (config.watch_memory / engine::CHANGE_BYTES) as usize,
        waiting_changes_per_watch: config.max_watch_queue,
    }
}
