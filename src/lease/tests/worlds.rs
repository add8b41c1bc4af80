//! Random worlds, in none of which two own the keyspace.

use std::thread;

use super::world::{self, Tally};

/// Set to a number, it replays the world of that seed alone.
const SEED_VARIABLE: &str = "READSTATES_TEST_SEED";
const SEEDS: u64 = 120;
const SEEDS_LONG: u64 = 10_000;

/// Says how to get back to a world in which something went wrong.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("replay: {SEED_VARIABLE}={}", self.0);
        }
    }
}

#[test]
fn in_no_world_do_two_own_the_keyspace() {
    let play = |seed: u64| {
        let _told = Seed(seed);
        world::play(seed)
    };
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        let seed = seed.parse().expect("a seed is a number");
        return println!("seed {seed}: {:#?}", play(seed));
    }
    let long = std::env::var_os("READSTATES_TEST_LONG").is_some();
    let seeds = if long { SEEDS_LONG } else { SEEDS };
    let mut tally = Tally::default();
    (0..seeds).for_each(|seed| tally += play(seed));
    println!("seeds 0..{seeds}: {tally:#?}");
    let Tally { epochs, refusals, given_up, crashes, releases, deposed, .. } = tally;
    let Tally { regained, freezes, cuts, versions, unknown, .. } = tally;
    let met = [
        epochs, refusals, given_up, crashes, releases, deposed, regained, freezes, cuts, versions,
        unknown,
    ];
    assert!(met.iter().all(|met| *met >= seeds / 2), "the worlds avoid what they are for");
}

#[test]
fn a_seed_is_the_same_world_every_time() {
    for seed in 0..5 {
        assert_eq!(world::play(seed), world::play(seed));
    }
}
