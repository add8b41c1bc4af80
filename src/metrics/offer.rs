//! What deposed owners had not flushed, on its way to the owner of the keyspace.

use prometheus::{IntCounter, Registry};

use super::{MetricsError, family};

/// Records and failures, on both sides. Clones count together.
#[derive(Clone, Debug)]
pub struct OfferMetrics {
    /// Records that this service has put there while it stood by.
    pub offered: IntCounter,
    /// Records that changed something here.
    pub merged: IntCounter,
    /// Records that were known here, or older than what was.
    pub known: IntCounter,
    /// Looks and merges that came to nothing, and chunks that cannot be read.
    pub failures: IntCounter,
}

impl OfferMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let records = family::counters(
            registry,
            "readstates_offer_records_total",
            "Records of deposed owners: offered by this one, merged by it, or known to it before.",
            &["result"],
        )?;
        let result = |label: &str| records.get_metric_with_label_values(&[label]);
        Ok(Self {
            offered: result("offered")?,
            merged: result("merged")?,
            known: result("known")?,
            failures: family::counter(
                registry,
                "readstates_offer_failures_total",
                "Offers that could not be put, read or merged; each is tried again.",
            )?,
        })
    }
}
