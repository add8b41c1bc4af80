//! The readstates program: reads its command line and runs what it names.

use std::{io, process::ExitCode};

use clap::{ArgMatches, Command, FromArgMatches as _, Subcommand as _};
use readstates::{
    cli::{self, ClientCommand, Exit, Program},
    clock::Clock,
    config::{self, Config},
    logging,
    server::{self, Server, Shutdown, StartError, Stopped},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return cli::explain(&error).into(),
    };
    match matches.subcommand() {
        None => serve(&matches).into(),
        Some(("serve", matches)) => serve(matches).into(),
        Some(_) => ask(&matches).into(),
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

fn serve(matches: &ArgMatches) -> Exit {
    let config = match Config::from_process(matches) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return Exit::Usage;
        }
    };
    logging::start(config.log_format, &config.log_filter);
    run(server::main_runtime(&config), serve_until_stopped(config))
}

fn ask(matches: &ArgMatches) -> Exit {
    let program = Program { command: command(), resolve: server::resolved };
    match ClientCommand::from_arg_matches(matches) {
        Ok(client) => run(tokio::runtime::Runtime::new(), cli::run(client, program)),
        Err(error) => cli::explain(&error),
    }
}

fn run(runtime: io::Result<tokio::runtime::Runtime>, work: impl Future<Output = Exit>) -> Exit {
    let Ok(runtime) = runtime else {
        eprintln!("readstates: the system refused threads");
        return Exit::Failed;
    };
    let exit = runtime.block_on(work);
    // A store that hangs must not keep the process: what could be flushed is.
    runtime.shutdown_background();
    exit
}

async fn serve_until_stopped(config: Config) -> Exit {
    let served = async {
        let shutdown = Shutdown::by_signal().map_err(StartError::Listen)?;
        Server::serve(config, Clock::system(), shutdown).await
    };
    match served.await.inspect_err(|error| tracing::error!(%error, "readstates did not serve")) {
        Ok(Stopped { unflushed: 0 }) => Exit::Done,
        Err(error) if error.is_of_configuration() => Exit::Usage,
        Ok(_) | Err(_) => Exit::Failed,
    }
}
