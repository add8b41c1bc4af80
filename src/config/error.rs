//! What is wrong with a configuration: all of it at once, each with where it came from.

use std::fmt;

use super::layers::Origin;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The setting's key, or an unknown key as it was written; `None` where a whole file is wrong.
    pub key: Option<String>,
    /// The value as it was written, where there is one.
    pub value: Option<String>,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong and what is allowed instead.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.value) {
            (Some(key), Some(value)) => write!(f, "{key} = {value:?} ({}): ", self.origin)?,
            (Some(key), None) => write!(f, "{key} ({}): ", self.origin)?,
            (None, _) => write!(f, "{}: ", self.origin)?,
        }
        f.write_str(&self.problem)
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is refused:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}
