//! What became of the spans of traced calls.

use prometheus::{IntCounter, Registry};

use super::{MetricsError, family};

/// The metrics of traces.
#[derive(Clone, Debug)]
pub struct TraceMetrics {
    /// Spans that the collector took.
    pub sent: IntCounter,
    /// Spans that it did not take, or that did not reach it.
    pub failed: IntCounter,
    /// Spans that were not sent because too many waited.
    pub dropped: IntCounter,
}

impl TraceMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let spans = family::counters(
            registry,
            "readstates_trace_spans_total",
            "Spans of traced calls, by what became of them.",
            &["outcome"],
        )?;
        Ok(Self {
            sent: spans.get_metric_with_label_values(&["sent"])?,
            failed: spans.get_metric_with_label_values(&["failed"])?,
            dropped: spans.get_metric_with_label_values(&["dropped"])?,
        })
    }
}
