//! The journal: how its commits go, how far durability is behind, and what it takes of the disk.

use prometheus::{Histogram, HistogramTimer, IntCounter, IntCounterVec, Registry};

use super::{
    MetricsError, family,
    snapshot::{Series, gauge},
};

/// From a quick disk's sync to one that hangs.
const BUCKETS_SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
    5.0,
];
/// From a lonely record to everything that may be pending.
const BUCKETS_RECORDS: [f64; 10] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0];
/// As for the records.
const BUCKETS_BYTES: [f64; 10] = [
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];

/// Why records are refused, as `JournalError::kind` names it.
pub(super) const REFUSALS: [&str; 4] = ["disk_full", "failed", "closed", "too_many"];

/// The journal at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JournalSnapshot {
    /// Records appended and not durable yet.
    pub durable_lag_records: u64,
    /// Their bytes.
    pub durable_lag_bytes: u64,
    /// Bytes reserved or appended, until they are durable.
    pub pending_bytes: u64,
    /// The most that they may be.
    pub pending_limit_bytes: u64,
    /// Bytes of all segment files.
    pub bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Time since the journal's horizon last moved, or had nothing to move over.
    pub checkpoint_age_seconds: f64,
    /// Time that the recovery at the start took.
    pub recovery_seconds: f64,
    /// Records that were recovered at the start.
    pub recovered_records: u64,
    /// Nothing is acknowledged any more.
    pub failed: bool,
}

pub(super) static SERIES: [Series<JournalSnapshot>; 10] = [
    gauge(
        "readstates_journal_durable_lag_records",
        "Records that are appended and not durable yet.",
        |journal| journal.durable_lag_records as f64,
    ),
    gauge(
        "readstates_journal_durable_lag_bytes",
        "Bytes of the records that are appended and not durable yet.",
        |journal| journal.durable_lag_bytes as f64,
    ),
    gauge(
        "readstates_journal_pending_bytes",
        "Bytes that are reserved or appended and not durable yet.",
        |journal| journal.pending_bytes as f64,
    ),
    gauge(
        "readstates_journal_pending_limit_bytes",
        "The most bytes that may be pending.",
        |journal| journal.pending_limit_bytes as f64,
    ),
    gauge("readstates_journal_bytes", "Bytes of all segment files.", |journal| {
        journal.bytes as f64
    }),
    gauge("readstates_journal_segments", "Segment files.", |journal| journal.segments as f64),
    gauge(
        "readstates_journal_checkpoint_age_seconds",
        "Time since the horizon last moved, or had nothing to move over.",
        |journal| journal.checkpoint_age_seconds,
    ),
    gauge(
        "readstates_journal_recovery_seconds",
        "Time that the recovery at the start took.",
        |journal| journal.recovery_seconds,
    ),
    gauge(
        "readstates_journal_recovered_records",
        "Records that were recovered at the start.",
        |journal| journal.recovered_records as f64,
    ),
    gauge(
        "readstates_journal_failed",
        "1 once a write or sync has failed: nothing is acknowledged any more.",
        |journal| f64::from(u8::from(journal.failed)),
    ),
];

/// What the journal counts itself. Clones count together.
#[derive(Clone, Debug)]
pub struct JournalMetrics {
    /// Groups made durable.
    pub commits: IntCounter,
    /// Records in a group.
    pub commit_records: Histogram,
    /// Bytes of a group.
    pub commit_bytes: Histogram,
    /// Seals written: the end of a group of records is then known to be one.
    pub seals: IntCounter,
    /// Checkpoints: copies of what is dirty, so that older segments can go.
    pub checkpoints: IntCounter,
    commit_seconds: Histogram,
    refused: IntCounterVec,
}

impl JournalMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let counter = |name, help| family::counter(registry, name, help);
        let histogram =
            |name, help, buckets: &[f64]| family::histogram(registry, name, help, buckets);
        let refused = family::counters(
            registry,
            "readstates_journal_refused_total",
            "Reservations that were refused, by reason.",
            &["reason"],
        )?;
        for reason in REFUSALS {
            refused.get_metric_with_label_values(&[reason])?;
        }
        Ok(Self {
            commits: counter("readstates_journal_commits_total", "Groups made durable.")?,
            commit_records: histogram(
                "readstates_journal_commit_records",
                "Records in a group.",
                &BUCKETS_RECORDS,
            )?,
            commit_bytes: histogram(
                "readstates_journal_commit_bytes",
                "Bytes of a group.",
                &BUCKETS_BYTES,
            )?,
            commit_seconds: histogram(
                "readstates_journal_commit_seconds",
                "Time of writing and syncing a group.",
                &BUCKETS_SECONDS,
            )?,
            checkpoints: counter(
                "readstates_journal_checkpoints_total",
                "Copies of what is dirty, made so that older segments can go.",
            )?,
            seals: counter("readstates_journal_seals_total", "Seals written.")?,
            refused,
        })
    }

    /// Begins to time a commit. It counts once it is observed or dropped, not if it is discarded.
    pub fn time_commit(&self) -> HistogramTimer {
        self.commit_seconds.start_timer()
    }

    /// Counts a reservation that was refused with an error of kind `reason`.
    pub fn refuse(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
