//! Nodes of the database that die, freeze or are all away, under load: nothing acknowledged is
//! lost, the server needs no restart, and its memory stays where it was. Long, and so only with
//! `READSTATES_TEST_LONG`; `READSTATES_TEST_AWAY_SECONDS` says how long all nodes are away (600).

use std::{
    fs,
    time::{Duration, Instant},
};

use readstates::store::{self, CassandraOptions, Replication};
use tokio::time::sleep;

use crate::{
    keyspace::{flags, patient},
    load::{Load, given},
    long::is_long,
    node::Cluster,
    server::Server,
};

/// A node is frozen for so long.
const FROZEN: Duration = Duration::from_secs(30);
/// Operations that are acknowledged between two faults.
const OPERATIONS: u64 = 400;
/// What the server may take besides what it took before the fault: queues, and the driver's books.
const MORE_MIB_MAX: u64 = 64;

/// What the server has in memory.
fn resident_mib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is told");
    let kib = line.trim().trim_end_matches("kB").trim();
    kib.parse::<u64>().expect("a number") / 1024
}

async fn served(cluster: &Cluster, keyspace: &str, factor: u32) -> (CassandraOptions, Server) {
    let mut options = patient(&cluster.contact_point(), keyspace);
    options.contact_points = cluster.contact_points();
    let applied = store::Cluster::apply_schema(&options, Replication { factor }).await;
    applied.expect("a schema");
    let mut flags = flags(&options);
    flags.extend(["--flush-after", "1s"].map(str::to_owned));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    (options, Server::with(&flags))
}

/// Lets the load go on, and tells what came of `fault` and how long it took.
async fn recovered(load: &Load, server: &Server, fault: &str, failed: u64, before_mib: u64) {
    let begun = Instant::now();
    load.goes_on(1).await;
    let (first, mib) = (begun.elapsed(), resident_mib(server));
    load.goes_on(OPERATIONS).await;
    println!(
        "{fault}: {} calls failed of {}, answered after {first:?}; {before_mib} MiB, then {mib}",
        load.failed() - failed,
        load.acknowledged() + load.failed(),
    );
    assert!(mib <= before_mib + MORE_MIB_MAX, "{before_mib} MiB before, {mib} now");
}

async fn ends_with_everything(load: Load, server: Server, options: CassandraOptions) {
    let truth = load.enough().await;
    assert_eq!(server.terminate().await.code, Some(0));
    let cluster = store::Cluster::connect(options).await.expect("a cluster");
    let store = cluster.store(0).await.expect("a store");
    truth.is_in(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_nodes_one_dies_and_others_freeze_and_nothing_is_lost() {
    if !is_long("one of three nodes dies and others freeze") {
        return;
    }
    let Some(cluster) = Cluster::start(3).await else { return };
    let (options, server) = served(&cluster, "readstates_faults", 3).await;
    let load = Load::on(server.grpc());
    load.goes_on(OPERATIONS).await;
    let mib = resident_mib(&server);

    let failed = load.failed();
    cluster.kill(2).await;
    recovered(&load, &server, "one of three killed", failed, mib).await;

    // Two of three away: there is no quorum.
    let failed = load.failed();
    cluster.stop(1);
    sleep(FROZEN).await;
    cluster.cont(1);
    recovered(&load, &server, "another frozen for 30 s", failed, mib).await;

    cluster.restart(2).await;
    cluster.settled().await;
    let failed = load.failed();
    cluster.stop(0);
    sleep(FROZEN).await;
    cluster.cont(0);
    recovered(&load, &server, "one of three frozen for 30 s", failed, mib).await;
    ends_with_everything(load, server, options).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_away_for_ten_minutes_and_nothing_is_lost() {
    if !is_long("the database is away for ten minutes") {
        return;
    }
    let Some(cluster) = Cluster::start(1).await else { return };
    let (options, server) = served(&cluster, "readstates_away", 1).await;
    let load = Load::on(server.grpc());
    load.goes_on(OPERATIONS).await;
    let (failed, mib) = (load.failed(), resident_mib(&server));
    cluster.kill(0).await;
    let away = given("READSTATES_TEST_AWAY_SECONDS").unwrap_or(600);
    sleep(Duration::from_secs(away)).await;
    cluster.restart(0).await;
    recovered(&load, &server, &format!("away for {away} s"), failed, mib).await;
    ends_with_everything(load, server, options).await;
}
