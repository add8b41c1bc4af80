//! What can go wrong in a store.

use std::sync::Arc;

/// A store did not do what was asked of it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or is overloaded; the same call may work later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A row or file is damaged. It says which; nothing was changed.
    #[error("the store holds damaged data: {0}")]
    Corrupt(String),
    /// A newer release wrote it. It says what; nothing was changed.
    #[error("the store is of a newer release: {0}")]
    NewerFormat(String),
    /// An input or output error of the store's files.
    #[error("the store failed: {0}")]
    Io(Arc<std::io::Error>),
    /// It was closed, or was never there.
    #[error("the store is closed")]
    Closed,
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl StoreError {
    /// The kind, as a metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Corrupt(_) => "corrupt",
            Self::NewerFormat(_) => "newer_format",
            Self::Io(_) => "io",
            Self::Closed => "closed",
        }
    }
}
