//! Write-behind: how much is written, how long it takes and how often it fails.

use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use super::{MetricsError, family, store::BUCKETS_SECONDS};

/// The metrics of the flusher.
#[derive(Debug)]
pub struct FlushMetrics {
    /// Batches that the store confirmed, whole or in part.
    pub batches: IntCounter,
    /// Rows that the store confirmed.
    pub rows: IntCounter,
    /// Batches that failed as a whole, and batches of which rows failed.
    pub failures: IntCounter,
    /// Rows that were not written and go into another batch.
    pub retries: IntCounter,
    /// Time from collecting a batch to settling it.
    pub seconds: Histogram,
    /// How long the store has been at the write that is under way.
    pub write_seconds: IntGauge,
}

impl FlushMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let counter = |name, help| family::counter(registry, name, help);
        Ok(Self {
            batches: counter(
                "readstates_flush_batches_total",
                "Batches that the store confirmed, whole or in part.",
            )?,
            rows: counter("readstates_flush_rows_total", "Rows that the store confirmed.")?,
            failures: counter(
                "readstates_flush_failures_total",
                "Batches that failed, whole or in part.",
            )?,
            retries: counter(
                "readstates_flush_retries_total",
                "Rows that were not written and go into another batch.",
            )?,
            seconds: family::histogram(
                registry,
                "readstates_flush_seconds",
                "Time from collecting a batch to settling it.",
                &BUCKETS_SECONDS,
            )?,
            write_seconds: family::gauge(
                registry,
                "readstates_flush_write_running_seconds",
                "How long the store has been at the commit, deletion or persist that is under \
                 way, 0 while there is none.",
            )?,
        })
    }
}
