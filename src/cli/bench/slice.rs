//! What one thread measured in one window.

use std::collections::BTreeMap;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::cli::{
    failure::{code_name, is_local},
    latency::Latency,
};

/// Kinds of errors that are told apart; what comes beyond that is counted together.
const ERROR_KINDS_MAX: usize = 64;
/// What those are called.
const OTHERS: &str = "others";

/// Failed operations by what went wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors(BTreeMap<String, u64>);

impl Errors {
    /// Counts `operations` that failed in this way.
    pub fn count(&mut self, kind: &str, operations: u64) {
        if let Some(counted) = self.0.get_mut(kind) {
            *counted += operations;
        } else if self.0.len() < ERROR_KINDS_MAX {
            self.0.insert(kind.to_owned(), operations);
        } else {
            *self.0.entry(OTHERS.to_owned()).or_default() += operations;
        }
    }

    /// Failed operations of all kinds.
    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }

    /// Counts all errors of `others` too.
    pub fn absorb(&mut self, others: &Self) {
        others.0.iter().for_each(|(kind, count)| self.count(kind, *count));
    }

    /// By kind, to be told.
    pub fn into_kinds(self) -> BTreeMap<String, u64> {
        self.0
    }
}

/// Of operations whose connection broke.
const LOST: &str = "connection lost";
/// Of operations that were still unanswered when waiting for them was given up.
pub const UNANSWERED: &str = "unanswered";

/// Whether this kind of error says that there was no server, or one that took no calls.
pub fn is_absence(kind: &str) -> bool {
    [LOST, UNANSWERED].contains(&kind) || kind.starts_with(code_name(Code::Unavailable))
}

/// The code of a failed call and its reason; of one that the connection failed, that.
pub fn error_kind(status: &Status) -> String {
    if is_local(status) {
        return LOST.to_owned();
    }
    let reason = status.get_details_error_info().map(|error| error.reason);
    named(code_name(status.code()), reason.as_deref().unwrap_or_default())
}

/// A code with its reason, which may be empty.
pub fn named(code: &str, reason: &str) -> String {
    if reason.is_empty() { code.to_owned() } else { format!("{code} {reason}") }
}

/// Counts of calls, and what they were made of.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// The window, from 0.
    pub window: usize,
    /// Of the calls that were answered.
    pub latency: Latency,
    /// Of the same, from when they were sent.
    pub service: Latency,
    /// Calls that were answered.
    pub calls: u64,
    /// Operations that were done.
    pub operations: u64,
    /// Those of the calls that were answered only after the end.
    pub late_calls: u64,
    /// Those of the operations that were done in calls answered after the end.
    pub late_operations: u64,
    /// Operations that were not done.
    pub errors: Errors,
}

impl Slice {
    /// Counts everything in `other` too, which is of the same window.
    pub fn absorb(&mut self, other: &Self) {
        self.latency.absorb(&other.latency);
        self.service.absorb(&other.service);
        self.calls += other.calls;
        self.operations += other.operations;
        self.late_calls += other.late_calls;
        self.late_operations += other.late_operations;
        self.errors.absorb(&other.errors);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, io};

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn errors_are_told_by_code_and_reason() {
        let details = ErrorDetails::with_error_info("DIRTY_LIMIT", "readstates", HashMap::new());
        let status = Status::with_error_details(Code::ResourceExhausted, "full", details);
        assert_eq!(error_kind(&status), "RESOURCE_EXHAUSTED DIRTY_LIMIT");
        assert_eq!(error_kind(&Status::internal("x")), "INTERNAL");
        let broken = Status::from_error(Box::new(io::Error::other("reset")));
        assert_eq!(error_kind(&broken), LOST);
        let absences = [broken, Status::unavailable(""), status]
            .map(|status| is_absence(&error_kind(&status)));
        assert_eq!(absences, [true, true, false]);
    }

    #[test]
    fn kinds_beyond_the_limit_are_counted_together() {
        let mut errors = Errors::default();
        for kind in 0..1_000 {
            errors.count(&kind.to_string(), 2);
        }
        let mut sum = Errors::default();
        sum.absorb(&errors);
        sum.absorb(&errors);
        assert_eq!(sum.sum(), 4_000);
        assert!(sum.into_kinds().len() <= ERROR_KINDS_MAX + 1);
    }
}
