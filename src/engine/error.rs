//! Why a verb was not done.

use crate::{journal::JournalError, model::View, store::StoreError};

/// A verb was not done, or its outcome cannot be shown yet. Nothing was acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such read state.
    #[error("there is no such read state")]
    NotFound,
    /// A guard did not match; the current state is given.
    #[error("the state has version {}, not the expected one", .0.version)]
    Mismatch(View),
    /// The page token is not one of this call.
    #[error("the page token is not one that this call gave out")]
    InvalidPageToken,
    /// The state of that place in a batch has a version far ahead of this server's clock.
    #[error("the version is more than a day ahead of this server's clock")]
    AheadOfClock {
        /// Counted from 0.
        place: usize,
    },
    /// The version of a dump that is to be gone on with is newer than every version here.
    #[error("the version is newer than any of this server: no dump of it was drawn there")]
    UnknownLine,
    /// As many states as are allowed wait for the store.
    #[error("as many changed states as are allowed wait for the store")]
    DirtyLimit,
    /// As many loads as are allowed wait for the store.
    #[error("as many loads as are allowed wait for the store")]
    TooManyLoads,
    /// As many batches of a dump as are allowed are being taken in.
    #[error("as many batches of a dump as are allowed are being loaded")]
    TooManyImports,
    /// The server is being checked already.
    #[error("the server is being checked already; one check at a time")]
    VerifyUnderWay,
    /// As many users are watched as may be.
    #[error("as many users are watched as may be at once")]
    TooManyWatched,
    /// As many watch one of the users as may.
    #[error("as many streams watch one of these users as may at once")]
    TooManyWatchers,
    /// Who watches has not read for so long that changes could not be kept any more.
    #[error("changes were not read in time; watch again from the versions received")]
    SlowConsumer,
    /// The server is about to end and has written its last changes.
    #[error("the server is about to end")]
    Draining,
    /// The store does not answer.
    #[error("{0}")]
    Store(StoreError),
    /// What the store holds of this state is damaged.
    #[error("{0}")]
    Corrupt(StoreError),
    /// The journal could not be written; the server is about to end. The outcome is unknown.
    #[error("the journal could not be written, the server ends: {0}")]
    JournalFailed(String),
    /// The journal has no room on its disk. Nothing was changed.
    #[error("{0}")]
    DiskFull(String),
    /// The store did not take the change in time; it is still in memory and goes on trying.
    #[error("the store did not take the change")]
    NotDurable,
}

impl Error {
    /// Whether the same call may succeed later, and is safe to repeat for positioned operations.
    pub fn retryable(&self) -> bool {
        match self {
            Self::NotFound
            | Self::Mismatch(_)
            | Self::InvalidPageToken
            | Self::AheadOfClock { .. }
            | Self::UnknownLine
            | Self::Corrupt(_) => false,
            Self::DirtyLimit
            | Self::TooManyLoads
            | Self::TooManyImports
            | Self::VerifyUnderWay
            | Self::TooManyWatched
            | Self::TooManyWatchers
            | Self::SlowConsumer
            | Self::Draining
            | Self::Store(_)
            | Self::JournalFailed(_)
            | Self::DiskFull(_)
            | Self::NotDurable => true,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(_) => Self::Corrupt(error),
            _ => Self::Store(error),
        }
    }
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::DiskFull { .. } => Self::DiskFull(error.to_string()),
            JournalError::Closed => Self::Draining,
            _ => Self::JournalFailed(error.to_string()),
        }
    }
}
