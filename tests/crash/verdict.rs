//! What an error tells of the call that it ends.

use std::error::Error as _;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Whether a call that failed was done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It was not, nor was any part of it, if it is about one state.
    Refused,
    /// A guard turned it away at this version.
    Mismatched { current: u64 },
    /// Nobody knows.
    Unknown,
    /// No such error may come of the calls that these tests make.
    Wrong,
}

/// What `status` says of its call.
pub fn verdict(status: &Status) -> Verdict {
    // What a server sends has no source: this one was made here, of a broken connection.
    if status.source().is_some() {
        return Verdict::Unknown;
    }
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Verdict::Unknown,
        Code::ResourceExhausted => Verdict::Refused,
        Code::Aborted => Verdict::Mismatched { current: current_version(status) },
        _ => Verdict::Wrong,
    }
}

fn current_version(status: &Status) -> u64 {
    let told = status.get_details_error_info().and_then(|told| {
        told.metadata.get("current_version").and_then(|version| version.parse().ok())
    });
    told.expect("a mismatch tells the current version")
}

/// As [`verdict`], of one item among many.
pub fn verdict_of_item(code: i32, version: u64) -> Verdict {
    match Code::from_i32(code) {
        Code::Unavailable | Code::DeadlineExceeded => Verdict::Unknown,
        Code::ResourceExhausted => Verdict::Refused,
        Code::Aborted => Verdict::Mismatched { current: version },
        _ => Verdict::Wrong,
    }
}
