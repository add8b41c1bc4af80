//! The client's side of the program: every subcommand besides `serve`, one file each. It talks to a
//! server through the generated client only and knows nothing of how the server works. Only
//! `journal` works on files instead, for a server that is down, and `schema` on a cluster, before
//! there is one.

mod bench;
mod cluster;
mod completions;
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
mod verify;
mod walk;
mod watch;

pub use bench::BenchArgs;
pub use completions::CompletionsArgs;
pub use dump::DumpArgs;
pub use failure::Exit;
pub use health::HealthArgs;
pub use journal::JournalCommand;
pub use list::ListArgs;
pub use load::LoadArgs;
pub use replay::ReplayArgs;
pub use schema::SchemaCommand;
pub use state::{AckArgs, GetArgs, IncrementArgs, ResetArgs};
pub use verify::VerifyArgs;
pub use watch::WatchArgs;

use clap::{Command, Subcommand, error::ErrorKind};
use failure::Failure;

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
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// Runs `command` to its end and says how the program should exit; what went wrong is printed on
/// stderr. `root` is the whole program's command line, for completions.
pub async fn run(command: ClientCommand, root: Command) -> Exit {
    match dispatch(command, root).await {
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

async fn dispatch(command: ClientCommand, root: Command) -> Result<Exit, Failure> {
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
        ClientCommand::Completions(args) => completions::completions(args, root),
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
