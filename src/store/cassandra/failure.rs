//! What the driver says, as errors of a store. Nothing that a cluster answers is final: nodes come
//! back, tables are made, rights are given; so all of it may be tried again.

use std::fmt::Display;

use crate::store::StoreError;

/// A request did not succeed, or its outcome is unknown.
pub(super) fn unavailable(error: impl Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// The cluster is there and not as it should be.
pub(super) fn invalid(words: String) -> StoreError {
    StoreError::Unavailable(words)
}
