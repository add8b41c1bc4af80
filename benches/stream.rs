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
//! random keys. As it was before the shards shared locks, and as it is, in turn three times, with
//! rounds of 4 seconds; each figure is the median of 5, the machine half as fast at times:
//!
//! | updates a second | before | as it is | times |
//! |---|---:|---:|---:|
//! | memory | 648,000, 811,000, 652,000 | 813,000, 1,235,000, 1,171,000 | 1.25, 1.52, 1.80 |
//! | journal | 354,000, 400,000, 495,000 | 495,000, 430,000, 534,000 | 1.40, 1.07, 1.08 |
//!
//! Each loaded for a minute (READSTATES_BENCH_SECONDS=12), in a slow quarter of an hour: 961,000
//! (843,000-1,068,000) in memory, 454,000 (419,000-472,000) with the journal, 0.47 of it. In rounds
//! of 8 seconds in the quickest: 1,293,000 (1,186,000-1,448,000) and 668,000 (657,000-802,000),
//! 0.52 of it; us an update in memory 0.66 serving and 0.23 flushing, with the journal 1.35, 0.48
//! and 0.35 in the journal.
//!
//! The goal of 4 million a second is missed by far. `perf` has where those 0.66 us went: 0.17 look
//! the entries up, 0.08 their marks; 0.07 promote them, which writes to two neighbours each; 0.06
//! make clean states dirty; 0.07 change, copy and note; 0.11 decode, sort, answer and encode; the
//! rest is transport and kernel. The goal was set where an empty call takes 3.6 us instead of 9,
//! and a lone update 0.17 instead of 0.84: a lookup is a chain of three misses, and the processor
//! keeps about four lookups in its window, which makes 0.15 us before anything is changed.
//!
//! What helped, one after the other, in rounds of 8 seconds; thousand updates a second in memory,
//! 851 (800-1,030) before:
//!
//! - 963 (899-1,070): 64 locks instead of 560, so that 16 states are looked up together instead of
//!   2, and what their marks take too.
//! - 1,035 (963-1,509): all are promoted before the first is changed. A change reads back what it
//!   wrote, in wider words, and so waits until its writes are done, which come after those to the
//!   neighbours; `perf` blamed the state's own line for it before.
//! - 1,293 (1,186-1,448): no branch on what is in an entry while others are looked up, and the free
//!   slots of the dirty index in a stack instead of a list through them.
//!
//! What did not help:
//!
//! - To look up 256 entries over all their shards before the first is changed, with a lock for each
//!   shard: 0.41 us instead of 0.42 in-process. Each lock taken waits for the misses before it.
//! - Half the places (all states dirty at once): the flusher runs without a pause and takes the
//!   locks from who serves.
//! - To bring the next free slot of the dirty index near, and to hand a mark's key on instead of
//!   reading back what was just written: within the noise.

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
