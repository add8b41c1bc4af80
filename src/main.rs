//! The readstates program: reads its command line and runs what it names.

use std::process::ExitCode;

use clap::{ArgMatches, Command, FromArgMatches as _, Subcommand as _};
use readstates::{
    cli::{self, ClientCommand, Exit},
    clock::Clock,
    config::{self, Config},
    logging,
    server::{Server, Shutdown, StartError, Stopped},
};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return cli::explain(&error).into(),
    };
    let Ok(runtime) = Runtime::new() else {
        eprintln!("readstates: the system refused threads");
        return Exit::Failed.into();
    };
    let exit = runtime.block_on(run(&matches));
    // A store that hangs must not keep the process: what could be flushed is.
    runtime.shutdown_background();
    exit.into()
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

async fn run(matches: &ArgMatches) -> Exit {
    match matches.subcommand() {
        None => serve(matches).await,
        Some(("serve", matches)) => serve(matches).await,
        Some(_) => {
            let client = ClientCommand::from_arg_matches(matches);
            let client = client.expect("clap has checked the subcommands that it made");
            cli::run(client, command()).await
        }
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
