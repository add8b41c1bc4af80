//! The built program on a real node.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    proto::{AckRequest, GetRequest},
    store::{Batch, Row, Store as _},
};
use tokio::{task::spawn_blocking, time::sleep};
use tonic::{Code, Status, Streaming};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

use crate::{
    chat::{chat, play, report},
    http,
    keyspace::Keyspace,
    program::program,
    server::{Client, Server},
    states::{acked, channel, user, version},
    tool::python,
};

/// A life of the server lasts between these; the moment of its end is what is drawn.
const LIFE_MIN: Duration = Duration::from_millis(1_500);
const LIFE_MAX: Duration = Duration::from_secs(4);
/// Lives that are ended; one more plays to the end. After each the lease has to run out.
const KILLS: u32 = 3;
/// How long an answer is waited for that has to come at some time.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);

pub fn strs(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

fn ack(user_id: u64, message_id: u64) -> AckRequest {
    AckRequest { user_id, channel_id: 1, message_id, ..AckRequest::default() }
}

/// What the server answers for certain. On a busy machine a lease may lapse for a moment, and a
/// caller asks again then.
pub async fn answered<T, F>(call: impl Fn(Client) -> F, server: &Server) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let client = server.client().await;
    let deadline = Instant::now() + ANSWER_LIMIT;
    loop {
        match call(client.clone()).await {
            Err(status) if status.code() == Code::Unavailable && Instant::now() < deadline => {
                sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// Has an ack acknowledged.
async fn acknowledged(server: &Server, request: AckRequest) {
    let call = |mut client: Client| async move { client.ack(request).await };
    answered(call, server).await.expect("the owner answers");
}

/// What a watch of health tells next.
async fn told(watch: &mut Streaming<HealthCheckResponse>) -> ServingStatus {
    watch.message().await.expect("no error").expect("it stays open").status()
}

fn readiness(server: &Server) -> u16 {
    http::get(server.admin(), "/readyz").status
}

/// The watermark of a user; 0 where there is no state.
async fn watermark(server: &Server, user_id: u64) -> u64 {
    let request = GetRequest { user_id, channel_id: 1, ..GetRequest::default() };
    let call = |mut client: Client| async move { client.get(request).await };
    answered(call, server).await.map_or_else(
        |status| {
            assert_eq!(status.code(), Code::NotFound, "{status}");
            0
        },
        |answer| answer.into_inner().state.unwrap_or_default().last_acked_id,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_played_over_kills_is_in_the_tables_as_the_truth_has_it() {
    let Some(python) = python() else { return };
    let keyspace = Keyspace::default();
    let Some(options) = keyspace.options().await else { return };
    let given = std::env::var("READSTATES_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(rand::random);
    println!("READSTATES_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut flags = keyspace.flags().await.expect("there is a node");
    flags.extend(["--cache-entries", "2000", "--flush-after", "1s"].map(str::to_owned));
    let mut server = Server::with(&strs(&flags));
    let playing = play(server.grpc(), seed);
    let mut ended = spawn_blocking(move || playing.wait_with_output());
    let mut kills = 0;
    let output = loop {
        let life = rng.random_range(LIFE_MIN..LIFE_MAX);
        tokio::select! {
            output = &mut ended => break output.expect("waiting does not panic"),
            () = sleep(life), if kills < KILLS => {
                server = server.kill().await.restart_in_place();
                kills += 1;
            }
        }
    };
    let output = output.expect("the child can be waited for");
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{kills} kills: {report:#}");
    assert_eq!(kills, KILLS, "the chat was over too soon");
    assert_eq!(server.terminate().await.code, Some(0));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/read_back.py");
    let mut reading = Command::new(python);
    reading.arg(script).arg(&options.contact_points[0]).arg(&options.keyspace).arg(chat().1);
    let read = spawn_blocking(move || reading.output()).await.expect("waiting does not panic");
    let read = read.expect("Python is there");
    let said = String::from_utf8_lossy(&read.stdout).into_owned();
    println!("{said}");
    assert!(read.status.success(), "{said}{}", String::from_utf8_lossy(&read.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_service_refuses_to_start_and_says_who_serves() {
    let keyspace = Keyspace::default();
    let Some(mut flags) = keyspace.flags().await else { return };
    let mut first = flags.clone();
    first.extend(["--owner-name", "the-first"].map(str::to_owned));
    let first = Server::with(&strs(&first));
    let directory = tempfile::tempdir().expect("a directory");
    flags.extend(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"].map(str::to_owned));
    let mut second = program(directory.path());
    second.args(&flags).stdout(Stdio::piped()).stderr(Stdio::piped());
    let second = spawn_blocking(move || second.output()).await.expect("waiting does not panic");
    let second = second.expect("the program is built");
    let said = String::from_utf8_lossy(&[second.stdout, second.stderr].concat()).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("the-first") && said.contains("--standby"), "{said}");
    acknowledged(&first, ack(1, 5)).await;
}

/// What the program says to these arguments.
async fn said(directory: &Path, arguments: &[&str]) -> String {
    let mut command = program(directory);
    command.args(arguments);
    let output = spawn_blocking(move || command.output()).await.expect("waiting does not panic");
    let output = output.expect("the program is built");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_move_from_the_embedded_store_and_back() {
    let (there, back) = (Keyspace::default(), Server::start());
    let Some(flags) = there.flags().await else { return };
    let server = Server::with(&strs(&flags));
    // Users whose order in the ring is not that of their ids.
    for user_id in (1..=300).chain([u64::MAX]) {
        acknowledged(&server, ack(user_id, user_id)).await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let from = format!("http://{}", server.grpc());
    let to = format!("http://{}", back.grpc());
    said(directory.path(), &["dump", "--output", "all.ndjson.zst", "--target", &from]).await;
    said(directory.path(), &["load", "all.ndjson.zst", "--target", &to]).await;
    for target in [&from, &to] {
        said(directory.path(), &["verify", "all.ndjson.zst", "--target", target]).await;
        said(directory.path(), &["verify", "--target", target]).await;
    }
    assert_eq!(watermark(&back, u64::MAX).await, u64::MAX);
    said(directory.path(), &["dump", "--output", "back.ndjson.zst", "--target", &to]).await;
    said(directory.path(), &["load", "back.ndjson.zst", "--target", &from]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_without_tables_is_told_with_what_to_do() {
    let keyspace = Keyspace::default();
    let Some(mut options) = keyspace.options().await else { return };
    options.keyspace = "nowhere".to_owned();
    let directory = tempfile::tempdir().expect("a directory");
    let mut flags = crate::keyspace::flags(&options);
    flags.extend(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"].map(str::to_owned));
    let mut command = program(directory.path());
    command.args(&flags);
    let output = spawn_blocking(move || command.output()).await.expect("waiting does not panic");
    let output = output.expect("the program is built");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("readstates schema apply"), "{said}");
}

/// A server that waits for the lease, and comes up on a thread of its own.
fn standby(flags: &[String]) -> tokio::task::JoinHandle<Server> {
    let flags: Vec<String> = flags.iter().cloned().chain(["--standby".to_owned()]).collect();
    spawn_blocking(move || Server::with(&strs(&flags)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_from_who_hands_over_dies_or_freezes() {
    let keyspace = Keyspace::default();
    let Some(mut flags) = keyspace.flags().await else { return };
    flags.extend(["--durability", "store"].map(str::to_owned));
    let mut active = standby(&flags).await.expect("it comes up");
    for (round, end) in ["TERM", "KILL", "STOP"].into_iter().enumerate() {
        let message = round as u64 + 1;
        let next = standby(&flags);
        let mut client = active.client().await;
        for user_id in 1..=20 {
            acknowledged(&active, ack(user_id, message)).await;
        }
        let begun = Instant::now();
        active.signal(end);
        let owner = next.await.expect("it comes up");
        println!("take-over after {end}: {:?}", begun.elapsed());
        if end == "STOP" {
            // It wakes up as one that was deposed: it answers nothing any more, and ends.
            active.signal("CONT");
            let late = client.ack(ack(1, 1_000)).await.expect_err("it is not the owner");
            assert_eq!(late.code(), Code::Unavailable, "{late}");
        }
        if end != "KILL" {
            let ended = active.ended().await;
            assert_eq!(ended.code, Some(i32::from(end == "STOP")), "{:#?}", ended.log);
        }
        for user_id in 1..=20 {
            assert_eq!(watermark(&owner, user_id).await, message, "user {user_id}, {end}");
        }
        active = owner;
    }
    assert_eq!(active.terminate().await.code, Some(0));
    let store = keyspace.store().await.expect("there is a node");
    for user_id in 1..=20 {
        let row = store.load(channel(user_id, 1)).await.expect("a load").expect("a row");
        // Not the ack that came too late, and was refused.
        assert_eq!(row.last_acked_id(), 3, "user {user_id}");
    }
}

/// A cluster that lost what it had confirmed is told by the number of its commits, whoever owns it.
#[tokio::test]
async fn a_new_owner_counts_on_from_what_the_cluster_has() {
    let keyspace = Keyspace::default();
    let Some(options) = keyspace.options().await else { return };
    let cluster = readstates::store::Cluster::connect(options).await.expect("a cluster");
    let first = cluster.store(1).await.expect("a store");
    let row = Row { key: channel(1, 1), state: acked(5, 5) };
    let batch = Batch { rows: vec![row], durable: true, upto: None };
    first.commit(batch).await.expect("a commit");
    let counted = first.persist().await.expect("a persist");
    let second = cluster.store(2).await.expect("a store");
    assert_eq!(second.identity().await.expect("it answers").commits, counted);
    second.delete_user(user(9), version(1)).await.expect("a deletion");
    assert!(second.persist().await.expect("a persist") > counted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_nothing_is_lost_and_no_restart_is_needed() {
    let Some(cluster) = crate::node::Cluster::start(1).await else { return };
    let options = crate::keyspace::patient(&cluster.contact_point(), "readstates_outage");
    let factor = readstates::store::Replication { factor: 1 };
    readstates::store::Cluster::apply_schema(&options, factor).await.expect("a schema");
    let mut flags = crate::keyspace::flags(&options);
    flags.extend(["--flush-after", "100ms"].map(str::to_owned));
    let server = Server::with(&strs(&flags));
    acknowledged(&server, ack(1, 1)).await;
    let mut client = server.client().await;
    let mut health = HealthClient::new(server.channel().await);
    let asked = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(asked).await.expect("a watch").into_inner();
    assert_eq!(told(&mut watch).await, ServingStatus::Serving);
    assert_eq!(readiness(&server), 200);
    cluster.stop(0);
    let (mut acked, mut message) = (1, 1);
    // Goes on for as long as the lease is good, and is refused from then on.
    let refused = loop {
        message += 1;
        match client.ack(ack(1, message)).await {
            Ok(_) => acked = message,
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(refused.message().contains("lease"), "{refused}");
    // Who sends it calls is told to look elsewhere, and told when it is back.
    assert_eq!(told(&mut watch).await, ServingStatus::NotServing);
    assert_eq!(readiness(&server), 503);
    cluster.cont(0);
    assert_eq!(told(&mut watch).await, ServingStatus::Serving);
    assert_eq!(readiness(&server), 200);
    drop((watch, health));
    acknowledged(&server, ack(2, 7)).await;
    let held = watermark(&server, 1).await;
    assert!((acked..=message).contains(&held), "{held} of {acked} to {message}");
    assert_eq!(server.terminate().await.code, Some(0));
    let store = readstates::store::Cluster::connect(options).await.expect("a cluster");
    let store = store.store(0).await.expect("a store");
    let row = store.load(channel(1, 1)).await;
    assert_eq!(row.expect("a load").map(|state| state.last_acked_id()), Some(held));
}
