//! What an access costs from caches that the processor holds to ones that fill the machine, and
//! what a second thread adds.

use std::{hint::black_box, num::NonZeroUsize};

use readstates::{
    cache::{Access, Cache, Sizing},
    model::{Key, Parts, ReadState, Version},
};

use crate::{
    NOW, ROUNDS, ack, each, now_ns,
    race::together,
    sample::{key, uniform},
};

const ENTRIES: [u64; 5] = [10_000, 100_000, 1_000_000, 8_000_000, 32_000_000];
const SMOKE_ENTRIES: [u64; 1] = [1_000];
/// Accesses of one round.
const DRAWS: usize = 500_000;
/// Accesses that are given to the cache together.
const BATCH: usize = 1_000;

/// One row for each number of entries.
pub fn table(smoke: bool) {
    println!("nanoseconds of processor time each, medians of {ROUNDS} (least to most);");
    println!("by one and by two threads in millions a second\n");
    println!("| entries | read | ack | ack in batches of {BATCH} | by one | by two | times |");
    println!("|---|---|---|---|---|---|---|");
    let all: &[u64] = if smoke { &SMOKE_ENTRIES } else { &ENTRIES };
    for entries in all {
        row(*entries);
    }
}

fn row(entries: u64) {
    let cache = full(entries);
    let draws = [uniform(entries, DRAWS, 1), uniform(entries, DRAWS, 2)];
    let mut columns: [Vec<f64>; 6] = Default::default();
    let mut first = 10;
    // Ids rise, so that every ack moves its watermark: but where two threads meet at a key, whose
    // ids begin alike, and that is often only among few keys.
    let mut next = || {
        first += DRAWS as u64;
        first
    };
    // From here on what is acked is dirty.
    acks(&cache, &draws[0], next());
    acks(&cache, &draws[1], next());
    for _ in 0..ROUNDS {
        columns[0].push(ns(|| reads(&cache, &draws[0])));
        let first = next();
        columns[1].push(ns(|| acks(&cache, &draws[0], first)));
        let accesses = accesses(&draws[1], next());
        columns[2].push(ns(|| batches(&cache, &accesses)));
        let first = next();
        let one = together(1, |_| acks(&cache, &draws[0], first)) / 1e6;
        let first = next();
        let two = together(2, |thread| acks(&cache, &draws[thread], first)) / 1e6;
        columns[3].push(one);
        columns[4].push(two);
        columns[5].push(two / one);
    }
    let [read, ack, batch, one, two, times] = columns.map(median);
    println!("| {entries} | {read} | {ack} | {batch} | {one} | {two} | {times} |");
}

/// Every state in memory and clean.
fn full(entries: u64) -> Cache {
    // Users are not spread evenly: with some room to spare none is evicted.
    let places = NonZeroUsize::new(entries as usize * 5 / 4).expect("not 0");
    let cache = Cache::new(Sizing::for_entries(places, None, Some(places)), Version::ZERO, 7);
    let parts = Parts { version: Version::from_micros(1), last_acked_id: 5, ..Parts::default() };
    let state = ReadState::from_parts(parts).expect("these parts are a state");
    for number in 0..entries {
        let ticket = cache.begin_load(key(number)).expect("the key is new");
        let admitted = cache.admit(ticket, Some(state.clone()), &[Access::Read], &NOW);
        black_box(admitted).expect("nothing comes between");
    }
    cache
}

fn ns(accesses: impl FnOnce() -> u64) -> f64 {
    let started_ns = now_ns();
    let done = accesses();
    each(now_ns() - started_ns, done as usize)
}

fn reads(cache: &Cache, draws: &[u64]) -> u64 {
    for number in draws {
        let outcome = cache.access(&key(*number), &Access::Read, &NOW);
        let _ = black_box(outcome).expect("the key is in memory");
    }
    draws.len() as u64
}

fn acks(cache: &Cache, draws: &[u64], first: u64) -> u64 {
    for (number, id) in draws.iter().zip(first..) {
        let outcome = cache.access(&key(*number), &ack(id, None), &NOW);
        black_box(outcome).expect("the key is in memory").expect("there is room for dirty states");
    }
    draws.len() as u64
}

fn accesses(draws: &[u64], first: u64) -> Vec<(Key, Access)> {
    draws.iter().zip(first..).map(|(number, id)| (key(*number), ack(id, None))).collect()
}

fn batches(cache: &Cache, accesses: &[(Key, Access)]) -> u64 {
    for batch in accesses.chunks(BATCH) {
        let turns = cache.turns(batch);
        let mut left = &turns[..];
        while !left.is_empty() {
            let done = cache.access_turns(batch, left, &NOW, |_, attempt| {
                let outcome = black_box(attempt.make()).expect("the key is in memory");
                outcome.expect("there is room for dirty states");
            });
            left = &left[done..];
        }
    }
    accesses.len() as u64
}

fn median(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    let digits = if least < 100.0 { 2 } else { 0 };
    format!("{:.digits$} ({least:.digits$}-{most:.digits$})", values[values.len() / 2])
}
