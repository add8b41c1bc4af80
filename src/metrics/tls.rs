//! The certificates of the gRPC port.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{MetricsError, family};

/// The metrics of certificates; clones share them.
#[derive(Clone, Debug)]
pub struct TlsMetrics {
    /// When the certificate runs out, in seconds since 1970; 0 without one.
    pub not_after_seconds: IntGauge,
    /// Times that new files were taken.
    pub reloads: IntCounter,
    /// Times that new files could not be used, or could not be read.
    pub reload_failures: IntCounter,
}

impl TlsMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            not_after_seconds: family::gauge(
                registry,
                "readstates_tls_certificate_not_after_seconds",
                "When the certificate of the gRPC port runs out, in seconds since 1970; 0 without.",
            )?,
            reloads: family::counter(
                registry,
                "readstates_tls_reloads_total",
                "Times that new certificates were taken.",
            )?,
            reload_failures: family::counter(
                registry,
                "readstates_tls_reload_failures_total",
                "Times that new certificates could not be used; those before stayed.",
            )?,
        })
    }
}
