//! Why a server does not start.

use std::io;

use crate::{
    config::ListenAddress,
    doors::CallersErrors,
    edge::TlsError,
    flush::JournaledError,
    journal::{JournalError, OfferError},
    lease::{AcquireError, NotOwner},
    store::StoreError,
};

/// The server could not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({setting}): {source}; choose another address")]
    Bind {
        /// The setting it came from.
        setting: &'static str,
        /// The address.
        address: ListenAddress,
        /// What the system said.
        source: io::Error,
    },
    /// The callers file is wrong.
    #[error("{0}")]
    Callers(#[from] CallersErrors),
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The keyspace is another service's.
    #[error("{0}")]
    Held(AcquireError),
    /// The keyspace became another service's while this one ran. What was not yet written is in
    /// the journal, where there is one.
    #[error("{0}")]
    Deposed(#[from] NotOwner),
    /// It was asked to end before it had begun to serve.
    #[error("asked to end while it was starting")]
    Interrupted,
    /// The journal cannot be used, or failed while the server ran.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// What the journal has could not be offered to who serves.
    #[error("{0}")]
    Offer(#[from] OfferError),
    /// The store did not take what the journal brought back.
    #[error(
        "the store did not take what the journal holds; see the warnings above. Nothing is lost: \
         start again once the store is well"
    )]
    Recovery,
    /// The journal has more to be merged with the store than may be dirty at a time.
    #[error(
        "the journal brings back more states than --dirty-limit leaves room for while they are \
         merged with the store; nothing is lost: start again with a higher --dirty-limit"
    )]
    Crowded,
    /// A thread could not be started, or a socket does not answer.
    #[error("the system refused a thread or a socket: {0}")]
    Listen(io::Error),
    /// The certificates of the gRPC port cannot be used.
    #[error("{0}; see the settings tls-*")]
    Tls(#[from] TlsError),
    /// A thread that serves calls ended while its connections were open.
    #[error("a thread that serves calls has ended; see the log above, and start the server again")]
    Deaf,
    /// A part of the program is put together wrongly.
    #[error("the program is put together wrongly: {0}")]
    Assembly(String),
}

impl StartError {
    /// Whether what it was told is wrong, and not where it runs.
    pub fn is_of_configuration(&self) -> bool {
        matches!(self, Self::Callers(_) | Self::Tls(_))
    }
}

impl From<AcquireError> for StartError {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::GivenUp => Self::Interrupted,
            error => Self::Held(error),
        }
    }
}

impl From<JournaledError> for StartError {
    fn from(error: JournaledError) -> Self {
        match error {
            JournaledError::Store(error) => Self::Store(error),
            JournaledError::Journal(error) => Self::Journal(error),
        }
    }
}
