//! A runtime per core against one that its threads share: what a call costs in each.
//!
//! `cargo bench --bench runtime` (READSTATES_BENCH_ENTRIES=1000000, READSTATES_BENCH_SECONDS=4,
//! READSTATES_BENCH_DIR for the journal's disk); `cargo test --bench runtime` only looks whether
//! everything runs. All forms are there at once and measured in turns. Forms of one thread are
//! confined to one processor and the clients (see load/wire.rs) to another; forms of more threads
//! share theirs with the clients, so of those only the processor time of a call means something.
//! With READSTATES_TEST_STRACE it also tells how many answers the built program gives with one
//! write of a socket.

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
#[path = "runtime/writes.rs"]
mod writes;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use readstates::{
    clock::Clock,
    config::{Config, Durability, RuntimeForm},
    proto::{
        ApplyRequest, Operation, operation, read_states_service_client::ReadStatesServiceClient,
    },
    server::{Server, Shutdown, Stopped, main_runtime},
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
/// Names the program that counts system calls; without it they are not counted.
const STRACE: &str = "READSTATES_TEST_STRACE";
/// How the names of threads begin that serve.
const SERVING: &str = "serving";

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let entries = setting("READSTATES_BENCH_ENTRIES", if smoke { 10_000 } else { 1_000_000 });
    let seconds = setting("READSTATES_BENCH_SECONDS", if smoke { 0 } else { 4 });
    let duration = Duration::from_secs(seconds).max(Duration::from_millis(100));
    println!("{entries} entries, {IN_FLIGHT} in flight over {CONNECTIONS} connections");
    let calls = [("health", Call::Health), ("ack", Call::Ack(0..entries))];
    for durability in [Durability::Memory, Durability::Journal] {
        println!("\n--durability {durability:?}");
        let mut nodes = vec![
            Node::start(RuntimeForm::PerCore, 1, durability, entries)?,
            Node::start(RuntimeForm::Shared, 1, durability, entries)?,
        ];
        threads::confine_named(SERVING, SERVING_CORE)?;
        nodes.push(Node::start(RuntimeForm::PerCore, 2, durability, entries)?);
        nodes.push(Node::start(RuntimeForm::Shared, 2, durability, entries)?);
        for node in &nodes {
            fill(node.address, entries)?;
        }
        for (what, call) in &calls {
            compare(&nodes, what, call, duration)?;
        }
        nodes.into_iter().try_for_each(Node::stop)?;
    }
    match std::env::var_os(STRACE) {
        Some(strace) => count_writes(strace.as_ref(), &calls, duration),
        None => Ok(()),
    }
}

/// Answers to one write, of the built program with one thread.
fn count_writes(strace: &Path, calls: &[(&str, Call)], duration: Duration) -> Outcome<()> {
    println!("\nanswers to a write of the socket, and to a wake of another thread");
    for form in ["per-core", "shared"] {
        for durability in ["memory", "journal"] {
            for (what, call) in calls {
                let form = format!("--runtime={form}");
                let flags = [&form, "--serve-threads=1", "--durability", durability];
                let counted = writes::count(strace, &flags, duration, call)?;
                let each = |count: u64| counted.answers as f64 / count as f64;
                let (sends, wakes) = (each(counted.sends), each(counted.wakes));
                println!("  {form}, {durability}, {what}: {sends:.1}, {wakes:.1}");
            }
        }
    }
    Ok(())
}

/// One call at every form in every round, and what the rounds came to.
fn compare(nodes: &[Node], what: &str, call: &Call, duration: Duration) -> Outcome<()> {
    let mut samples = vec![Vec::new(); nodes.len()];
    for _ in 0..ROUNDS {
        for (samples, node) in samples.iter_mut().zip(nodes) {
            samples.push(node.sample(call, duration)?);
        }
    }
    println!("{what}, medians of {ROUNDS} rounds (least to most):");
    for (samples, node) in samples.iter().zip(nodes) {
        println!("  {}", node.name);
        show("calls a second", samples.iter().map(|sample| sample.rate));
        show("us a call, serving", samples.iter().map(|sample| sample.serving_us));
        show("us a call, client", samples.iter().map(|sample| sample.client_us));
    }
    for pair in [0, 2] {
        println!("  {} / {}", nodes[pair].name, nodes[pair + 1].name);
        let pairs = || samples[pair].iter().zip(&samples[pair + 1]);
        show("of the rate", pairs().map(|(one, other)| one.rate / other.rate));
        show("of the serving time", pairs().map(|(one, other)| one.serving_us / other.serving_us));
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
    client_us: f64,
}

/// A server in threads of its own.
struct Node {
    name: String,
    address: SocketAddr,
    ask: watch::Sender<u32>,
    thread: thread::JoinHandle<Outcome<Stopped>>,
    _folder: tempfile::TempDir,
}

impl Node {
    fn start(
        form: RuntimeForm,
        threads: usize,
        durability: Durability,
        entries: u64,
    ) -> Outcome<Self> {
        let folder = match std::env::var("READSTATES_BENCH_DIR") {
            Ok(path) => tempfile::tempdir_in(path)?,
            Err(_) => tempfile::tempdir()?,
        };
        let config = Config {
            runtime: form,
            serve_threads: Some(threads),
            ..config(durability, entries, folder.path())
        };
        let (ask, shutdown) = Shutdown::new();
        let (started, address) = mpsc::channel();
        let runtime = main_runtime(&config)?;
        let serve = async move {
            let store = Arc::new(MemoryStore::default());
            let server = Server::start_on(config, Clock::system(), store).await?;
            started.send(server.grpc_address()?)?;
            Ok(server.run(shutdown).await?)
        };
        let thread = thread::spawn(move || runtime.block_on(serve));
        let name = format!("{form:?}, {threads} threads");
        Ok(Self { name, address: address.recv()?, ask, thread, _folder: folder })
    }

    fn sample(&self, call: &Call, duration: Duration) -> Outcome<Sample> {
        // The other servers' threads have the same names, and nothing to do.
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
        cache_entries: Some(entries * 17 / 16 + 1_000),
        data_dir: folder.to_owned(),
        flush_after: Duration::from_secs(1),
        durability,
        ..Config::default()
    }
}

/// Every state, before anything is measured.
fn fill(address: SocketAddr, entries: u64) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = ReadStatesServiceClient::connect(format!("http://{address}")).await?;
        for batch in 0..entries.div_ceil(FILL_BATCH) {
            let keys = batch * FILL_BATCH..entries.min((batch + 1) * FILL_BATCH);
            let operation =
                |key| Operation { operation: Some(operation::Operation::Ack(request(key, 1))) };
            client.apply(ApplyRequest { operations: keys.map(operation).collect() }).await?;
        }
        Ok(())
    })
}
