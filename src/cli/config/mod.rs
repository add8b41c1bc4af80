//! `config`: what a server of these flags, variables and file would be, without starting it.

mod check;
mod print;
mod settings;

use clap::{Args, Subcommand};

use super::{Exit, Program, failure::Failure, output::say};
use crate::config;
use settings::ServerSettings;

/// What can be done with a configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting with the value in effect, as a file for --config; secrets are files of
    /// which only the name is printed
    Print(PrintArgs),
    /// Say whether a server could start with it, without opening a port; all that is wrong is told
    Check(CheckArgs),
    /// Print a file with every setting at its default, and what it does
    Sample,
}

/// Flags of `config print`.
#[derive(Args, Clone, Debug)]
pub struct PrintArgs {
    /// Say of defaults too where they come from
    #[arg(long)]
    origin: bool,
    /// Print JSON: a list of key, value and origin
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: ServerSettings,
}

/// Flags of `config check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    settings: ServerSettings,
}

pub(super) fn config(command: ConfigCommand, program: &Program) -> Result<Exit, Failure> {
    let told = match command {
        ConfigCommand::Sample => config::sample(),
        ConfigCommand::Print(PrintArgs { settings, origin, json }) => {
            let effective = settings.valid()?;
            let resolved = (program.resolve)(&effective.config);
            match json {
                true => print::json(&effective, &resolved).to_string(),
                false => print::toml(&effective, &resolved, origin),
            }
        }
        ConfigCommand::Check(CheckArgs { settings }) => {
            check::check(&settings.valid()?)
                .map_err(|errors| Failure::Usage(errors.to_string()))?;
            "ok".to_owned()
        }
    };
    say(told.trim_end())?;
    Ok(Exit::Done)
}
