//! Runs many seeds, and says which one failed.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use readstates::metrics::Metrics;

use crate::{tally::Tally, trace::Trace, world::World};

const SEEDS: u64 = 10_000;
const SEEDS_LONG: u64 = 200_000;
/// The seeds are dealt to so many tests, which run side by side.
const TESTS: u64 = 2;
/// Runs whose traces are compared.
const SEEDS_TWICE: u64 = 20;

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new().expect("metrics"))
}

/// The seeds of test `part`.
fn seeds(part: u64) -> Vec<u64> {
    let alone = env::var("READSTATES_TEST_SEED").ok();
    if let Some(seed) = alone {
        let seed = seed.parse().expect("READSTATES_TEST_SEED is a number");
        return [seed].into_iter().filter(|seed| seed % TESTS == part).collect();
    }
    let long = env::var_os("READSTATES_TEST_LONG").is_some();
    let seeds = if long { SEEDS_LONG } else { SEEDS };
    (0..seeds).filter(|seed| seed % TESTS == part).collect()
}

fn run(part: u64) {
    let (metrics, mut tally) = (metrics(), Tally::default());
    let seeds = seeds(part);
    for seed in &seeds {
        let trace = if seeds.len() == 1 { Trace::kept(true) } else { Trace::default() };
        let world = AssertUnwindSafe(|| World::new(*seed, &metrics, trace).run());
        match catch_unwind(world) {
            Ok(run) => tally.add(&run),
            Err(panic) => {
                println!("seed {seed} failed: READSTATES_TEST_SEED={seed} tells what happened");
                resume_unwind(panic);
            }
        }
    }
    println!("{} seeds: {tally:#?}", seeds.len());
    if seeds.len() > 100 {
        tally.assert_rich();
    }
}

#[test]
fn devices_end_with_what_the_server_has_even_seeds() {
    run(0);
}

#[test]
fn devices_end_with_what_the_server_has_odd_seeds() {
    run(1);
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    let metrics = metrics();
    for seed in 0..SEEDS_TWICE {
        let lines = || {
            let trace = Trace::kept(false);
            World::new(seed, &metrics, trace.clone()).run();
            trace.lines()
        };
        let (first, second) = (lines(), lines());
        assert!(first.len() > 50, "seed {seed} does nothing");
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
