//! What no log, message or listing may show.

use std::fmt;

/// A password, read from a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What is secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// For those who have to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
