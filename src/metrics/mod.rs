//! All metrics of a server: every name stands in this room, every handle is resolved once at start,
//! and nothing touches a global registry, so tests can run many servers side by side.
//!
//! Names follow Prometheus (`_total`, base units) and, for calls, go-grpc-middleware, so that
//! dashboards made for other gRPC servers work. Nothing is labelled by user or channel.

mod cache;
mod connections;
mod doors;
mod family;
mod flush;
mod journal;
mod lease;
mod memory;
mod offer;
mod rejections;
mod rpc;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod tls;
#[cfg(feature = "otel")]
mod traces;
mod watch;

use prometheus::{IntCounter, IntGauge, Registry, TextEncoder};

pub use cache::CacheSnapshot;
pub use connections::ConnectionMetrics;
pub use doors::DoorMetrics;
pub use flush::FlushMetrics;
pub use journal::{JournalMetrics, JournalSnapshot};
pub use lease::{LeaseMetrics, LeaseSnapshot, Renewal};
pub use memory::MemoryMetrics;
pub use offer::OfferMetrics;
pub use rejections::RejectionMetrics;
pub use rpc::{CallType, RpcMetrics, RpcTable};
pub use store::{OperationMetrics, StoreMetrics, StoreOperation};
pub use tls::TlsMetrics;
#[cfg(feature = "otel")]
pub use traces::TraceMetrics;
pub use watch::{WatchEnd, WatchMetrics};

use snapshot::{SnapshotCollector, Source};

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Why metrics could not be made or written: a name twice, or a label that is not one.
pub type MetricsError = prometheus::Error;

/// Every metric of one server.
pub struct Metrics {
    registry: Registry,
    cache: Source<CacheSnapshot>,
    journal_now: Source<JournalSnapshot>,
    lease_now: Source<LeaseSnapshot>,
    /// Calls by method.
    pub rpc: RpcTable,
    /// Calls being served now.
    pub in_flight_requests: IntGauge,
    /// Connections of the gRPC port.
    pub connections: ConnectionMetrics,
    /// The memory of the process.
    pub memory: MemoryMetrics,
    /// Who may call, and who was refused.
    pub doors: DoorMetrics,
    /// Calls refused because a bound is reached.
    pub rejections: RejectionMetrics,
    /// Misses that waited for a load which another call had begun.
    pub coalesced_loads: IntCounter,
    /// Loads from the store going on now.
    pub loads_in_flight: IntGauge,
    /// Write-behind.
    pub flush: FlushMetrics,
    /// What the crash journal counts itself.
    pub journal: JournalMetrics,
    /// What the lease on a shared keyspace counts itself.
    pub lease: LeaseMetrics,
    /// What deposed owners of a shared keyspace had not flushed.
    pub offers: OfferMetrics,
    /// Operations of the store.
    pub store: StoreMetrics,
    /// The certificates of the gRPC port.
    pub tls: TlsMetrics,
    /// Watches.
    pub watch: WatchMetrics,
}

impl Metrics {
    /// All series at zero, in a registry of their own.
    ///
    /// Fails only if two metrics have one name or a name is not one, which a test would show.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let cache = Source::default();
        registry.register(Box::new(SnapshotCollector::new(&cache::SERIES, cache.clone())?))?;
        let journal_now = Source::default();
        let shown = SnapshotCollector::new(&journal::SERIES, journal_now.clone())?;
        registry.register(Box::new(shown))?;
        let lease_now = Source::default();
        registry.register(Box::new(SnapshotCollector::new(&lease::SERIES, lease_now.clone())?))?;
        register_process(&registry)?;
        register_build(&registry)?;
        Ok(Self {
            rpc: RpcTable::new(&registry)?,
            in_flight_requests: family::gauge(
                &registry,
                "readstates_in_flight_requests",
                "Calls being served now.",
            )?,
            connections: ConnectionMetrics::new(&registry)?,
            memory: MemoryMetrics::new(&registry)?,
            doors: DoorMetrics::new(&registry)?,
            rejections: RejectionMetrics::new(&registry)?,
            coalesced_loads: family::counter(
                &registry,
                "readstates_coalesced_loads_total",
                "Misses that waited for a load which another call had begun.",
            )?,
            loads_in_flight: family::gauge(
                &registry,
                "readstates_loads_in_flight",
                "Loads from the store going on now.",
            )?,
            flush: FlushMetrics::new(&registry)?,
            journal: JournalMetrics::new(&registry)?,
            lease: LeaseMetrics::new(&registry)?,
            offers: OfferMetrics::new(&registry)?,
            store: StoreMetrics::new(&registry)?,
            tls: TlsMetrics::new(&registry)?,
            watch: WatchMetrics::new(&registry)?,
            cache,
            journal_now,
            lease_now,
            registry,
        })
    }

    /// Those of traces, which are shown only where calls are traced.
    ///
    /// # Errors
    /// The second time.
    #[cfg(feature = "otel")]
    pub fn traces(&self) -> Result<TraceMetrics, MetricsError> {
        TraceMetrics::new(&self.registry)
    }

    /// Says where the cache's numbers come from: `source` is called at every scrape, so it must be
    /// quick and must not wait. Until then they are zero. Only the first call counts; the later
    /// ones return false.
    pub fn observe_cache(
        &self,
        source: impl Fn() -> CacheSnapshot + Send + Sync + 'static,
    ) -> bool {
        self.cache.set(Box::new(source))
    }

    /// As [`Metrics::observe_cache`], for the crash journal.
    pub fn observe_journal(
        &self,
        source: impl Fn() -> JournalSnapshot + Send + Sync + 'static,
    ) -> bool {
        self.journal_now.set(Box::new(source))
    }

    /// As [`Metrics::observe_cache`], for the lease on a shared keyspace.
    pub fn observe_lease(
        &self,
        source: impl Fn() -> LeaseSnapshot + Send + Sync + 'static,
    ) -> bool {
        self.lease_now.set(Box::new(source))
    }

    /// All metrics in Prometheus' text format, as they are now.
    pub fn encode(&self) -> Result<String, MetricsError> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(target_os = "linux")]
fn register_process(registry: &Registry) -> Result<(), MetricsError> {
    use prometheus::process_collector::ProcessCollector;
    registry.register(Box::new(ProcessCollector::for_self()))
}

#[cfg(not(target_os = "linux"))]
fn register_process(_: &Registry) -> Result<(), MetricsError> {
    Ok(())
}

/// A series that is always 1 and says by its labels what is running.
fn register_build(registry: &Registry) -> Result<(), MetricsError> {
    let labels = [env!("CARGO_PKG_VERSION"), env!("READSTATES_RUSTC")];
    let build = family::gauges(
        registry,
        "readstates_build_info",
        "What is running; always 1.",
        &["version", "rustc"],
    )?;
    build.get_metric_with_label_values(&labels)?.set(1);
    Ok(())
}
