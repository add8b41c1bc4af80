//! Flags of the subcommands that speak to the cluster themselves.

use clap::{ArgMatches, Args, Command, FromArgMatches, error::ErrorKind};

use crate::config::{Config, args_of};

/// The settings of the server that are about the cluster, from the same places.
#[derive(Clone, Debug)]
pub(super) struct ClusterSettings(Box<Config>);

impl ClusterSettings {
    /// All settings, of which the cluster's were asked for.
    pub(super) fn config(&self) -> &Config {
        &self.0
    }
}

impl Args for ClusterSettings {
    fn augment_args(command: Command) -> Command {
        command.args(args_of(|key| key.starts_with("cassandra-")))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ClusterSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let config = Config::from_process(matches);
        let refused = |errors| clap::Error::raw(ErrorKind::ValueValidation, format!("{errors}\n"));
        config.map(|config| Self(Box::new(config))).map_err(refused)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
