//! Unary `Ack` with `--durability journal` against `--durability memory`, in one run.
//!
//! `cargo bench --bench durability` (READSTATES_BENCH_ENTRIES=200000, READSTATES_BENCH_SECONDS=5,
//! READSTATES_BENCH_DIR for another disk). Servers and clients share the process and its cores. The
//! journal's share depends on the disk: what one bare append and fdatasync takes is printed first.
//!
//! Last results: two virtual cores shared by servers and clients, ext4 on a virtual disk, append
//! and fdatasync of 8 KiB 69 us; 200,000 states, rounds of 5 s, five of each in turn:
//!
//! | in flight | memory a second | journal a second | ratio, median (range) |
//! |---|---|---|---|
//! | 64 | 52-55 thousand | 36-39 thousand | 0.71 (0.69-0.74) |
//! | 256 | 61-67 thousand | 44-51 thousand | 0.76 (0.73-0.79) |
//! | 1,024 | 69-76 thousand | 47-55 thousand | 0.71 (0.62-0.80) |
//!
//! The disk is not the bound: with both cores busy, what the journal costs is the processor time of
//! its thread and of the second wake of each call. An hour earlier the same disk took 4 ms a sync;
//! then 64 in flight cannot pass 16 thousand a second, whoever writes.

#[path = "load/mod.rs"]
mod load;
#[path = "load/setting.rs"]
mod setting;
#[path = "load/states.rs"]
mod states;

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use load::{connect, rate};
use rand::Rng as _;
use readstates::{
    clock::Clock,
    config::{Config, Durability},
    proto::read_states_service_client::ReadStatesServiceClient,
    server::{Server, Shutdown, StartError, Stopped},
    store::MemoryStore,
};
use setting::setting;
use states::{CONNECTIONS, request};
use tokio::{sync::watch, task::JoinHandle};
use tonic::transport::Channel;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IN_FLIGHT: [usize; 3] = [64, 256, 1024];
const ROUNDS: usize = 5;
const SYNCS: usize = 200;
const SYNC_BYTES: usize = 8_192;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> Outcome<()> {
    let entries = setting("READSTATES_BENCH_ENTRIES", 200_000);
    let duration = Duration::from_secs(setting("READSTATES_BENCH_SECONDS", 5));
    let directory = match std::env::var("READSTATES_BENCH_DIR") {
        Ok(path) => tempfile::tempdir_in(path)?,
        Err(_) => tempfile::tempdir()?,
    };
    println!("append and fdatasync of {SYNC_BYTES} bytes: {:?}", bare(directory.path())?);
    let memory = Side::start(Durability::Memory, directory.path(), entries).await?;
    let journal = Side::start(Durability::Journal, directory.path(), entries).await?;
    for in_flight in IN_FLIGHT {
        compare(&memory, &journal, in_flight, entries, duration).await?;
    }
    memory.stop().await?;
    journal.stop().await
}

/// The median of one append and sync.
fn bare(directory: &Path) -> Outcome<Duration> {
    let file = File::create(directory.join("bare"))?;
    file.write_all_at(&vec![0; SYNCS * SYNC_BYTES], 0)?;
    file.sync_all()?;
    let mut took = Vec::new();
    for sync in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&[1; SYNC_BYTES], (sync * SYNC_BYTES) as u64)?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    took.sort();
    Ok(took[SYNCS / 2])
}

async fn compare(
    memory: &Side,
    journal: &Side,
    in_flight: usize,
    entries: u64,
    duration: Duration,
) -> Outcome<()> {
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let without = memory.acks(in_flight, entries, duration).await?;
        let with = journal.acks(in_flight, entries, duration).await?;
        ratios.push(with / without);
        println!(
            "{in_flight} in flight, round {round}: memory {without:.0}/s, journal {with:.0}/s, \
             {:.3}",
            with / without
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "{in_flight} in flight, journal / memory: median {:.3}, from {:.3} to {:.3}",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
    Ok(())
}

/// A server and its connections.
struct Side {
    channels: Vec<Channel>,
    message: Arc<AtomicU64>,
    ask: watch::Sender<u32>,
    running: JoinHandle<Result<Stopped, StartError>>,
}

impl Side {
    async fn start(durability: Durability, directory: &Path, entries: u64) -> Outcome<Self> {
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            admin_listen: ([127, 0, 0, 1], 0).into(),
            cache_entries: Some(entries * 17 / 16 + 1_000),
            data_dir: directory.to_owned(),
            durability,
            ..Config::default()
        };
        let store = Arc::new(MemoryStore::default());
        let server = Server::start_on(config, Clock::system(), store).await?;
        let address = format!("http://{}", server.grpc_address()?);
        let (ask, shutdown) = Shutdown::new();
        let running = tokio::spawn(server.run(shutdown));
        let message = Arc::new(AtomicU64::new(1));
        Ok(Self { channels: connect(&address, CONNECTIONS).await?, message, ask, running })
    }

    /// Acks a second, each of which moves its watermark.
    async fn acks(&self, in_flight: usize, entries: u64, duration: Duration) -> Outcome<f64> {
        let message = Arc::clone(&self.message);
        rate(&self.channels, in_flight, duration, move |channel, random| {
            let key = random.random_range(0..entries);
            ack(channel, key, message.fetch_add(1, Ordering::Relaxed))
        })
        .await
    }

    async fn stop(self) -> Outcome<()> {
        self.ask.send_modify(|asked| *asked += 1);
        self.running.await??;
        Ok(())
    }
}

async fn ack(channel: Channel, key: u64, message: u64) -> Result<(), tonic::Status> {
    ReadStatesServiceClient::new(channel).ack(request(key, message)).await.map(drop)
}
