//! The doors: calls that were not let in, and the callers that there are. No caller is named.

use prometheus::{Gauge, IntCounter, IntGauge, Opts, Registry};

use super::{MetricsError, family};

/// The metrics of who may call. Clones count together.
#[derive(Clone, Debug)]
pub struct DoorMetrics {
    /// Calls without credentials, or with such as are nobody's.
    pub no_credentials: IntCounter,
    /// Calls of callers whose time is over.
    pub expired: IntCounter,
    /// Calls of methods that need another role.
    pub role: IntCounter,
    /// Callers there are.
    pub callers: IntGauge,
    /// Of these, those whose time is over.
    pub expired_callers: IntGauge,
    /// Looks at the callers file that found it unreadable or wrong.
    pub reload_failures: IntCounter,
    /// When the callers were last taken from the file, in seconds since the Unix epoch.
    pub loaded_at_seconds: Gauge,
}

impl DoorMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let denied = family::counters(
            registry,
            "readstates_requests_denied_total",
            "Calls, and streams under way, refused because of who calls.",
            &["reason"],
        )?;
        let reason = |label: &str| denied.get_metric_with_label_values(&[label]);
        let gauge = |name: &str, help: &str| family::gauge(registry, name, help);
        let loaded_at_seconds = Gauge::with_opts(Opts::new(
            "readstates_callers_loaded_timestamp_seconds",
            "When the callers were last taken from their file; 0 without one.",
        ))?;
        registry.register(Box::new(loaded_at_seconds.clone()))?;
        Ok(Self {
            no_credentials: reason("no_credentials")?,
            expired: reason("expired")?,
            role: reason("role")?,
            callers: gauge("readstates_callers", "Callers that the callers file names.")?,
            expired_callers: gauge(
                "readstates_callers_expired",
                "Callers of the file whose time is over.",
            )?,
            reload_failures: family::counter(
                registry,
                "readstates_callers_reload_failures_total",
                "Looks at the callers file that found it unreadable or wrong.",
            )?,
            loaded_at_seconds,
        })
    }
}
