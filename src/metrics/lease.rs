//! The lease: whether this service holds it, for how long still, and how its renewals go.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::{
    MetricsError, family,
    snapshot::{Series, gauge},
};

/// How a renewal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The database confirmed it.
    Renewed,
    /// It came to nothing, or nobody knows yet; the next one tries again.
    Failed,
    /// The lease is another's, for good.
    Lost,
}

impl Renewal {
    const ALL: [Self; 3] = [Self::Renewed, Self::Failed, Self::Lost];

    fn label(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// The lease at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LeaseSnapshot {
    /// This service may serve.
    pub held: bool,
    /// Which ownership this is, counted over all owners; 0 before the first.
    pub epoch: u64,
    /// Time for which it is still held if no renewal succeeds any more; 0 where it is not.
    pub deadline_seconds: f64,
}

pub(super) static SERIES: [Series<LeaseSnapshot>; 3] = [
    gauge(
        "readstates_lease_held",
        "1 while this service holds the lease on its keyspace and may serve.",
        |lease| f64::from(u8::from(lease.held)),
    ),
    gauge(
        "readstates_lease_epoch",
        "Which ownership of the keyspace this service has, counted over all owners.",
        |lease| lease.epoch as f64,
    ),
    gauge(
        "readstates_lease_deadline_seconds",
        "Time for which the lease is still held if no renewal succeeds any more.",
        |lease| lease.deadline_seconds,
    ),
];

/// What the lease counts itself. Clones count together.
#[derive(Clone, Debug)]
pub struct LeaseMetrics {
    renewals: IntCounterVec,
    unknown: IntCounter,
}

impl LeaseMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let renewals = family::counters(
            registry,
            "readstates_lease_renewals_total",
            "Renewals of the lease, by how they ended.",
            &["result"],
        )?;
        for renewal in Renewal::ALL {
            renewals.get_metric_with_label_values(&[renewal.label()])?;
        }
        let unknown = family::counter(
            registry,
            "readstates_lease_unknown_total",
            "Transactions on the lease of unknown outcome, each followed by a serial read.",
        )?;
        Ok(Self { renewals, unknown })
    }

    /// Counts a renewal, or a rise of the ceiling, which renews as well.
    pub fn renewal(&self, end: Renewal) {
        self.renewals.with_label_values(&[end.label()]).inc();
    }

    /// Counts a transaction whose outcome only the row can tell.
    pub fn unknown(&self) {
        self.unknown.inc();
    }
}
