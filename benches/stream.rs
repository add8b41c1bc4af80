//! `ApplyStream`: updates a second over one stream, on one core of the server, every one of which
//! changes a state.
//!
//! `cargo bench --bench stream` (READSTATES_BENCH_ENTRIES=8000000, READSTATES_BENCH_SECONDS=4,
//! READSTATES_BENCH_BATCH=1000, READSTATES_BENCH_DIR for the journal's disk). The thread that
//! serves is confined to one processor, the client to another; flusher and journal run wherever
//! there is room. The client patches ready-made messages and reads every result.

#[path = "stream/caller.rs"]
mod caller;
#[path = "load/cores.rs"]
mod cores;
#[path = "load/setting.rs"]
mod setting;
#[path = "load/threads.rs"]
mod threads;

use std::{net::SocketAddr, path::Path, sync::Arc, sync::mpsc, thread, time::Duration};

use caller::Caller;
use readstates::{
    clock::Clock,
    config::{Config, Durability, RuntimeForm},
    server::{Server, Shutdown, Stopped},
    store::MemoryStore,
};
use setting::setting;
use threads::Spent;
use tokio::{runtime, sync::watch};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const SERVING_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// How the names of threads begin.
const SERVING: &str = "serve-";
const FLUSHER: &str = "flusher";
const JOURNAL: &str = "journal";

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let entries = setting("READSTATES_BENCH_ENTRIES", if smoke { 10_000 } else { 8_000_000 });
    let seconds = setting("READSTATES_BENCH_SECONDS", if smoke { 0 } else { 4 });
    let batch = setting("READSTATES_BENCH_BATCH", 1_000) as usize;
    let duration = Duration::from_secs(seconds).max(Duration::from_millis(100));
    println!("{entries} entries, messages of {batch} operations");
    for durability in [Durability::Memory, Durability::Journal] {
        println!("\n--durability {durability:?}");
        let node = Node::start(durability, entries)?;
        let mut caller = Caller::new(node.address, entries, batch);
        node.call(|| caller.fill())?;
        threads::confine_named(SERVING, SERVING_CORE)?;
        let samples: Vec<Sample> = (1..=ROUNDS)
            .map(|round| {
                let sample = node.sample(&mut caller, duration)?;
                println!("round {round}: {sample:.3?}");
                Ok(sample)
            })
            .collect::<Outcome<_>>()?;
        println!("medians of {ROUNDS} (least to most):");
        show("updates a second", samples.iter().map(|sample| sample.rate));
        show("us an update, serving", samples.iter().map(|sample| sample.serving_us));
        show("us an update, flusher", samples.iter().map(|sample| sample.flusher_us));
        show("us an update, journal", samples.iter().map(|sample| sample.journal_us));
        show("us an update, client", samples.iter().map(|sample| sample.client_us));
        node.stop()?;
    }
    Ok(())
}

fn show(what: &str, values: impl Iterator<Item = f64>) {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    println!("    {what}: {:.3} ({least:.3} to {most:.3})", values[values.len() / 2]);
}

/// What one round came to.
#[derive(Clone, Copy, Debug)]
struct Sample {
    rate: f64,
    serving_us: f64,
    flusher_us: f64,
    journal_us: f64,
    client_us: f64,
}

/// A server in threads of its own.
struct Node {
    address: SocketAddr,
    ask: watch::Sender<u32>,
    thread: thread::JoinHandle<Outcome<Stopped>>,
    _folder: tempfile::TempDir,
}

impl Node {
    fn start(durability: Durability, entries: u64) -> Outcome<Self> {
        let folder = match std::env::var("READSTATES_BENCH_DIR") {
            Ok(path) => tempfile::tempdir_in(path)?,
            Err(_) => tempfile::tempdir()?,
        };
        let config = config(durability, entries, folder.path());
        let (ask, shutdown) = Shutdown::new();
        let (started, address) = mpsc::channel();
        let serve = async move {
            let store = Arc::new(MemoryStore::default());
            let server = Server::start_on(config, Clock::system(), store).await?;
            started.send(server.grpc_address()?)?;
            Ok(server.run(shutdown).await?)
        };
        let runtime =
            runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let thread = thread::spawn(move || runtime.block_on(serve));
        Ok(Self { address: address.recv()?, ask, thread, _folder: folder })
    }

    /// Runs `call` in a thread of the client's processor.
    fn call<T: Send>(&self, call: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
        thread::scope(|scope| {
            let run = || {
                cores::confine(None, CLIENT_CORE)?;
                call()
            };
            scope.spawn(run).join().map_err(|_| "the client panicked")?
        })
    }

    fn sample(&self, caller: &mut Caller, duration: Duration) -> Outcome<Sample> {
        let before = Spent::now()?;
        let outcome = self.call(|| caller.run(duration))?;
        let spent = Spent::now()? - &before;
        let each_us = |spent: Duration| spent.as_secs_f64() * 1e6 / outcome.updates as f64;
        Ok(Sample {
            rate: outcome.updates as f64 / outcome.elapsed.as_secs_f64(),
            serving_us: each_us(spent.of(SERVING)),
            flusher_us: each_us(spent.of(FLUSHER)),
            journal_us: each_us(spent.of(JOURNAL)),
            client_us: each_us(outcome.client),
        })
    }

    fn stop(self) -> Outcome<()> {
        self.ask.send_modify(|asked| *asked += 1);
        self.thread.join().map_err(|_| "the server panicked")??;
        Ok(())
    }
}

fn config(durability: Durability, entries: u64, folder: &Path) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        admin_listen: ([127, 0, 0, 1], 0).into(),
        // Half of what there is room for: nothing is flushed before its time.
        cache_entries: Some(2 * entries * 17 / 16 + 1_000),
        // All of them change over and over.
        dirty_limit: Some(2 * entries * 17 / 16),
        data_dir: folder.to_owned(),
        durability,
        runtime: RuntimeForm::PerCore,
        serve_threads: Some(1),
        ..Config::default()
    }
}
