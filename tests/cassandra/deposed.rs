//! Owners that die, freeze or hand over under load with a journal each, full of what the database
//! does not have: once both journals are back, everything that was acknowledged is there.

use std::time::Instant;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    keyspace::Keyspace,
    load::{Load, given},
    server::{Server, Stopped},
};

/// Ends that are gone through in turn.
const ENDS: [&str; 3] = ["KILL", "STOP", "TERM"];
/// Operations that are acknowledged between two ends.
const OPERATIONS_PER_ROUND: u64 = 400;

fn started(flags: Vec<String>) -> JoinHandle<Server> {
    spawn_blocking(move || {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Server::with(&flags)
    })
}

/// Ends the owner in one of the ways, while another stands by; both as they are then.
async fn depose(active: Server, next: JoinHandle<Server>, end: &str) -> (Stopped, Server) {
    active.signal(end);
    let owner = next.await.expect("it comes up");
    if end == "STOP" {
        // It wakes up as one that was deposed, and ends.
        active.signal("CONT");
    }
    (active.ended().await, owner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_journals_of_dead_owners_back_nothing_acknowledged_is_missing() {
    let keyspace = Keyspace::default();
    let Some(mut flags) = keyspace.flags().await else { return };
    let rounds = given("READSTATES_TEST_TAKE_OVERS").unwrap_or(ENDS.len() as u64);
    flags.extend(["--standby", "--flush-after", "3s"].map(str::to_owned));
    let mut active = started(flags.clone()).await.expect("it comes up");
    let load = Load::on(active.grpc());
    let mut next = started(flags);
    for round in 0..rounds {
        let end = ENDS[round as usize % ENDS.len()];
        load.goes_on(OPERATIONS_PER_ROUND).await;
        let begun = Instant::now();
        let (ended, owner) = depose(active, next, end).await;
        load.turn_to(owner.grpc());
        load.goes_on(1).await;
        println!("{end}: answered again after {:?}", begun.elapsed());
        let code = match end {
            "KILL" => None,
            "STOP" => Some(1),
            _ => Some(0),
        };
        assert_eq!(ended.code, code, "{end}: {:#?}", ended.log);
        active = owner;
        next = spawn_blocking(move || ended.restart());
    }
    println!("{} operations over {rounds} take-overs", load.acknowledged());
    let truth = load.enough().await;
    let (ended, owner) = depose(active, next, "TERM").await;
    assert_eq!(ended.code, Some(0), "{:#?}", ended.log);
    assert_eq!(owner.terminate().await.code, Some(0));
    let store = keyspace.store().await.expect("there is a node");
    truth.is_in(store.as_ref()).await;
}
