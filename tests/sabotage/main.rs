//! Breaks the program on purpose, one fault at a time, and demands that a test notices each. Run it
//! with `cargo test --features sabotage --test sabotage -- --nocapture`.
//!
//! A fault is chosen per process, so this binary runs itself: the simulation, and what damage and
//! huge replays need, which the simulation does not have.

mod child;
#[path = "../simulation/client.rs"]
mod client;
#[path = "../simulation/endings.rs"]
mod endings;
#[path = "../simulation/history.rs"]
mod history;
#[path = "../faults/keys.rs"]
#[allow(dead_code, reason = "one test of many is taken over")]
mod keys;
#[path = "../simulation/life.rs"]
mod life;
#[path = "../simulation/lossy_store.rs"]
mod lossy_store;
mod places;
#[path = "../simulation/plan.rs"]
mod plan;
#[path = "../simulation/retirement.rs"]
mod retirement;
#[path = "../faults/scene.rs"]
#[allow(dead_code, reason = "one test of many is taken over")]
mod scene;
#[path = "../simulation/seeds.rs"]
mod seeds;
#[path = "../faults/small_journal.rs"]
mod small_journal;
#[path = "../simulation/tally.rs"]
mod tally;
#[path = "../simulation/tasks.rs"]
mod tasks;
#[path = "../simulation/trace.rs"]
mod trace;
#[path = "../simulation/trouble.rs"]
mod trouble;
#[path = "../simulation/wish.rs"]
mod wish;
#[path = "../simulation/world.rs"]
mod world;

use readstates::sabotage::Fault;

use crate::child::{is_child, run};

/// What may catch a fault, in the order in which it is asked.
const TESTS: [&str; 4] = [
    "seeds::nothing_shown_is_taken_back_even_seeds",
    "seeds::nothing_shown_is_taken_back_odd_seeds",
    "places::what_another_segment_held_is_no_record",
    "small_journal::what_is_not_replayed_yet_stays_in_the_journal",
];

#[test]
fn every_fault_is_caught() {
    if is_child() {
        return;
    }
    for test in TESTS {
        assert_eq!(run(test, None), None, "without any fault");
    }
    let mut survivors = Vec::new();
    // Those of watches are caught where devices watch: by `--test sync`.
    let faults: Vec<Fault> =
        Fault::ALL.iter().copied().filter(|fault| !fault.name().starts_with("watch-")).collect();
    for fault in &faults {
        let name = fault.name();
        match TESTS.iter().find_map(|test| run(test, Some(*fault))) {
            Some(by) => println!("{name:26} caught by {by}"),
            None => survivors.push(name),
        }
    }
    let (all, caught) = (faults.len(), faults.len() - survivors.len());
    println!("{caught} of {all} caught");
    assert!(survivors.is_empty(), "nothing notices {survivors:?}");
}
