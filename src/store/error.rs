//! What can go wrong in a store.

use std::{fmt, sync::Arc};

/// A store did not do what was asked of it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or is overloaded; the same call may work later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A row or file is damaged. It says which; nothing was changed.
    #[error("the store holds damaged data: {0}")]
    Corrupt(Damage),
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

/// What is damaged. Shown as it is, it says what; whose row it is, it says to those only who ask
/// for that, since it must not get into a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    what: String,
    /// The same with the ids of users and channels.
    named: Option<String>,
}

impl Damage {
    /// Damage that is told as `what` where everyone reads it, and with all names as `named`.
    pub fn of_row(what: impl Into<String>, named: impl Into<String>) -> Self {
        Self { what: what.into(), named: Some(named.into()) }
    }

    /// What is damaged, for whoever may know whose it is.
    pub fn named(&self) -> &str {
        self.named.as_ref().unwrap_or(&self.what)
    }
}

/// Damage that is nobody's in particular.
impl From<String> for Damage {
    fn from(what: String) -> Self {
        Self { what, named: None }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StoreError {
    /// As it is shown, and with the names of damaged rows: for those who ask for such a row, and
    /// for no log.
    pub fn named(&self) -> String {
        match self {
            Self::Corrupt(damage) => format!("the store holds damaged data: {}", damage.named()),
            other => other.to_string(),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_row_is_damaged_is_told_only_where_it_is_asked_for() {
        let damage = Damage::of_row("a row is cut off", "the row of user 5 is cut off");
        let error = StoreError::Corrupt(damage);
        assert_eq!(error.to_string(), "the store holds damaged data: a row is cut off");
        assert_eq!(error.named(), "the store holds damaged data: the row of user 5 is cut off");
        let file = StoreError::Corrupt("a file is gone".to_owned().into());
        assert_eq!(
            (file.named(), StoreError::Closed.named()),
            (file.to_string(), StoreError::Closed.to_string())
        );
    }
}
