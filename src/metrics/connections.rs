//! Connections of the gRPC port: how many each runtime has, and those that could not be accepted.

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Registry};

use super::{MetricsError, family};

/// The metrics of connections.
#[derive(Debug)]
pub struct ConnectionMetrics {
    open: IntGaugeVec,
    /// Times that the system would not let a connection be accepted.
    pub accept_errors: IntCounter,
}

impl ConnectionMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            open: family::gauges(
                registry,
                "readstates_connections",
                "Open connections, by the runtime that serves them.",
                &["runtime"],
            )?,
            accept_errors: family::counter(
                registry,
                "readstates_accept_errors_total",
                "Times that the system refused to accept a connection.",
            )?,
        })
    }

    /// The open connections of one runtime, by its name. There are as many names as serving
    /// threads, at most.
    pub fn of(&self, runtime: &str) -> IntGauge {
        self.open.with_label_values(&[runtime])
    }
}
