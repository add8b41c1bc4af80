//! The client's side of the program: every subcommand besides `serve`, one file each. It talks to a
//! server through the generated client only and knows nothing of how the server works. Only
//! `journal` works on files instead, for a server that is down, `schema` on a cluster, before there
//! is one, and `config` on what a server would be started with.

mod bearer;
mod bench;
mod cluster;
mod completions;
mod config;
mod dump;
mod dump_file;
mod failure;
#[cfg(test)]
mod fake;
mod health;
mod journal;
mod kind;
mod latency;
mod list;
mod load;
mod output;
mod pages;
mod progress;
mod replay;
mod retry;
mod schema;
mod show;
mod state;
mod table;
mod target;
mod token;
mod trust;
mod verify;
mod walk;
mod watch;

pub use bench::BenchArgs;
pub use completions::CompletionsArgs;
pub use config::ConfigCommand;
pub use dump::DumpArgs;
pub use failure::Exit;
pub use health::HealthArgs;
pub use journal::JournalCommand;
pub use list::ListArgs;
pub use load::LoadArgs;
pub use replay::ReplayArgs;
pub use schema::SchemaCommand;
pub use state::{AckArgs, GetArgs, IncrementArgs, ResetArgs};
pub use token::TokenArgs;
pub use verify::VerifyArgs;
pub use watch::WatchArgs;

use clap::{Command, Subcommand, error::ErrorKind};
use failure::Failure;

use crate::config::Config;

/// What the program can do as a client.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Play a chat trace against a server and compare what it then holds with the truth
    Replay(ReplayArgs),
    /// Put load on a server and measure it; compare two such measurements
    Bench(BenchArgs),
    /// Show one read state
    Get(GetArgs),
    /// List the read states of a user
    List(ListArgs),
    /// Mark everything up to a message as read
    Ack(AckArgs),
    /// Count a mention
    Increment(IncrementArgs),
    /// Set the mention count to 0
    Reset(ResetArgs),
    /// Show what changes of some users, as it changes
    Watch(WatchArgs),
    /// Ask whether a server is serving: exit code 0 if it is
    Health(HealthArgs),
    /// Write all read states of a server to a file, while it serves
    Dump(DumpArgs),
    /// Bring the read states of a dump into a server; the newer of two states stays
    Load(LoadArgs),
    /// Check a server: its cache against its store, or its states against a dump
    Verify(VerifyArgs),
    /// Look at the files of the crash journal, repair them, or hand over what is in them
    #[command(subcommand)]
    Journal(JournalCommand),
    /// The tables of a Cassandra or ScyllaDB cluster: print them, or make them
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Print a new token, and its line for the callers file of a server
    Token(TokenArgs),
    /// Print the configuration of a server, check it, or print a sample of its file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// What commands show that only the whole program knows.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its command line.
    pub command: Command,
    /// What a server makes of the settings that are left to it: key and value.
    pub resolve: fn(&Config) -> Vec<(&'static str, String)>,
}

/// Runs `command` to its end and says how the program should exit; what went wrong is printed on
/// stderr.
pub async fn run(command: ClientCommand, program: Program) -> Exit {
    match dispatch(command, program).await {
        Ok(exit) => exit,
        Err(failure) => {
            failure.print();
            failure.exit()
        }
    }
}

/// Prints what the command line's parser says. Help and version are no mistakes, all else is.
pub fn explain(said: &clap::Error) -> Exit {
    // Nothing can be done where stdout or stderr are gone.
    said.print().ok();
    match said.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    }
}

async fn dispatch(command: ClientCommand, program: Program) -> Result<Exit, Failure> {
    match command {
        ClientCommand::Replay(args) => replay::replay(args).await,
        ClientCommand::Bench(args) => bench::bench(args).await,
        ClientCommand::Get(args) => state::get(args).await,
        ClientCommand::List(args) => list::list(args).await,
        ClientCommand::Ack(args) => state::ack(args).await,
        ClientCommand::Increment(args) => state::increment(args).await,
        ClientCommand::Reset(args) => state::reset(args).await,
        ClientCommand::Watch(args) => watch::watch(args).await,
        ClientCommand::Health(args) => health::health(args).await,
        ClientCommand::Dump(args) => dump::dump(args).await,
        ClientCommand::Load(args) => load::load(args).await,
        ClientCommand::Verify(args) => verify::verify(args).await,
        ClientCommand::Journal(command) => journal::journal(command).await,
        ClientCommand::Schema(command) => schema::schema(command).await,
        ClientCommand::Token(args) => token::token(args),
        ClientCommand::Config(command) => config::config(command, &program),
        ClientCommand::Completions(args) => completions::completions(args, program.command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        ClientCommand::augment_subcommands(Command::new("readstates")).debug_assert();
    }
}
