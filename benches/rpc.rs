//! Unary `Ack` against the health check's nearly empty handler: what a call costs beside what the
//! transport costs.
//!
//! `cargo bench --bench rpc` (READSTATES_BENCH_ENTRIES=8000000, READSTATES_BENCH_SECONDS=4,
//! READSTATES_BENCH_DIR for the journal's disk); `cargo test --bench rpc` only looks whether
//! everything runs. The thread that serves is confined to one processor, the clients (see
//! load/wire.rs) to another; flusher and journal run wherever there is room. What is dirty is
//! flushed after 100 ms.
//!
//! 2026-11-23, AMD EPYC (2 virtual processors, 32 MiB L3, shared; 190 to 220 ns for a cache miss on
//! huge pages), Linux, fat LTO; 8,000,000 entries, 256 calls in flight over 4 connections, medians
//! of 5 rounds (least to most), each of 8 turns of half a second:
//!
//! | memory | calls a second | us a call: serving | flusher |
//! |---|---:|---:|---:|
//! | health | 88,200 (74,100-104,900) | 11.3 (9.5-13.4) | |
//! | ack of a random key | 67,800 (56,300-76,300) | 14.6 (13.0-17.5) | 2.2 |
//! | ack of one hot key | 84,400 (64,800-94,300) | 11.8 (10.6-15.2) | 0.05 |
//!
//! | journal | calls a second | us a call: serving | flusher | journal |
//! |---|---:|---:|---:|---:|
//! | health | 132,700 (127,500-135,900) | 7.5 (7.3-7.8) | | |
//! | ack of a random key | 78,300 (73,600-80,400) | 12.2 (12.0-13.1) | 2.5 | 2.7 |
//!
//! Of the rate of health: 0.766 (0.727-0.857) for a random key in memory, 0.910 (0.875-1.001) for
//! one hot key, 0.590 (0.576-0.609) with the journal, which is 0.77 of what memory has. Every ack
//! changed its state. What an ack adds to a call (`perf`, at 16.6 us for health): 1.4 us in the
//! shard and 0.9 in the dirty index, nearly all of it cache misses, about 2.5 for decoding, futures
//! and encoding.
//!
//! On 2026-11-29 in a quick hour, one run before shards shared locks and two since: 0.659
//! (0.655-0.693), 0.685 and 0.679 for a random key in memory, where health came to 188,000 a second
//! in all, 0.927, 0.912 and 0.904 for a hot key, 0.499, 0.468 and 0.500 with the journal, where
//! health moved from 131,000 to 204,000. What an ack adds was 2.5, 2.3 and 2.6 us in memory: cache
//! misses take what they take, also where calls are quick, and the ratio falls.
//!
//! What the edge costs (own accept loop, places, doors, deadlines, request ids, bodies read to
//! their end): the commit before it and 2026-11-29 in turn, three runs of each in one quarter of an
//! hour, release without link-time optimisation, 200,000 entries, turns of a second in all. In
//! thousand calls a second, means of the three medians:
//!
//! | | before | with it | |
//! |---|---:|---:|---:|
//! | ack of a random key, memory | 53.1 (49.3-56.3) | 52.6 (48.6-54.7) | 0.99 |
//! | ack of one hot key, memory | 61.4 (55.6-64.5) | 61.6 (58.1-66.3) | 1.00 |
//! | ack of a random key, journal | 41.5 (37.1-45.3) | 39.9 (38.7-40.4) | 0.96 |
//!
//! - Calls that take turns of half a second see the same of what else the machine does, which is
//!   half as fast at times. Before, in turns of 4 seconds, the ratio moved between 0.57 and 0.82.
//! - Flushed after a second instead of a tenth, an ack's flushing fell into the turn of another
//!   call: 0.762 instead of 0.766.
//! - What most calls never wait for is boxed within the call's future, which is moved a few times:
//!   0.733 before (in turns of 4 seconds), 0.762 with it (in turns of half a second).
//! - 17/16 places for each state are too few: users are not spread evenly over shards, what is
//!   pushed out has to be loaded again, and that is what was measured then.
//! - Batching the calls of one turn was not built: its 64 calls hit stripes of their own, and what
//!   overlaps is what is looked up under one lock (see benches/stream.rs).
//!
//! Five times as much as one core can answer: `readstates bench --mix signin --users 5000
//! --channels 100 --connections 16`, closed loop of 256 callers, then for 60 s `--rate` of five
//! times that with `--concurrency 8192 --warm-up 0s`; server (`--store memory --serve-threads 1`)
//! and generator on a core each, of which the generator used 0.66 and 0.83. 2026-11-29, Intel Xeon
//! (2 virtual processors), fat LTO, medians of three runs (least to most) for what was answered,
//! one of them for the rest; latency is that of `once sent`.
//! The limit is `--max-bulk-in-flight` for sign-ins, `--max-in-flight` for acks.
//!
//! | | most a second | of it answered | p99 before, then | refused a second | memory |
//! |---|---:|---:|---:|---:|---:|
//! | sign-ins, 128 at once | 36,300 | 0.95 (0.95-0.98) | 8.2, 11.2 ms | 2,150 | 161, 208 MiB |
//! | acks, 128 at once | 107,200 | 0.91 (0.88-0.92) | 6.5, 6.5 ms | 2,160 | 163, 207 MiB |
//!
//! All health checks (61 of 61) were answered beside each, and the first seconds after it were as
//! those before. In runs of 15 s, most of all of the burst at their beginning:
//!
//! - 256 and 512 sign-ins at once, in place of 128: 0.94 and 0.86, p99 22 and 51 ms (512 for 60 s:
//!   0.89, 49 ms). 512 is what is taken on by default all the same: with 128 a hitch of 70 ms among
//!   27,700 calls a second of a chat, an eighth of them fan-outs, had some of them refused (6 to 40
//!   of 3.3 million).
//! - 256 and 512 acks at once: 0.87 and 0.86, p99 13 (in 60 s) and 33 ms.
//! - Twice as many callers on twice as many connections (20 s): 0.80 of the sign-ins, p99 15 ms.
//! - 8,192 places for refusals that wait, in place of 65,536 (16,384 now, for the memory's sake):
//!   0.85 of the sign-ins, 0.66 of the acks, and 0.08 with twice as many callers. The few that are
//!   told at once come back at once. A connection with more than 512 such callers is still so.
//! - Refusals told at once: 0.47 of the sign-ins (another machine; a third of a call's time each).
//! - Those that are too late for the pace all told after two seconds: they came back together, a
//!   wave every two seconds that left the server idle between them. 0.86, p99 68 ms.

#[path = "load/cores.rs"]
mod cores;
#[path = "load/fill.rs"]
mod fill;
#[path = "load/node.rs"]
mod node;
#[path = "load/setting.rs"]
mod setting;
#[path = "load/shown.rs"]
mod shown;
#[path = "load/states.rs"]
mod states;
#[path = "load/threads.rs"]
mod threads;
#[path = "load/wire.rs"]
mod wire;

use std::time::Duration;

use fill::fill;
use node::{Node, Outcome, SERVING, SERVING_CORE, as_client};
use readstates::config::{Config, Durability};
use setting::setting;
use shown::show;
use states::CONNECTIONS;
use threads::Spent;
use wire::Call;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IN_FLIGHT: usize = 256;
const ROUNDS: usize = 5;
/// How the names of threads begin.
const FLUSHER: &str = "flusher";
const JOURNAL: &str = "journal";
/// Of each call in a round.
const TURNS: u32 = 8;
/// A fraction of a turn, so that each pays for its own flushing.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

fn main() -> Outcome<()> {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let entries = setting("READSTATES_BENCH_ENTRIES", if smoke { 10_000 } else { 8_000_000 });
    let duration = node::round(smoke, setting("READSTATES_BENCH_SECONDS", 4));
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
        let node = Node::start(config(durability, entries))?;
        fill(node.address, entries)?;
        threads::confine_named(SERVING, SERVING_CORE)?;
        compare(&node, &calls, duration)?;
        node.stop()?;
    }
    Ok(())
}

/// Every call in every round, and what the rounds came to. A round takes the calls in turns of a
/// fraction of it, so that all of them see the same of what else the machine does.
fn compare(node: &Node, calls: &[(&str, Call)], duration: Duration) -> Outcome<()> {
    let mut samples = vec![Vec::new(); calls.len()];
    for round in 1..=ROUNDS {
        let mut sums = vec![Sample::default(); calls.len()];
        for _ in 0..TURNS {
            for (sum, (_, call)) in sums.iter_mut().zip(calls) {
                sum.add(&sample(node, call, duration / TURNS)?);
                // Not measured: meanwhile what this turn has left is flushed.
                sample(node, &Call::Health, 2 * FLUSH_AFTER)?;
            }
        }
        for ((samples, sum), (what, _)) in samples.iter_mut().zip(sums).zip(calls) {
            println!("round {round}, {what}: {:.0} a second", sum.rate());
            samples.push(sum);
        }
    }
    println!("medians of {ROUNDS} (least to most):");
    for (samples, (what, _)) in samples.iter().zip(calls) {
        println!("{what}");
        show("calls a second", samples.iter().map(Sample::rate));
        let each_us = |of: fn(&Sample) -> Duration| samples.iter().map(move |s| s.each_us(of(s)));
        show("us a call, serving", each_us(|sample| sample.serving));
        show("us a call, flusher", each_us(|sample| sample.flusher));
        show("us a call, journal", each_us(|sample| sample.journal));
        show("us a call, client", each_us(|sample| sample.client));
        let changed = |sample: &Sample| sample.changed as f64 / sample.calls as f64;
        show("changed of the calls", samples.iter().map(changed));
    }
    let healths = samples[0].clone();
    for (samples, (what, _)) in samples.iter().zip(calls).skip(1) {
        println!("{what} / health");
        let pairs = || samples.iter().zip(&healths);
        show("of the rate", pairs().map(|(sample, health)| sample.rate() / health.rate()));
        let us = |sample: &Sample| sample.each_us(sample.serving);
        show("by serving time", pairs().map(|(sample, health)| us(health) / us(sample)));
    }
    Ok(())
}

/// What one call in one round came to.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    calls: u64,
    changed: u64,
    elapsed: Duration,
    serving: Duration,
    flusher: Duration,
    journal: Duration,
    client: Duration,
}

impl Sample {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.changed += other.changed;
        self.elapsed += other.elapsed;
        self.serving += other.serving;
        self.flusher += other.flusher;
        self.journal += other.journal;
        self.client += other.client;
    }

    /// Calls a second.
    fn rate(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    fn each_us(&self, spent: Duration) -> f64 {
        spent.as_secs_f64() * 1e6 / self.calls as f64
    }
}

fn sample(node: &Node, call: &Call, duration: Duration) -> Outcome<Sample> {
    let before = Spent::now()?;
    let outcome =
        as_client(|| Ok(wire::rate(node.address, CONNECTIONS, IN_FLIGHT, duration, call)?))?;
    let spent = Spent::now()? - &before;
    Ok(Sample {
        calls: outcome.calls,
        changed: outcome.changed,
        elapsed: outcome.elapsed,
        serving: spent.of(SERVING),
        flusher: spent.of(FLUSHER),
        journal: spent.of(JOURNAL),
        client: outcome.client,
    })
}

fn config(durability: Durability, entries: u64) -> Config {
    Config {
        cache_entries: Some(node::places(entries)),
        flush_after: FLUSH_AFTER,
        durability,
        serve_threads: Some(1),
        ..Config::default()
    }
}
