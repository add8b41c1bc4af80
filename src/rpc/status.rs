//! Errors on their way to the caller: every one with its reason, and what helps to act on it.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::reason::Reason;
use crate::engine::Error;

/// The `domain` of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "readstates";

/// When to come back after a refusal for lack of room.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// A call or item that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub reason: Reason,
    pub message: String,
    /// The path of the field at fault; empty where it is none's.
    pub field: String,
    /// The state's current version, where a guard did not match it.
    pub current_version: Option<u64>,
    /// When to come back, where that makes sense.
    retry_after: Option<Duration>,
}

impl Failure {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let (message, retry_after) = (message.into(), retry_after(reason));
        Self { reason, message, field: String::new(), current_version: None, retry_after }
    }

    /// The same failure, to be tried again after so long.
    pub fn after_ms(self, pause_ms: u64) -> Self {
        Self { retry_after: Some(Duration::from_millis(pause_ms)), ..self }
    }

    /// A request that is wrong in the field of that path.
    pub fn of_field(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), ..Self::new(reason, message) }
    }

    /// The same failure, found within `prefix`.
    pub fn within(mut self, prefix: &str) -> Self {
        self.field = format!("{prefix}.{}", self.field);
        self
    }

    /// The code of its reason, as results of items carry it.
    pub fn code(&self) -> i32 {
        self.reason.code() as i32
    }

    fn details(&self) -> ErrorDetails {
        let mut metadata = HashMap::new();
        if let Some(version) = self.current_version {
            metadata.insert("current_version".to_owned(), version.to_string());
        }
        let mut details = ErrorDetails::with_error_info(self.reason.name(), DOMAIN, metadata);
        if !self.field.is_empty() {
            details.add_bad_request_violation(&self.field, &self.message);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        details
    }
}

/// Where coming back helps.
fn retry_after(reason: Reason) -> Option<Duration> {
    match reason {
        Reason::DirtyLimit
        | Reason::TooManyRequests
        | Reason::SlowConsumer
        | Reason::StoreUnavailable
        | Reason::JournalFailed
        | Reason::DiskFull
        | Reason::Draining
        | Reason::NotOwner => Some(RETRY_AFTER),
        _ => None,
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let message = if failure.field.is_empty() {
            failure.message.clone()
        } else {
            format!("{}: {}", failure.field, failure.message)
        };
        let code = failure.reason.code();
        let mut status = Self::with_error_details(code, message, failure.details());
        if let Some(delay) = failure.retry_after {
            let delay_ms = MetadataValue::from(delay.as_millis() as u64);
            status.metadata_mut().insert("grpc-retry-pushback-ms", delay_ms);
        }
        status
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let reason = match &error {
            Error::NotFound => Reason::ReadStateNotFound,
            Error::Mismatch(_) => Reason::VersionMismatch,
            Error::InvalidPageToken => {
                return Self::of_field(Reason::InvalidPageToken, "page_token", error.to_string());
            }
            Error::AheadOfClock { place } => {
                let field = format!("states[{place}].version");
                return Self::of_field(Reason::InvalidState, field, error.to_string());
            }
            Error::UnknownLine => {
                return Self::of_field(Reason::InvalidState, "version", error.to_string());
            }
            Error::DirtyLimit => Reason::DirtyLimit,
            Error::TooManyLoads
            | Error::TooManyImports
            | Error::VerifyUnderWay
            | Error::TooManyWatched
            | Error::TooManyWatchers => Reason::TooManyRequests,
            Error::SlowConsumer => Reason::SlowConsumer,
            Error::Draining => Reason::Draining,
            Error::Corrupt(_) => Reason::StoreCorrupt,
            Error::JournalFailed(_) => Reason::JournalFailed,
            Error::DiskFull(_) => Reason::DiskFull,
            Error::Store(_) | Error::NotDurable => Reason::StoreUnavailable,
        };
        let current_version = match &error {
            Error::Mismatch(view) => Some(view.version.as_micros()),
            _ => None,
        };
        let message = match &error {
            // Who asks for a damaged state is told which one it is.
            Error::Corrupt(damage) => damage.named(),
            _ => error.to_string(),
        };
        Self { current_version, ..Self::new(reason, message) }
    }
}

/// What the contract says of an error that tonic made by itself, where it says anything.
pub(super) fn reason_of_tonic(status: &Status) -> Option<Failure> {
    let failure = match status.code() {
        Code::OutOfRange => Failure::of_field(Reason::MessageTooLarge, "request", status.message()),
        Code::Internal => Failure::new(Reason::MalformedRequest, status.message()),
        // Of a method that is not there tonic says nothing but the code.
        Code::Unimplemented if status.message().is_empty() => {
            Failure::new(Reason::Unimplemented, "there is no such method here")
        }
        Code::Unimplemented => Failure::new(Reason::Unimplemented, status.message()),
        _ => return None,
    };
    Some(failure)
}

/// An engine's error as a status.
pub(super) fn refused(error: Error) -> Status {
    Failure::from(error).into()
}
