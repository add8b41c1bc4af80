//! Breaks the program on purpose, one fault at a time, and demands that a test notices each. Run it
//! with `cargo test --features sabotage --test sabotage -- --nocapture`.
//!
//! A fault is chosen per process, so this binary runs itself: the simulation, and what damage and
//! huge replays need, which the simulation does not have.

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

use std::{env, process::Command};

use readstates::sabotage::Fault;

/// Tells a process that it has been started by [`every_fault_is_caught`].
const VARIABLE: &str = "READSTATES_SABOTAGE";

/// What may catch a fault, in the order in which it is asked.
const TESTS: [&str; 4] = [
    "seeds::nothing_shown_is_taken_back_even_seeds",
    "seeds::nothing_shown_is_taken_back_odd_seeds",
    "places::what_another_segment_held_is_no_record",
    "small_journal::what_is_not_replayed_yet_stays_in_the_journal",
];

/// How a test of this binary ends in a process that has `fault`: `None` where it passes, else what
/// it says about that.
fn run(test: &str, fault: Option<Fault>) -> Option<String> {
    let mut command = Command::new(env::current_exe().expect("it runs"));
    command.args(["--exact", test, "--nocapture"]).env("RUST_BACKTRACE", "0");
    match fault {
        Some(fault) => command.env(VARIABLE, fault.name()),
        None => command.env_remove(VARIABLE),
    };
    let output = command.output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("running 1 test"), "{test} is not there: {told}");
    if output.status.success() {
        return None;
    }
    let seed = told.lines().find(|line| line.contains("failed: READSTATES_TEST_SEED"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut errors = errors.lines().skip_while(|line| !line.contains("panicked at"));
    let why = errors.nth(1).unwrap_or_default().chars().take(90).collect::<String>();
    Some(match seed.and_then(|line| line.split(' ').nth(1)) {
        Some(seed) => format!("{test}, seed {seed}: {why}"),
        None => format!("{test}: {why}"),
    })
}

#[test]
fn every_fault_is_caught() {
    if env::var_os(VARIABLE).is_some() {
        return;
    }
    for test in TESTS {
        assert_eq!(run(test, None), None, "without any fault");
    }
    let mut survivors = Vec::new();
    for fault in Fault::ALL {
        let name = fault.name();
        match TESTS.iter().find_map(|test| run(test, Some(*fault))) {
            Some(by) => println!("{name:26} caught by {by}"),
            None => survivors.push(name),
        }
    }
    let (all, caught) = (Fault::ALL.len(), Fault::ALL.len() - survivors.len());
    println!("{caught} of {all} caught");
    assert!(survivors.is_empty(), "nothing notices {survivors:?}");
}
