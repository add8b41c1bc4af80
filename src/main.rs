//! The readstates program: reads its command line and runs what it names.

use std::process::ExitCode;

use clap::{ArgMatches, Command, FromArgMatches as _, Subcommand as _, error::ErrorKind};
use readstates::{
    cli::{self, ClientCommand, Exit},
    clock::Clock,
    config::{self, Config},
    logging,
    server::{Server, Shutdown, StartError, Stopped},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(&matches));
            // A store that hangs must not keep the process: what could be flushed is.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => {
            eprintln!("readstates: the system refused threads: {error}");
            Exit::Failed.into()
        }
    }
}

fn command() -> Command {
    let root = Command::new("readstates")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Remembers, for every user and channel, what has been read and what mentions wait")
        .args(config::args())
        .args_conflicts_with_subcommands(true)
        .subcommand(Command::new("serve").about("Serve (the default)").args(config::args()));
    ClientCommand::augment_subcommands(root)
}

/// Help and version are no mistakes; everything else is bad usage.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done where stdout or stderr are gone.
    error.print().ok();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.into(),
        _ => Exit::Usage.into(),
    }
}

async fn run(matches: &ArgMatches) -> Exit {
    match matches.subcommand() {
        None => serve(matches).await,
        Some(("serve", matches)) => serve(matches).await,
        Some(_) => match ClientCommand::from_arg_matches(matches) {
            Ok(client) => cli::run(client, command()).await,
            Err(error) => {
                error.print().ok();
                Exit::Usage
            }
        },
    }
}

async fn serve(matches: &ArgMatches) -> Exit {
    let config = match Config::from_process(matches) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return Exit::Usage;
        }
    };
    logging::start(config.log_format, &config.log_filter);
    match serve_until_stopped(config).await {
        Ok(Stopped { unflushed: 0 }) => Exit::Done,
        Ok(_) => Exit::Failed,
        Err(error) => {
            tracing::error!(%error, "readstates did not serve");
            Exit::Failed
        }
    }
}

async fn serve_until_stopped(config: Config) -> Result<Stopped, StartError> {
    let shutdown = Shutdown::by_signal().map_err(StartError::Listen)?;
    Server::start(config, Clock::system()).await?.run(shutdown).await
}
