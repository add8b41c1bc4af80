//! What is not tidy, where, and what to do instead.

use std::fmt;

use crate::source::Source;

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    pub words: String,
}

impl Finding {
    pub fn new(source: &Source, line: usize, words: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, words: words.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.words)
    }
}

/// All findings, one to a line.
pub fn told(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n{finding}")).collect()
}
