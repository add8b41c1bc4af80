//! Why somebody does not own the keyspace, in words for whoever has to do something about it.

use crate::store::{LeaseRow, StoreError};

/// This service does not own the keyspace now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOwner {
    /// No renewal was confirmed in time. It comes back by itself, unless another takes over.
    #[error(
        "the lease on the keyspace has lapsed, as the database has confirmed no renewal in time; \
         try again once it answers"
    )]
    Lapsed,
    /// Another has it, for good.
    #[error(
        "the lease on the keyspace was taken over by {owner} (epoch {epoch}): ask that one, and \
         start this service again with --standby"
    )]
    TakenOver {
        /// What it calls itself.
        owner: String,
        /// Which ownership that is.
        epoch: u64,
    },
    /// Another had it, and let go of it.
    #[error(
        "the lease on the keyspace was taken over by another service, which has released it since \
         (epoch {epoch}): start this one again"
    )]
    Passed {
        /// Which ownership that was.
        epoch: u64,
    },
    /// Somebody has removed the row, and with it what keeps owners apart.
    #[error(
        "the row of the lease is gone from the database: find out who removed it before any \
         service is started again on this keyspace"
    )]
    Gone,
    /// This service has let go of it.
    #[error("the lease on the keyspace is released: this service is shutting down")]
    Released,
}

impl NotOwner {
    /// Of a service that finds `row` in the place of its own.
    pub(super) fn finding(row: Option<LeaseRow>) -> Self {
        match row {
            None => Self::Gone,
            Some(row) if row.is_released() => Self::Passed { epoch: row.epoch },
            Some(LeaseRow { owner, epoch, .. }) => Self::TakenOver { owner, epoch },
        }
    }

    /// Whether this service will never own it again.
    pub fn is_final(&self) -> bool {
        *self != Self::Lapsed
    }
}

/// The row of the lease could not be written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LeaseError {
    /// Because it is another's, or is released.
    #[error(transparent)]
    NotOwner(#[from] NotOwner),
    /// Because the database did not answer, or not in time. Perhaps it was written all the same.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LeaseError> for StoreError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::NotOwner(error) => error.into(),
            LeaseError::Store(error) => error,
        }
    }
}

impl From<NotOwner> for StoreError {
    fn from(error: NotOwner) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Why a service does not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AcquireError {
    /// Another serves this keyspace, and is well.
    #[error(
        "{owner} serves this keyspace (epoch {epoch}) and renewed its lease within the last \
         {fresh_ms} ms: stop it first, or start with --standby to take over when it ends"
    )]
    Held {
        /// What it calls itself.
        owner: String,
        /// Which ownership that is.
        epoch: u64,
        /// It gave its last sign of life at most so long ago.
        fresh_ms: u64,
    },
    /// An owner without a name looks like none.
    #[error("a service needs a name to take the lease on a keyspace")]
    Nameless,
    /// The database does not answer, or the row cannot be understood.
    #[error("the lease on the keyspace could not be taken: {0}")]
    Store(#[from] StoreError),
    /// It was asked to end before the lease was there.
    #[error("asked to end while it waited for the lease")]
    GivenUp,
}
