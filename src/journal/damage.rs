//! Where a journal is damaged.

use std::fmt;

/// One place at which a journal is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The folder of the journal.
    pub folder: String,
    /// The file in it.
    pub file: String,
    /// In bytes from the start of the file.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, file, offset, what } = self;
        write!(f, "{folder}/{file} at byte {offset}: {what}")
    }
}
