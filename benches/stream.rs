//! `ApplyStream`: updates a second over one stream, on one core of the server, every one of which
//! changes a state.
//!
//! `cargo bench --bench stream` (READSTATES_BENCH_ENTRIES=8000000, READSTATES_BENCH_SECONDS=4,
//! READSTATES_BENCH_BATCH=1000, READSTATES_BENCH_DIR for the journal's disk). The thread that
//! serves is confined to one processor, the client to another; flusher and journal run wherever
//! there is room. The client patches ready-made messages and reads every result.
//!
//! 2026-11-29, AMD EPYC (2 virtual processors, 32 MiB L3, shared; 190 to 220 ns for a cache miss on
//! huge pages, 340 to 380 on small ones), Linux, fat LTO; 8,000,000 entries, messages of 1,000,
//! random keys, READSTATES_BENCH_SECONDS=12, so that each is loaded for a minute, medians of the 5
//! rounds (least to most):
//!
//! | | updates a second | us an update: serving | flusher | journal |
//! |---|---:|---:|---:|---:|
//! | memory | 862,000 (796,000-1,075,000) | 1.09 (0.87-1.17) | 0.31 | |
//! | journal | 503,000 (465,000-558,000) | 1.79 (1.64-1.92) | 0.73 | 0.46 |
//!
//! Journaled is 0.58 of memory (0.47 on 2026-11-23, of 667,000). The goal of 4 million a second is
//! missed by far. `perf` has where 1.5 us went on 2026-11-23: 0.34 look entries up before they are
//! changed, 0.38 change them, 0.11 wait for the state's own line, 0.32 make clean states dirty, all
//! of it cache misses; 0.35 decode, sort, answer and encode. In-process (benches/cache.rs, scale)
//! such a batch of dirty states takes 0.42 us an update and one update by itself 0.84: a chain of
//! four misses, which is what this machine takes for them. The goal was set where an empty call
//! takes 3.6 us instead of 9, and a lone update 0.17 instead of 0.84.
//!
//! What did not help:
//!
//! - To look up 256 entries over all their shards before the first is changed, instead of the four
//!   of one shard: 0.41 us instead of 0.42. How many misses overlap is bound by the instructions of
//!   a lookup, of which the processor keeps about four in its window.
//! - Half the places (all states dirty at once): the flusher runs without a pause and takes the
//!   shards' locks from who serves.

#[path = "../tests/blackbox/bytes.rs"]
mod bytes;
#[path = "stream/caller.rs"]
mod caller;
#[path = "load/cores.rs"]
mod cores;
#[path = "load/node.rs"]
mod node;
#[path = "load/setting.rs"]
mod setting;
#[path = "load/shown.rs"]
mod shown;
#[path = "load/threads.rs"]
mod threads;

use std::time::Duration;

use caller::Caller;
use node::{Node, Outcome, SERVING, SERVING_CORE, as_client};
use readstates::config::{Config, Durability};
use setting::setting;
use shown::show;
use threads::Spent;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
/// How the names of threads begin.
const FLUSHER: &str = "flusher";
const JOURNAL: &str = "journal";

fn main() -> Outcome<()> {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let entries = setting("READSTATES_BENCH_ENTRIES", if smoke { 10_000 } else { 8_000_000 });
    let batch = setting("READSTATES_BENCH_BATCH", 1_000) as usize;
    let duration = node::round(smoke, setting("READSTATES_BENCH_SECONDS", 4));
    println!("{entries} entries, messages of {batch} operations");
    for durability in [Durability::Memory, Durability::Journal] {
        println!("\n--durability {durability:?}");
        let node = Node::start(config(durability, entries))?;
        let mut caller = Caller::new(node.address, entries, batch);
        as_client(|| caller.fill())?;
        threads::confine_named(SERVING, SERVING_CORE)?;
        let samples: Vec<Sample> = (1..=ROUNDS)
            .map(|round| {
                let sample = sample(&mut caller, duration)?;
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

/// What one round came to.
#[derive(Clone, Copy, Debug)]
struct Sample {
    rate: f64,
    serving_us: f64,
    flusher_us: f64,
    journal_us: f64,
    client_us: f64,
}

fn sample(caller: &mut Caller, duration: Duration) -> Outcome<Sample> {
    let before = Spent::now()?;
    let outcome = as_client(|| caller.run(duration))?;
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

fn config(durability: Durability, entries: u64) -> Config {
    Config {
        // Half of what there is room for: nothing is flushed before its time.
        cache_entries: Some(2 * node::places(entries)),
        // All of them change over and over.
        dirty_limit: Some(2 * node::places(entries)),
        durability,
        serve_threads: Some(1),
        ..Config::default()
    }
}
