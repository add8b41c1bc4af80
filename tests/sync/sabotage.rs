//! Breaks what watches do on purpose, one fault at a time: devices must notice each. Run it with
//! `cargo test --features sabotage --test sync sabotage -- --nocapture`.

use readstates::sabotage::Fault;

use crate::child::{is_child, run};

/// What may catch a fault, in the order in which it is asked.
const TESTS: [&str; 3] = [
    "watching::a_state_that_changes_while_its_user_is_looked_at_is_told_once",
    "seeds::devices_end_with_what_the_server_has_even_seeds",
    "seeds::devices_end_with_what_the_server_has_odd_seeds",
];

#[test]
fn every_fault_of_a_watch_is_caught() {
    if is_child() {
        return;
    }
    let faults = Fault::ALL.iter().filter(|fault| fault.name().starts_with("watch-"));
    let mut survivors = Vec::new();
    for fault in faults {
        let name = fault.name();
        match TESTS.iter().find_map(|test| run(test, Some(*fault))) {
            Some(by) => println!("{name:26} caught by {by}"),
            None => survivors.push(name),
        }
    }
    assert!(survivors.is_empty(), "nothing notices {survivors:?}");
}
