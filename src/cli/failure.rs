//! How a subcommand ends: exit codes, and errors told so that a person can act on them.

use std::{
    error::Error as _,
    fmt::Write as _,
    io,
    process::{ExitCode, Termination},
};

use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt as _;

use super::{output::complain, replay::InputError};
use crate::{
    journal::{JournalError, OfferError},
    store::StoreError,
};

/// How the program exits. The numbers follow sysexits.h where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and verified where that was asked for.
    Done = 0,
    /// It failed, was refused, or what was found is not what should be there.
    Failed = 1,
    /// Bad flags, or a file named on the command line that cannot be opened.
    Usage = 64,
    /// The server cannot be reached, does not answer, or says that it is unavailable.
    Unavailable = 69,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}

/// Why a subcommand could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The server refused, or could not be asked.
    #[error("{}", describe(.0))]
    Call(Box<Status>),
    /// The server answered against its own contract.
    #[error("the server broke its contract: {0}")]
    Contract(String),
    /// A trace or truth is not to be had or malformed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The files of a journal were not what they should be.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A cluster refused, or could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A journal could not be offered.
    #[error(transparent)]
    Offer(OfferError),
    /// The answer could not be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

impl From<OfferError> for Failure {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Journal(error) => Self::Journal(error),
            OfferError::Store(error) => Self::Store(error),
            other => Self::Offer(other),
        }
    }
}

impl Failure {
    /// The exit code that tells this failure from others.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Input(error) if error.is_unopened() => Exit::Usage,
            Self::Call(status) if is_unreachable(status) => Exit::Unavailable,
            Self::Store(StoreError::Unavailable(_)) => Exit::Unavailable,
            Self::Call(_)
            | Self::Contract(_)
            | Self::Input(_)
            | Self::Journal(_)
            | Self::Store(_)
            | Self::Offer(_)
            | Self::Output(_) => Exit::Failed,
        }
    }

    /// Prints it on stderr. A reader that went away (`| head`) needs no telling.
    pub fn print(&self) {
        if !matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            complain(&format!("readstates: {self}"));
        }
    }
}

/// Whether the server was not there for this call, or said that it cannot take calls.
pub fn is_unreachable(status: &Status) -> bool {
    status.code() == Code::Unavailable || is_local(status)
}

/// Whether the status was made on this side, from a broken connection or a deadline: what a server
/// sends has no source.
pub fn is_local(status: &Status) -> bool {
    status.source().is_some()
}

/// Code, reason and message on one line; each bad field, and the name that the call may have in the
/// log of the server, on lines of their own.
pub fn describe(status: &Status) -> String {
    let mut text = code_name(status.code()).to_owned();
    if let Some(error) = status.get_details_error_info() {
        text.extend([" ", &error.reason]);
    }
    text.extend([": ", status.message()]);
    if let Some(cause) = root_cause(status) {
        text.extend([": ", &cause]);
    }
    for violation in
        status.get_details_bad_request().into_iter().flat_map(|bad| bad.field_violations)
    {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {}: {}", violation.field, violation.description);
    }
    let id = status.metadata().get("x-request-id").and_then(|id| id.to_str().ok());
    if let Some(id) = id {
        text.extend(["\n  request_id: ", id]);
    }
    text
}

/// What lies under "transport error", such as a refused connection.
fn root_cause(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if cause.is::<TimeoutExpired>() {
        return Some("no answer within the deadline".to_owned());
    }
    let text = cause.to_string();
    (text != status.message()).then_some(text)
}

/// The code's name as the gRPC specification writes it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn refusal(code: Code) -> Status {
        let mut details = ErrorDetails::with_error_info("INVALID_ID", "readstates", HashMap::new());
        details.add_bad_request_violation("user_id", "must not be 0");
        Status::with_error_details(code, "bad id", details)
    }

    #[test]
    fn a_refusal_is_told_with_code_reason_message_and_field() {
        let text = describe(&refusal(Code::InvalidArgument));
        assert_eq!(text, "INVALID_ARGUMENT INVALID_ID: bad id\n  user_id: must not be 0");
    }

    #[test]
    fn the_name_of_a_call_in_the_log_of_the_server_is_told() {
        let mut status = refusal(Code::DataLoss);
        status.metadata_mut().insert("x-request-id", "0af7".parse().expect("it is a value"));
        assert!(describe(&status).ends_with("\n  request_id: 0af7"));
    }

    #[test]
    fn exit_codes_tell_a_refusal_from_an_absent_server() {
        assert_eq!(Failure::from(refusal(Code::InvalidArgument)).exit(), Exit::Failed);
        assert_eq!(Failure::from(refusal(Code::Unavailable)).exit(), Exit::Unavailable);
        let broken = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(Failure::from(broken).exit(), Exit::Unavailable);
        assert_eq!(Failure::Usage(String::new()).exit(), Exit::Usage);
    }

    #[test]
    fn a_deadline_is_told_as_one() {
        let late = Status::from_error(Box::new(TimeoutExpired(())));
        assert!(describe(&late).ends_with("no answer within the deadline"), "{}", describe(&late));
    }
}
