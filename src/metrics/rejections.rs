//! Calls and items refused because a stated bound is reached, by reason, and those of them that
//! are told later.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{MetricsError, family};

/// One counter per reason; the labels are the contract's reasons in small letters.
#[derive(Debug)]
pub struct RejectionMetrics {
    /// Too many calls at once.
    pub too_many_requests: IntCounter,
    /// Too many states wait to be written.
    pub dirty_limit: IntCounter,
    /// The journal's disk is full.
    pub disk_full: IntCounter,
    /// The server is shutting down.
    pub draining: IntCounter,
    /// The keyspace is not, or not for certain, this server's.
    pub not_owner: IntCounter,
    /// A watcher did not read.
    pub slow_consumer: IntCounter,
    /// The connection has as much under way as is left for all others.
    pub share: IntCounter,
    /// `max-in-flight`, or the share of it that such calls have.
    pub in_flight: IntCounter,
    /// `max-bulk-in-flight`.
    pub bulk_in_flight: IntCounter,
    /// `max-streams`.
    pub streams: IntCounter,
    /// `max-answer-memory`.
    pub waiting_bytes: IntCounter,
    /// The process has nearly as much memory as it may have.
    pub memory: IntCounter,
    /// Refusals that are told later.
    pub waiting: IntGauge,
}

impl RejectionMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let rejected = family::counters(
            registry,
            "readstates_requests_rejected_total",
            "Calls, and items of calls, refused because a bound is reached.",
            &["reason"],
        )?;
        let reason = |label: &str| rejected.get_metric_with_label_values(&[label]);
        Ok(Self {
            too_many_requests: reason("too_many_requests")?,
            dirty_limit: reason("dirty_limit")?,
            disk_full: reason("disk_full")?,
            draining: reason("draining")?,
            not_owner: reason("not_owner")?,
            slow_consumer: reason("slow_consumer")?,
            share: reason("connection_share")?,
            in_flight: reason("in_flight")?,
            bulk_in_flight: reason("bulk_in_flight")?,
            streams: reason("streams")?,
            waiting_bytes: reason("answer_memory")?,
            memory: reason("memory")?,
            waiting: family::gauge(
                registry,
                "readstates_refusals_waiting",
                "Calls that are refused and are told so later, as too many are refused.",
            )?,
        })
    }
}
