//! The memory of the process against what it may have.

use prometheus::{IntGauge, Registry};

use super::{MetricsError, family};

/// The metrics of memory.
#[derive(Debug)]
pub struct MemoryMetrics {
    /// Bytes that the system cannot take back, at the last look.
    pub used_bytes: IntGauge,
    /// Bytes that the process may have; 0 where there is no such limit.
    pub limit_bytes: IntGauge,
}

impl MemoryMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            used_bytes: family::gauge(
                registry,
                "readstates_memory_used_bytes",
                "Memory of the process that the system cannot take back.",
            )?,
            limit_bytes: family::gauge(
                registry,
                "readstates_memory_limit_bytes",
                "Memory that the process may have; 0 without a limit.",
            )?,
        })
    }
}
