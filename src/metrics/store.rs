//! Operations of the store: how long they take and how they fail.

use std::time::Duration;

use prometheus::{Histogram, IntCounterVec, Registry};

use super::{MetricsError, family};

/// From a warm read to a commit that hangs.
pub(super) const BUCKETS_SECONDS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// The kinds of errors, as `StoreError::kind` names them.
pub(super) const ERROR_KINDS: [&str; 5] =
    ["unavailable", "corrupt", "newer_format", "io", "closed"];

/// What a store is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// One state.
    Load,
    /// The states of several keys.
    LoadMany,
    /// A page of a user's states.
    LoadUser,
    /// A batch of rows.
    Commit,
    /// Making commits durable.
    Persist,
    /// Removing a user.
    DeleteUser,
    /// A page of all states.
    Scan,
    /// Removing old tombstones.
    Expire,
}

impl StoreOperation {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Load,
        Self::LoadMany,
        Self::LoadUser,
        Self::Commit,
        Self::Persist,
        Self::DeleteUser,
        Self::Scan,
        Self::Expire,
    ];

    /// The name, as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::LoadMany => "load_many",
            Self::LoadUser => "load_user",
            Self::Commit => "commit",
            Self::Persist => "persist",
            Self::DeleteUser => "delete_user",
            Self::Scan => "scan",
            Self::Expire => "expire",
        }
    }
}

/// The metrics of one operation.
#[derive(Debug)]
pub struct OperationMetrics {
    operation: StoreOperation,
    seconds: Histogram,
    errors: IntCounterVec,
}

impl OperationMetrics {
    /// Counts one that took `elapsed`, whether or not it succeeded.
    pub fn observe(&self, elapsed: Duration) {
        self.seconds.observe(elapsed.as_secs_f64());
    }

    /// Counts one that failed with an error of `kind`.
    pub fn fail(&self, kind: &'static str) {
        self.errors.with_label_values(&[self.operation.label(), kind]).inc();
    }
}

/// The metrics of every operation.
#[derive(Debug)]
pub struct StoreMetrics {
    operations: [OperationMetrics; StoreOperation::ALL.len()],
}

impl StoreMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let seconds = family::histograms(
            registry,
            "readstates_store_operation_seconds",
            "Time of one operation of the store.",
            &["operation"],
            &BUCKETS_SECONDS,
        )?;
        let errors = family::counters(
            registry,
            "readstates_store_errors_total",
            "Operations of the store that failed, by kind of error.",
            &["operation", "kind"],
        )?;
        let mut operations = Vec::with_capacity(StoreOperation::ALL.len());
        for operation in StoreOperation::ALL {
            for kind in ERROR_KINDS {
                errors.get_metric_with_label_values(&[operation.label(), kind])?;
            }
            operations.push(OperationMetrics {
                operation,
                seconds: seconds.get_metric_with_label_values(&[operation.label()])?,
                errors: errors.clone(),
            });
        }
        Ok(Self { operations: operations.try_into().expect("one was made per operation") })
    }

    /// Counts one `operation` that took `elapsed`, and failed with an error of that kind if given.
    pub fn record(
        &self,
        operation: StoreOperation,
        elapsed: Duration,
        error_kind: Option<&'static str>,
    ) {
        let metrics = self.operation(operation);
        metrics.observe(elapsed);
        if let Some(kind) = error_kind {
            metrics.fail(kind);
        }
    }

    /// The metrics of `operation`.
    pub fn operation(&self, operation: StoreOperation) -> &OperationMetrics {
        &self.operations[operation as usize]
    }
}
