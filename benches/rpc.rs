//! Unary `Ack` against the health check's nearly empty handler: what a call costs beside what the
//! transport costs.
//!
//! `cargo bench --bench rpc` (READSTATES_BENCH_ENTRIES=8000000, READSTATES_BENCH_SECONDS=4,
//! READSTATES_BENCH_DIR for the journal's disk); `cargo test --bench rpc` only looks whether
//! everything runs. The threads that serve are confined to one processor, the clients (see
//! load/wire.rs) to another; flusher and journal run wherever there is room. What is dirty is
//! flushed after a second, so that each round pays for its own flushing.

#[path = "load/cores.rs"]
mod cores;
#[path = "load/setting.rs"]
mod setting;
#[path = "load/states.rs"]
mod states;
#[path = "load/threads.rs"]
mod threads;
#[path = "load/wire.rs"]
mod wire;

use std::{net::SocketAddr, path::Path, sync::Arc, sync::mpsc, thread, time::Duration};

use readstates::{
    clock::Clock,
    config::{Config, Durability},
    proto::{
        ApplyRequest, Operation, operation, read_states_service_client::ReadStatesServiceClient,
    },
    server::{Server, Shutdown, Stopped},
    store::MemoryStore,
};
use setting::setting;
use states::{CONNECTIONS, request};
use threads::Spent;
use tokio::sync::watch;
use wire::Call;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IN_FLIGHT: usize = 256;
const ROUNDS: usize = 5;
const FILL_BATCH: u64 = 10_000;
const SERVING_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// How the names of threads begin.
const SERVING: &str = "serving";
const FLUSHER: &str = "flusher";
const JOURNAL: &str = "journal";

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What serves, in threads of this name.
fn serving() -> tokio::runtime::Builder {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().thread_name(SERVING);
    runtime
}

fn main() -> Outcome<()> {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let entries = setting("READSTATES_BENCH_ENTRIES", if smoke { 10_000 } else { 8_000_000 });
    let seconds = setting("READSTATES_BENCH_SECONDS", if smoke { 0 } else { 4 });
    let duration = Duration::from_secs(seconds).max(Duration::from_millis(100));
    let health = ("health", Call::Health);
    let random = ("ack, random key", Call::Ack(0..entries));
    let hot = ("ack, one hot key", Call::Ack(0..1));
    println!("{entries} entries, {IN_FLIGHT} in flight over {CONNECTIONS} connections");
    let sides = [
        (Durability::Memory, vec![health.clone(), random.clone(), hot]),
        (Durability::Journal, vec![health, random]),
    ];
    for (durability, calls) in sides {
        println!("\n--durability {durability:?}");
        let node = Node::start(durability, entries)?;
        fill(node.address, entries)?;
        threads::confine_named(SERVING, SERVING_CORE)?;
        compare(&node, &calls, duration)?;
        node.stop()?;
    }
    Ok(())
}

/// Every call in every round, and what the rounds came to.
fn compare(node: &Node, calls: &[(&str, Call)], duration: Duration) -> Outcome<()> {
    let mut samples = vec![Vec::new(); calls.len()];
    for round in 1..=ROUNDS {
        // Not measured: meanwhile what the round before has left is flushed.
        node.sample(&Call::Health, duration)?;
        for (samples, (what, call)) in samples.iter_mut().zip(calls) {
            let sample = node.sample(call, duration)?;
            println!("round {round}, {what}: {sample:.2?}");
            samples.push(sample);
        }
    }
    println!("medians of {ROUNDS} (least to most):");
    for (samples, (what, _)) in samples.iter().zip(calls) {
        println!("{what}");
        show("calls a second", samples.iter().map(|sample| sample.rate));
        show("us a call, serving", samples.iter().map(|sample| sample.serving_us));
        show("us a call, flusher", samples.iter().map(|sample| sample.flusher_us));
        show("us a call, journal", samples.iter().map(|sample| sample.journal_us));
        show("us a call, client", samples.iter().map(|sample| sample.client_us));
        show("changed of the calls", samples.iter().map(|sample| sample.changed));
    }
    let healths = samples[0].clone();
    for (samples, (what, _)) in samples.iter().zip(calls).skip(1) {
        println!("{what} / health");
        let pairs = || samples.iter().zip(&healths);
        show("of the rate", pairs().map(|(sample, health)| sample.rate / health.rate));
        let share = pairs().map(|(sample, health)| health.serving_us / sample.serving_us);
        show("by serving time", share);
    }
    Ok(())
}

fn show(what: &str, values: impl Iterator<Item = f64>) {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    println!("    {what}: {:.3} ({least:.3} to {most:.3})", values[values.len() / 2]);
}

/// What one call in one round came to.
#[derive(Clone, Copy, Debug)]
struct Sample {
    rate: f64,
    serving_us: f64,
    flusher_us: f64,
    journal_us: f64,
    client_us: f64,
    changed: f64,
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
        let runtime = serving().build()?;
        let thread = thread::Builder::new()
            .name(SERVING.to_owned())
            .spawn(move || runtime.block_on(serve))?;
        Ok(Self { address: address.recv()?, ask, thread, _folder: folder })
    }

    fn sample(&self, call: &Call, duration: Duration) -> Outcome<Sample> {
        let before = Spent::now()?;
        let outcome = thread::scope(|scope| {
            let run = || {
                cores::confine(None, CLIENT_CORE)?;
                wire::rate(self.address, CONNECTIONS, IN_FLIGHT, duration, call)
            };
            scope.spawn(run).join().map_err(|_| "a client panicked")
        })??;
        let spent = Spent::now()? - &before;
        let calls = outcome.calls as f64;
        let each_us = |spent: Duration| spent.as_secs_f64() * 1e6 / calls;
        Ok(Sample {
            rate: outcome.rate(),
            serving_us: each_us(spent.of(SERVING)),
            flusher_us: each_us(spent.of(FLUSHER)),
            journal_us: each_us(spent.of(JOURNAL)),
            client_us: each_us(outcome.client),
            changed: outcome.changed as f64 / calls,
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
        cache_entries: Some(entries * 17 / 16 + 1_000),
        data_dir: folder.to_owned(),
        flush_after: Duration::from_secs(1),
        durability,
        ..Config::default()
    }
}

/// Makes the states that will be acked.
fn fill(address: SocketAddr, entries: u64) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = ReadStatesServiceClient::connect(format!("http://{address}")).await?;
        for batch in 0..entries.div_ceil(FILL_BATCH) {
            let keys = batch * FILL_BATCH..entries.min((batch + 1) * FILL_BATCH);
            let ack = |key| operation::Operation::Ack(request(key, 1));
            let operations = keys.map(|key| Operation { operation: Some(ack(key)) }).collect();
            client.apply(ApplyRequest { operations }).await?;
        }
        Ok(())
    })
}
