//! All flags of `serve`, for the subcommands that look at what it would make of them.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::{
    cli::failure::Failure,
    config::{ConfigErrors, Effective, args},
};

/// The settings of the server, from the same places; valid or not.
#[derive(Clone, Debug)]
pub(super) struct ServerSettings(Box<Result<Effective, ConfigErrors>>);

impl ServerSettings {
    /// The settings, or all that is wrong with them.
    pub fn valid(self) -> Result<Effective, Failure> {
        self.0.map_err(|errors| Failure::Usage(errors.to_string()))
    }
}

impl Args for ServerSettings {
    fn augment_args(command: Command) -> Command {
        command.args(args())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServerSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Box::new(Effective::from_process(matches))))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
