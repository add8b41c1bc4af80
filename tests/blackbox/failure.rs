//! What every error must carry.

use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

/// The error of a call that must fail.
#[track_caller]
pub fn failed<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> Status {
    answer.expect_err("the call is refused")
}

/// The reason of an error; its domain is ours.
#[track_caller]
pub fn reason(status: &Status) -> String {
    let Some(reason) = status.get_details_error_info() else {
        panic!("no ErrorInfo in {status:?}");
    };
    assert_eq!(reason.domain, "readstates", "{status:?}");
    assert!(!reason.reason.is_empty(), "{status:?}");
    assert!(!status.message().is_empty(), "{status:?}");
    reason.reason
}

/// The paths of the fields at fault.
#[track_caller]
pub fn fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations);
    violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}

/// Asserts INVALID_ARGUMENT with this reason and this field at fault.
#[track_caller]
pub fn assert_invalid<T: std::fmt::Debug>(
    answer: Result<Response<T>, Status>,
    expected_reason: &str,
    expected_field: &str,
) {
    let status = failed(answer);
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(reason(&status), expected_reason, "{status:?}");
    assert_eq!(fields(&status), [expected_field], "{status:?}");
}
