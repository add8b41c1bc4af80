//! Raw values as they were given, each with its origin; a later layer hides an earlier one.

use std::{collections::HashMap, ffi::OsString, fmt};

use clap::ArgMatches;

use super::{ConfigError, ConfigFile, Setting, file, settings};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag, such as `--listen`.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A file, and the line where that is known.
    File {
        /// The file's name as the user gave it.
        name: String,
        /// Counted from 1.
        line: Option<usize>,
    },
    /// Nowhere: it follows from the setting of that key.
    Setting(&'static str),
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Variable(variable) => write!(f, "variable {variable}"),
            Self::File { name, line: Some(line) } => write!(f, "file {name}, line {line}"),
            Self::File { name, line: None } => write!(f, "file {name}"),
            Self::Setting(key) => write!(f, "setting {key}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// The values that were given, by key, and what was wrong already in reading them.
#[derive(Debug, Default)]
pub(super) struct Layers {
    given: HashMap<&'static str, Given>,
    pub(super) errors: Vec<ConfigError>,
}

impl Layers {
    /// Lays file, variables and flags over each other.
    ///
    /// Variables with our prefix that name no setting are ignored: Kubernetes sets some of its own
    /// (`READSTATES_PORT`, ...) in every pod beside a service of our name.
    pub(super) fn gather<K: Into<OsString>, V: Into<OsString>>(
        matches: &ArgMatches,
        variables: impl IntoIterator<Item = (K, V)>,
        file: Option<&ConfigFile>,
    ) -> Self {
        let mut layers = Self::default();
        if let Some(file) = file {
            file::read(file, &mut layers);
        }
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        layers.add_variables(&variables.collect());
        layers.add_flags(matches);
        layers
    }

    /// Adds a value over whatever was given before.
    pub(super) fn add(&mut self, setting: &'static Setting, text: String, origin: Origin) {
        self.given.insert(setting.key, Given { text, origin });
    }

    /// The value given for `key`, if any.
    pub(super) fn given(&self, key: &str) -> Option<&Given> {
        self.given.get(key)
    }

    fn add_variables(&mut self, variables: &HashMap<OsString, OsString>) {
        for setting in settings() {
            let name = setting.variable();
            let Some(value) = variables.get(&OsString::from(&name)) else { continue };
            let origin = Origin::Variable(name);
            match value.to_str() {
                Some(text) => self.add(setting, text.to_owned(), origin),
                None => self.errors.push(ConfigError {
                    key: Some(setting.key.to_owned()),
                    value: Some(value.to_string_lossy().into_owned()),
                    origin,
                    problem: "allowed is UTF-8 text only".to_owned(),
                }),
            }
        }
    }

    fn add_flags(&mut self, matches: &ArgMatches) {
        for setting in settings() {
            // A command that does not take the settings has no such argument: that is no flag.
            if let Ok(Some(text)) = matches.try_get_one::<String>(setting.key) {
                self.add(setting, text.clone(), Origin::Flag(setting.flag()));
            }
        }
    }
}
