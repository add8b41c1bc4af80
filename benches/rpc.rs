//! Unary `Ack` on random keys against the health check's nearly empty handler, in one run.
//!
//! `cargo bench --bench rpc` (READSTATES_BENCH_ENTRIES=8000000, READSTATES_BENCH_SECONDS=5).
//! Server and clients share the process and its cores, so only the ratio means something: both
//! sides pay the same transport, and what remains is the cost of the update itself.
//!
//! 2026-11-23, AMD EPYC, 2 virtual processors shared with a build meanwhile, Linux, release
//! profile, `--durability memory`, store in memory, flushing on; 8,000,000 entries, 256 in flight
//! over 4 connections, 5 rounds of 4 s: health 23,900 to 31,200/s, ack 17,900 to 22,300/s, ratio
//! median 0.733 (0.573 to 0.905). The spread is that of the machine; a quiet one has to say more.

#[path = "load/acks.rs"]
mod acks;
#[path = "load/mod.rs"]
mod load;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use acks::{CONNECTIONS, ack, request};
use load::{connect, rate, setting};
use rand::Rng as _;
use readstates::{
    clock::Clock,
    config::{Config, Durability},
    proto::{
        ApplyRequest, Operation, operation, read_states_service_client::ReadStatesServiceClient,
    },
    server::{Server, Shutdown},
    store::MemoryStore,
};
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IN_FLIGHT: usize = 256;
const ROUNDS: usize = 5;
const FILL_BATCH: u64 = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> Result<(), Box<dyn std::error::Error>> {
    let entries = setting("READSTATES_BENCH_ENTRIES", 8_000_000);
    let duration = Duration::from_secs(setting("READSTATES_BENCH_SECONDS", 5));
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        admin_listen: ([127, 0, 0, 1], 0).into(),
        cache_entries: Some(entries * 17 / 16 + 1_000),
        durability: Durability::Memory,
        ..Config::default()
    };
    let store = Arc::new(MemoryStore::default());
    let server = Server::start_on(config, Clock::system(), store).await?;
    let address = format!("http://{}", server.grpc_address()?);
    let (ask, shutdown) = Shutdown::new();
    let running = tokio::spawn(server.run(shutdown));
    let channels = connect(&address, CONNECTIONS).await?;
    fill(&channels[0], entries).await?;
    println!("{entries} entries, {IN_FLIGHT} in flight over {} connections", channels.len());
    let message = Arc::new(AtomicU64::new(1_000));
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let health = rate(&channels, IN_FLIGHT, duration, |channel, _| check(channel)).await?;
        let message = Arc::clone(&message);
        let acks = rate(&channels, IN_FLIGHT, duration, move |channel, random| {
            let key = random.random_range(0..entries);
            // Every ack moves its watermark.
            ack(channel, key, message.fetch_add(1, Ordering::Relaxed))
        })
        .await?;
        ratios.push(acks / health);
        println!("round {round}: health {health:.0}/s, ack {acks:.0}/s, {:.3}", acks / health);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "ack / health: median {:.3}, from {:.3} to {:.3}",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
    ask.send_modify(|asked| *asked += 1);
    running.await??;
    Ok(())
}

async fn fill(channel: &Channel, entries: u64) -> Result<(), tonic::Status> {
    let mut client = ReadStatesServiceClient::new(channel.clone());
    for batch in 0..entries.div_ceil(FILL_BATCH) {
        let keys = batch * FILL_BATCH..entries.min((batch + 1) * FILL_BATCH);
        let operations = keys
            .map(|key| Operation { operation: Some(operation::Operation::Ack(request(key, 1))) })
            .collect();
        client.apply(ApplyRequest { operations }).await?;
    }
    Ok(())
}

async fn check(channel: Channel) -> Result<(), tonic::Status> {
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.map(drop)
}
