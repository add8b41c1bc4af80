//! What serves the gRPC port: runtimes of one thread each, among which the connections are dealt,
//! or one runtime for all.
//!
//! ```text
//! per-core   main runtime: dealer, admin port, signals      serving-0: its connections, a herald
//!                            \-> one queue each          -> serving-1: ...
//! shared     main runtime, with all its threads: dealer, admin port, signals, connections
//! ```

use std::{io, num::NonZeroUsize, sync::Arc, thread};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use super::{StartError, serve_thread::ServeThread};
use crate::{
    config::{Config, RuntimeForm},
    edge::{Dealer, Edge, Listener, Table},
    journal::Journal,
    metrics::ConnectionMetrics,
};

/// How runtimes and their threads are called, with a number behind it.
const NAME: &str = "serving";
/// What a shared runtime is called where connections are counted.
const SHARED: &str = "shared";
/// Threads of the main runtime where it serves no calls: the admin port, the dealer, signals.
const MAIN_THREADS: usize = 1;

/// The runtime of the main thread, for a server of this configuration.
///
/// # Errors
/// Where the system refuses threads.
pub fn main_runtime(config: &Config) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    match config.runtime {
        RuntimeForm::PerCore => builder.worker_threads(MAIN_THREADS),
        RuntimeForm::Shared => builder.worker_threads(serve_threads(config)).thread_name(NAME),
    };
    builder.enable_all().build()
}

/// As many as are given, or as there are processors.
pub(super) fn serve_threads(config: &Config) -> usize {
    let processors = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
    config.serve_threads.unwrap_or_else(processors)
}

/// Ends with what ended one runtime's part of the serving.
type Part = BoxFuture<'static, Result<(), StartError>>;

/// The gRPC port, served.
pub(super) struct Serving {
    /// Ends when the last call has, after the drain; with an error where a part of it does before.
    pub all: JoinHandle<Result<(), StartError>>,
    threads: Vec<ServeThread>,
}

impl Serving {
    /// Serves `listeners` until `drain` ends, and then until the last call has.
    pub fn start(
        config: &Config,
        listeners: Vec<Listener>,
        edge: &Arc<Edge>,
        journal: Option<&Journal>,
        metrics: &ConnectionMetrics,
        drain: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, StartError> {
        let (mut tables, mut parts, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        match config.runtime {
            RuntimeForm::Shared => {
                let (table, dealt) = Table::new(metrics.of(SHARED));
                tables.push(table);
                parts.push(Arc::clone(edge).serve(dealt).map(Ok).boxed());
            }
            RuntimeForm::PerCore => {
                for number in 0..serve_threads(config) {
                    let name = format!("{NAME}-{number}");
                    let (table, dealt) = Table::new(metrics.of(&name));
                    tables.push(table);
                    let serving = Arc::clone(edge).serve(dealt);
                    let (thread, part) = ServeThread::spawn(name, serving, journal.cloned())?;
                    threads.push(thread);
                    parts.push(part.boxed());
                }
            }
        }
        let dealer = Dealer::new(config, listeners, tables, metrics.clone());
        Ok(Self { all: tokio::spawn(serve(dealer, parts, drain)), threads })
    }

    /// Ends the threads, with whatever still runs in them.
    pub async fn end(self) {
        join_all(self.threads.into_iter().map(ServeThread::end)).await;
    }
}

async fn serve(
    dealer: Dealer,
    parts: Vec<Part>,
    drain: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let mut parts: FuturesUnordered<Part> = parts.into_iter().collect();
    tokio::select! {
        // Its connections would go unanswered, and so would every later one dealt to it.
        ended = parts.next() => return ended.unwrap_or(Ok(())).and(Err(StartError::Deaf)),
        never = dealer.deal() => match never {},
        () = drain => {}
    }
    // Without the dealer nothing is accepted, and each part ends with the last of its calls.
    let mut outcome = Ok(());
    while let Some(ended) = parts.next().await {
        outcome = outcome.and(ended);
    }
    outcome
}
