//! What watching costs: memory of an idle watch, the rate of acks of users whom nobody watches
//! beside as many watches, that of users who are watched, and how long an event takes.
//!
//! `cargo bench --bench watch` (READSTATES_BENCH_WATCHES=10000, READSTATES_BENCH_SECONDS=5). The
//! server is a process of its own, the clients are this one; both share the cores, so what a client
//! spends on reading events is missing from the server.
//!
//! Last results: two shared virtual cores, other work beside it, 10,000 watches of 10 users each,
//! 256 calls in flight over 20 connections, five rounds of 4 s:
//!
//! - an idle watch of 10 users takes 7.5 to 13.6 KB of the server, HTTP/2's stream included
//! - acks of users whom nobody watches, beside the watches / without any: 1.14 (1.07-1.21); that
//!   without is measured first in each round, when the machine was busier: no cost is seen
//! - acks of watched users / without any watch: 0.78 (0.69-0.85), the clients' reading included
//! - from the call to the event, at the full rate of acks: p50 24 ms, p99 58 ms; a call itself
//!   takes about 20 ms then, as 256 wait in line
//! - 10,000 channels marked as read in 13 ms, taken back in 10 ms; 8 and 5 ms on a quieter machine

#[path = "load/mod.rs"]
mod load;
#[path = "load/setting.rs"]
mod setting;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use load::{connect, rate};
use parking_lot::Mutex;
use rand::Rng as _;
use readstates::proto::{
    AckRequest, BulkAckItem, BulkAckRequest, BulkAckResult, RestoreItem, RestoreRequest,
    WatchRequest, WatchTarget, read_states_service_client::ReadStatesServiceClient,
};
use setting::setting;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 5;
const IN_FLIGHT: usize = 256;
const CONNECTIONS: usize = 20;
const USERS_PER_WATCH: u64 = 10;
/// Users below are watched by nobody.
const FIRST_WATCHED: u64 = 1_000_000;
const UNWATCHED: u64 = 100_000;
const BULK_CHANNELS: u64 = 10_000;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> Outcome<()> {
    let watches = setting("READSTATES_BENCH_WATCHES", 10_000);
    let duration = Duration::from_secs(setting("READSTATES_BENCH_SECONDS", 5));
    let node = Node::start().await?;
    node.acks(1, UNWATCHED, duration).await?;
    let (mut beside, mut watched) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let alone = node.acks(1, UNWATCHED, duration).await?;
        let bytes = node.resident_bytes()?;
        let crowd = Crowd::gather(&node, watches).await?;
        let each = node.resident_bytes()?.saturating_sub(bytes) / watches;
        let others = node.acks(1, UNWATCHED, duration).await?;
        let theirs = node.acks(FIRST_WATCHED, watches * USERS_PER_WATCH, duration).await?;
        let (events, p50, p99) = crowd.disperse().await;
        println!(
            "round {round}: {each} bytes an idle watch of {USERS_PER_WATCH}; acks a second: alone \
             {alone:.0}, beside {others:.0} ({:.3}), of the watched {theirs:.0} ({:.3}); {events} \
             events, p50 {p50:?}, p99 {p99:?}",
            others / alone,
            theirs / alone
        );
        beside.push(others / alone);
        watched.push(theirs / alone);
    }
    show("unwatched users beside the watches / without any", &mut beside);
    show("watched users / without any watch", &mut watched);
    node.mark_all_read().await
}

fn show(what: &str, ratios: &mut [f64]) {
    ratios.sort_by(f64::total_cmp);
    let (low, median, high) = (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    println!("{what}: median {median:.3}, from {low:.3} to {high:.3}");
}

/// A server in a process of its own.
struct Node {
    child: Child,
    channels: Vec<Channel>,
    begun: Instant,
    _folder: tempfile::TempDir,
}

impl Node {
    async fn start() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_readstates"))
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .args(["--durability", "memory", "--log-format", "text"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = BufReader::new(child.stderr.take().ok_or("it is piped")?);
        let mut lines = log.lines();
        let address = loop {
            let line = lines.next().ok_or("the server ended")??;
            if let Some((_, rest)) = line.split_once("grpc=") {
                break rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let channels = connect(&format!("http://{address}"), CONNECTIONS).await?;
        Ok(Self { child, channels, begun: Instant::now(), _folder: folder })
    }

    /// Acks a second of users from `first` on; the message is the time at which it was sent.
    async fn acks(&self, first: u64, users: u64, duration: Duration) -> Outcome<f64> {
        let begun = self.begun;
        rate(&self.channels, IN_FLIGHT, duration, move |channel, random| {
            let request = AckRequest {
                user_id: first + random.random_range(0..users),
                channel_id: 1,
                message_id: begun.elapsed().as_nanos() as u64,
                ..AckRequest::default()
            };
            async move { ReadStatesServiceClient::new(channel).ack(request).await.map(drop) }
        })
        .await
    }

    fn resident_bytes(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
        Ok(kib * 1024)
    }

    /// One user reads everything in 10,000 channels, and takes it back.
    async fn mark_all_read(&self) -> Outcome<()> {
        let client = ReadStatesServiceClient::new(self.channels[0].clone());
        let mut client = client.max_decoding_message_size(usize::MAX);
        let bulk = |message_id| BulkAckRequest {
            user_id: 3,
            items: (1..=BULK_CHANNELS)
                .map(|channel_id| BulkAckItem { channel_id, message_id, r#type: 0 })
                .collect(),
        };
        for message in 1..=ROUNDS as u64 {
            let request = bulk(message * 10);
            let begun = Instant::now();
            let results = client.bulk_ack(request).await?.into_inner().results;
            let acked = begun.elapsed();
            let states = results.into_iter().map(undo).collect();
            let begun = Instant::now();
            client.restore(RestoreRequest { states }).await?;
            println!(
                "{BULK_CHANNELS} channels: acked in {acked:?}, undone in {:?}",
                begun.elapsed()
            );
        }
        Ok(())
    }
}

fn undo(result: BulkAckResult) -> RestoreItem {
    let state = result.state.unwrap_or_default();
    RestoreItem {
        user_id: state.user_id,
        channel_id: state.channel_id,
        last_acked_id: result.previous_last_acked_id,
        mention_count: result.previous_mention_count,
        expected_version: None,
        expected_last_acked_id: Some(state.last_acked_id),
        marked_unread: result.previous_marked_unread,
        r#type: 0,
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Many watches, each read by a task of its own.
struct Crowd {
    readers: Vec<JoinHandle<()>>,
    latency_ns: Arc<Mutex<Histogram<u64>>>,
}

impl Crowd {
    async fn gather(node: &Node, watches: u64) -> Outcome<Self> {
        let latency_ns = Arc::new(Mutex::new(Histogram::new(3)?));
        let mut readers = Vec::new();
        for watch in 0..watches {
            let first = FIRST_WATCHED + watch * USERS_PER_WATCH;
            let target = |user_id| WatchTarget { user_id, since_version: 0, from_now: true };
            let targets = (first..first + USERS_PER_WATCH).map(target).collect();
            let channel = node.channels[watch as usize % CONNECTIONS].clone();
            let mut client = ReadStatesServiceClient::new(channel);
            let mut events = client.watch(WatchRequest { targets }).await?.into_inner();
            for _ in 0..USERS_PER_WATCH {
                events.message().await?;
            }
            let (latency_ns, begun) = (Arc::clone(&latency_ns), node.begun);
            readers.push(tokio::spawn(async move {
                while let Ok(Some(event)) = events.message().await {
                    let sent_ns = event.state.map_or(0, |state| state.last_acked_id);
                    let took = (begun.elapsed().as_nanos() as u64).saturating_sub(sent_ns);
                    latency_ns.lock().record(took).ok();
                }
            }));
        }
        Ok(Self { readers, latency_ns })
    }

    async fn disperse(self) -> (u64, Duration, Duration) {
        for reader in self.readers {
            reader.abort();
            reader.await.ok();
        }
        let latency_ns = self.latency_ns.lock();
        let quantile = |q| Duration::from_nanos(latency_ns.value_at_quantile(q));
        (latency_ns.len(), quantile(0.5), quantile(0.99))
    }
}
