//! What the locks of the cache, of which there are 64 at most, cost two threads: acks that move
//! their watermark, of states in memory that are dirty already, without any server around them.
//!
//! `cargo bench --bench contention` (READSTATES_BENCH_ENTRIES=2000000); `cargo test --bench
//! contention` only looks whether everything runs. Each thread has a processor of its own and draws
//! its keys beforehand. "Apart" is the control: two threads on two caches, which share nothing but
//! the machine; what they fall short of twice the rate is not the locks'.
//!
//! 2026-11-29, AMD EPYC (2 virtual processors, 32 MiB L3, shared), Linux, fat LTO, 2,000,000
//! entries, million acks a second, medians of 5 (least to most); 42 locks for the 83 shards (64
//! since, as what is left over is spread):
//!
//! | shards | keys | one thread | two threads | times |
//! |---|---|---|---|---|
//! | 16 | uniform | 1.52 (1.37-1.60) | 2.73 (2.54-2.82) | 1.80 (1.77-1.85) |
//! | 16 | Zipf 0.99 | 1.72 (1.08-2.03) | 2.52 (2.15-3.14) | 1.79 (1.40-2.24) |
//! | 64 | uniform | 1.36 (1.22-1.51) | 2.43 (2.28-2.80) | 1.79 (1.67-2.29) |
//! | 64 | Zipf 0.99 | 1.26 (1.19-1.34) | 2.06 (1.89-2.63) | 1.54 (1.52-2.18) |
//! | 83 (chosen) | uniform | 1.43 (1.38-1.55) | 2.82 (2.62-3.15) | 2.04 (1.83-2.05) |
//! | 83 (chosen) | Zipf 0.99 | 1.64 (1.35-1.80) | 3.21 (2.79-3.81) | 2.09 (1.70-2.37) |
//! | 256 | uniform | 1.26 (1.24-1.38) | 2.54 (1.99-2.61) | 2.01 (1.60-2.07) |
//! | 256 | Zipf 0.99 | 1.71 (1.36-1.73) | 2.65 (2.10-3.08) | 1.54 (1.53-1.79) |
//! | apart | uniform | 1.64 (1.49-1.69) | 3.12 (2.94-3.23) | 1.91 (1.85-1.98) |
//! | apart | Zipf 0.99 | 2.17 (1.60-2.41) | 3.64 (3.10-4.76) | 1.86 (1.67-2.01) |
//!
//! - Two threads on one cache do as well as on two, within the noise: the locks cost nothing that
//!   can be seen here, under skew neither. With a lock for each shard, on 2026-11-23, 256 of them
//!   did as well (1.99 and 2.06 times) and 16 a little worse (1.62 and 1.71).
//! - More than two threads were never measured: there are no machines with more here.

#[path = "load/cores.rs"]
mod cores;
#[path = "load/race.rs"]
mod race;
#[path = "load/sample.rs"]
mod sample;
#[path = "load/setting.rs"]
mod setting;

use std::{
    hint::black_box,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use mimalloc::MiMalloc;
use race::together;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use readstates::{
    cache::{Access, Cache, Sizing},
    clock::Now,
    model::{MessageId, Operation, Update, Version},
};
use sample::{key, uniform};
use setting::setting;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SHARDS: [Option<usize>; 4] = [Some(16), Some(64), Some(256), None];
const SKEW: f64 = 0.99;
const ROUNDS: usize = 5;
/// Drawn for each thread, and gone through again and again.
const DRAWS: usize = 1 << 20;
/// Acks between two looks at the clock.
const STRIDE: usize = 4_096;
const NOW: Now = Now { wall_us: 1_000, ceiling: Version::from_micros(u64::MAX), elapsed_ms: 1 };

fn main() {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let entries = setting("READSTATES_BENCH_ENTRIES", if smoke { 10_000 } else { 2_000_000 });
    let duration = Duration::from_millis(if smoke { 10 } else { 500 });
    let draws = |skew: &str, seed| match skew {
        "uniform" => uniform(entries, DRAWS, seed),
        _ => zipf(entries, SKEW, DRAWS, seed),
    };
    let skews = ["uniform", "Zipf 0.99"].map(|skew| (skew, [draws(skew, 1), draws(skew, 2)]));
    println!("{entries} entries; million acks a second, medians of {ROUNDS} (least to most)\n");
    println!("| shards | keys | one thread | two threads | times |\n|---|---|---|---|---|");
    for shards in SHARDS {
        let cache = full(entries, shards);
        for (skew, draws) in &skews {
            let label = format!("{} | {skew}", cache.shards());
            compare(&label, [&cache, &cache], draws, duration);
        }
    }
    let caches = [full(entries, None), full(entries, None)];
    for (skew, draws) in &skews {
        compare(&format!("apart | {skew}"), [&caches[0], &caches[1]], draws, duration);
    }
}

/// Every state in memory and dirty.
fn full(entries: u64, shards: Option<usize>) -> Cache {
    // Users are not spread evenly: with some room to spare none is evicted.
    let places = NonZeroUsize::new(entries as usize * 5 / 4 + 5_000).expect("not 0");
    let shards = shards.and_then(NonZeroUsize::new);
    let cache = Cache::new(Sizing::for_entries(places, shards, Some(places)), Version::ZERO, 7);
    for number in 0..entries {
        let ticket = cache.begin_load(key(number)).expect("the key is new");
        let outcomes = cache.admit(ticket, None, &[ack(1)], &NOW).expect("nothing comes between");
        assert!(outcomes.iter().all(Result::is_ok), "there is room for dirty states");
    }
    assert_eq!(cache.dirty() as u64, entries);
    cache
}

fn compare(label: &str, caches: [&Cache; 2], draws: &[Vec<u64>; 2], duration: Duration) {
    let (mut one, mut two, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 2;
    for _ in 0..ROUNDS {
        let alone = together(1, |_| acks(caches[0], &draws[0], first, duration));
        first += 1 << 32;
        // Both count up from the same id: where they meet at a key, some acks change nothing.
        let both = together(2, |thread| acks(caches[thread], &draws[thread], first, duration));
        first += 1 << 32;
        one.push(alone / 1e6);
        two.push(both / 1e6);
        times.push(both / alone);
    }
    println!("| {label} | {} | {} | {} |", shown(one), shown(two), shown(times));
}

/// How many were done.
fn acks(cache: &Cache, draws: &[u64], first: u64, duration: Duration) -> u64 {
    let started = Instant::now();
    let mut done = 0;
    for stride in draws.chunks(STRIDE).cycle() {
        for number in stride {
            let outcome = cache.access(&key(*number), &ack(first + done), &NOW);
            black_box(outcome).expect("the key is in memory").expect("it is dirty already");
            done += 1;
        }
        if started.elapsed() >= duration {
            break;
        }
    }
    done
}

fn ack(id: u64) -> Access {
    let message = MessageId::new(id).expect("not 0");
    Access::Update(Update::from(Operation::Ack { message, flags: None, last_viewed_day: None }))
}

fn shown(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!("{:.2} ({least:.2}-{most:.2})", values[values.len() / 2])
}

/// So many numbers below `keys`, of which the `r`-th most likely one comes `r^-exponent` as often
/// as the most likely. Neighbours in that order are not neighbours in number.
fn zipf(keys: u64, exponent: f64, draws: usize, seed: u64) -> Vec<u64> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    let draw = |_| {
        let at = random.random_range(0.0..sum);
        let rank = sums.partition_point(|sum| *sum <= at) as u64;
        // A bijection where the number of keys has not this prime as a factor.
        rank.wrapping_mul(999_999_937) % keys
    };
    (0..draws).map(draw).collect()
}
