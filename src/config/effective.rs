//! The configuration in effect: each setting's value, as it would be spelled, and where it came
//! from.

use std::{env, ffi::OsString, path::PathBuf};

use clap::ArgMatches;

use super::{
    Config, ConfigError, ConfigErrors, ConfigFile, Origin, args, layers::Layers, reader::Reader,
    settings,
};

/// A validated configuration, with what was known of its values before they were parsed.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The configuration.
    pub config: Config,
    /// A value for each setting, in the order of the table. They are as they were written: a secret
    /// is named by its file, and what is in the file is not among them.
    pub values: Vec<EffectiveValue>,
}

/// One setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveValue {
    /// The setting's key.
    pub key: &'static str,
    /// The value, as a user would spell it.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
    /// The setting that stands in this one's place. Beside it this one is not used, and may not be
    /// given.
    pub replaced_by: Option<&'static str>,
}

impl Effective {
    /// The configuration of this process: its flags, its environment and the file they name.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_process(matches: &ArgMatches) -> Result<Self, ConfigErrors> {
        let named = || env::var_os(args::CONFIG_VARIABLE).map(PathBuf::from);
        let path = args::config_path(matches).or_else(named);
        let file = path.map(|path| ConfigFile::read(&path)).transpose()?;
        Self::load(matches, env::vars_os(), file.as_ref())
    }

    /// The configuration that these flags, variables and file make.
    ///
    /// `matches` are of a command made with [`super::args()`], or of one without settings.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load<K: Into<OsString>, V: Into<OsString>>(
        matches: &ArgMatches,
        variables: impl IntoIterator<Item = (K, V)>,
        file: Option<&ConfigFile>,
    ) -> Result<Self, ConfigErrors> {
        let layers = Layers::gather(matches, variables, file);
        let mut reader = Reader::new(&layers);
        let mut config = Config::read(&mut reader);
        config.settle(&mut reader);
        config.check(&mut reader);
        let values = settings().map(|setting| reader.effective(setting)).collect();
        let errors: Vec<_> = layers.errors.iter().cloned().chain(reader.errors).collect();
        if errors.is_empty() { Ok(Self { config, values }) } else { Err(ConfigErrors(errors)) }
    }

    /// What to say of the setting `key` where its value is right and what it names is not.
    pub fn error(&self, key: &'static str, problem: String) -> ConfigError {
        let value = self.values.iter().find(|value| value.key == key);
        ConfigError {
            key: Some(key.to_owned()),
            value: value.map(|value| value.text.clone()),
            origin: value.map_or(Origin::Default, |value| value.origin.clone()),
            problem,
        }
    }
}
