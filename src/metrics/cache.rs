//! The cache's numbers: what a scrape shows of them.

use super::snapshot::{Series, counter, gauge};

/// The cache at one moment. Counters count since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CacheSnapshot {
    /// States in memory, victims included.
    pub entries: u64,
    /// The most states that may be in memory.
    pub capacity: u64,
    /// Memory of the states, by estimate.
    pub bytes: u64,
    /// Look-ups that found their state.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// States that left for others and were already written.
    pub evictions_clean: u64,
    /// States that left for others and had to be written first.
    pub evictions_dirty: u64,
    /// States that wait to be written, victims included.
    pub dirty: u64,
    /// The most states that may wait to be written.
    pub dirty_limit: u64,
    /// Age of the oldest change that is not yet written; 0 if there is none.
    pub oldest_dirty_age_seconds: f64,
    /// States evicted but not yet written.
    pub victims: u64,
    /// Changes refused because too many states wait to be written.
    pub dirty_refused: u64,
}

const EVICTIONS: Series<CacheSnapshot> = counter(
    "readstates_cache_evictions_total",
    "States that left memory for others: clean ones at once, dirty ones to be written first.",
    |cache| cache.evictions_clean as f64,
);

/// Series of one name stand together.
pub(super) static SERIES: [Series<CacheSnapshot>; 12] = [
    gauge("readstates_cache_entries", "States in memory, victims included.", |cache| {
        cache.entries as f64
    }),
    gauge("readstates_cache_capacity_entries", "The most states in memory.", |cache| {
        cache.capacity as f64
    }),
    gauge("readstates_cache_bytes", "Memory of the states, by estimate.", |cache| {
        cache.bytes as f64
    }),
    gauge("readstates_cache_victims", "States evicted but not yet written.", |cache| {
        cache.victims as f64
    }),
    counter("readstates_cache_hits_total", "Look-ups that found their state.", |cache| {
        cache.hits as f64
    }),
    counter("readstates_cache_misses_total", "Look-ups that went to the store.", |cache| {
        cache.misses as f64
    }),
    Series { label: Some(("state", "clean")), ..EVICTIONS },
    Series {
        label: Some(("state", "dirty")),
        value: |cache| cache.evictions_dirty as f64,
        ..EVICTIONS
    },
    gauge("readstates_dirty_entries", "States that wait to be written.", |cache| {
        cache.dirty as f64
    }),
    gauge("readstates_dirty_limit_entries", "The most states that may wait.", |cache| {
        cache.dirty_limit as f64
    }),
    gauge(
        "readstates_oldest_dirty_age_seconds",
        "Age of the oldest change that is not yet written.",
        |cache| cache.oldest_dirty_age_seconds,
    ),
    counter("readstates_dirty_refused_total", "Changes refused at the limit.", |cache| {
        cache.dirty_refused as f64
    }),
];
