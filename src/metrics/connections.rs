//! Connections of the gRPC port: how many each runtime has, those that came to no call, and those
//! that were cut.

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Registry};

use super::{MetricsError, family};

/// The metrics of connections; clones share them.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    open: IntGaugeVec,
    /// Times that the system would not let a connection be accepted.
    pub accept_errors: IntCounter,
    /// Connections closed as they came.
    pub rejected: RejectedConnections,
    /// Connections that came to no call.
    pub handshake_failures: HandshakeFailures,
    /// Connections that were ended from this side without waiting for calls they may have had.
    pub cut: CutConnections,
    /// Bytes of answers, of some size, that callers have yet to take.
    pub waiting_bytes: IntGauge,
}

/// By the bound that was reached.
#[derive(Clone, Debug)]
pub struct RejectedConnections {
    /// `max-connections`.
    pub everybody: IntCounter,
    /// `max-connections-per-peer`.
    pub peer: IntCounter,
}

/// By what failed.
#[derive(Clone, Debug)]
pub struct HandshakeFailures {
    /// It was not through in time.
    pub timeout: IntCounter,
    /// Encryption, certificates included.
    pub tls: IntCounter,
    /// The peer does not speak HTTP/2.
    pub preface: IntCounter,
}

/// By the reason.
#[derive(Clone, Debug)]
pub struct CutConnections {
    /// Its calls had not ended when the grace of its age was over.
    pub age: IntCounter,
    /// The certificate of its peer had run out.
    pub certificate: IntCounter,
    /// Its peer took nothing of what waited for it.
    pub stall: IntCounter,
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
            rejected: RejectedConnections::new(registry)?,
            handshake_failures: HandshakeFailures::new(registry)?,
            cut: CutConnections::new(registry)?,
            waiting_bytes: family::gauge(
                registry,
                "readstates_answers_waiting_bytes",
                "Bytes of answers that callers have yet to take; answers below 1 KiB do not count.",
            )?,
        })
    }

    /// The open connections of one runtime, by its name. There are as many names as serving
    /// threads, at most.
    pub fn of(&self, runtime: &str) -> IntGauge {
        self.open.with_label_values(&[runtime])
    }
}

impl RejectedConnections {
    fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let rejected = family::counters(
            registry,
            "readstates_connections_rejected_total",
            "Connections closed as they came, by the bound that was reached.",
            &["reason"],
        )?;
        let reason = |label: &str| rejected.get_metric_with_label_values(&[label]);
        Ok(Self {
            everybody: reason("max_connections")?,
            peer: reason("max_connections_per_peer")?,
        })
    }
}

impl HandshakeFailures {
    fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let failures = family::counters(
            registry,
            "readstates_handshake_failures_total",
            "Connections that came to no call.",
            &["reason"],
        )?;
        let reason = |label: &str| failures.get_metric_with_label_values(&[label]);
        Ok(Self { timeout: reason("timeout")?, tls: reason("tls")?, preface: reason("preface")? })
    }
}

impl CutConnections {
    fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let cut = family::counters(
            registry,
            "readstates_connections_cut_total",
            "Connections that were ended without waiting for calls they may have had.",
            &["reason"],
        )?;
        let reason = |label: &str| cut.get_metric_with_label_values(&[label]);
        Ok(Self {
            age: reason("age")?,
            certificate: reason("certificate")?,
            stall: reason("stall")?,
        })
    }
}
