//! Start, end and start again, as an orchestrator does it.

use std::{io::Write as _, net::TcpStream};

use prost::Message as _;
use readstates::proto::{
    AckRequest, AckResponse, ApplyStreamRequest, FanOutRequest, GetRequest, IncrementRequest,
    Operation, ReadState, WatchRequest, WatchTarget, operation,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    admin::{sample, scrape_until},
    http,
    raw::held_call,
    server::{Client, Server, program},
};

const ACK: &str = "/readstates.v1.ReadStatesService/Ack";

fn ack(channel_id: u64, message_id: u64) -> AckRequest {
    AckRequest { user_id: 1, channel_id, message_id, ..Default::default() }
}

fn mention(channel_id: u64, message_id: u64) -> IncrementRequest {
    IncrementRequest { user_id: 1, channel_id, message_id, ..Default::default() }
}

async fn state(client: &mut Client, channel_id: u64) -> ReadState {
    let request = GetRequest { user_id: 1, channel_id, ..Default::default() };
    let answer = client.get(request).await.expect("the state is there").into_inner();
    answer.state.expect("an answer has a state")
}

/// A few states with everything that a row keeps.
async fn fill(client: &mut Client) -> Vec<ReadState> {
    let full = AckRequest { flags: Some(9), last_viewed_day: Some(4_000), ..ack(1, 100) };
    client.ack(full).await.expect("an ack is taken");
    for message_id in [110, 120, 130] {
        client.increment(mention(1, message_id)).await.expect("a mention is taken");
    }
    client.ack(ack(2, 200)).await.expect("an ack is taken");
    vec![state(client, 1).await, state(client, 2).await]
}

#[tokio::test]
async fn scenario_41_everything_is_there_after_an_orderly_restart() {
    let server = Server::start();
    let before = fill(&mut server.client().await).await;
    assert_eq!((before[0].last_acked_id, before[0].mention_count), (100, 3));
    let stopped = server.terminate().await;
    assert_eq!(stopped.code, Some(0), "{:#?}", stopped.log);
    let server = stopped.restart();
    let mut client = server.client().await;
    assert_eq!([state(&mut client, 1).await, state(&mut client, 2).await], before[..]);
    let again = client.increment(mention(1, 120)).await.expect("a mention is taken").into_inner();
    assert!(!again.changed, "the ledger came back too");
    let next = client.ack(ack(3, 1)).await.expect("an ack is taken").into_inner();
    let newest = before.iter().map(|state| state.version).max();
    assert!(next.state.map(|state| state.version) > newest, "versions rise over a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_41_a_call_in_flight_is_answered_after_readiness_is_gone() {
    let server = Server::start();
    let channel = server.channel().await;
    let (release, answer) = held_call(&channel, ACK, ack(1, 100).encode_to_vec());
    let begun = ["grpc_server_started_total{", "grpc_method=\"Ack\""];
    scrape_until(&server, |metrics| sample(metrics, &begun) == Some(1.0));
    let mut health = HealthClient::new(server.channel().await);
    let watch = health.watch(HealthCheckRequest::default()).await.expect("it is served");
    let mut watch = watch.into_inner();
    watch.message().await.expect("no error").expect("an answer");
    server.signal("TERM");
    let next = watch.message().await.expect("no error").expect("an answer");
    assert_eq!(next.status(), ServingStatus::NotServing);
    assert_eq!(http::get(server.admin(), "/readyz").status, 503);
    assert_eq!(http::get(server.admin(), "/livez").status, 200);
    release.send(()).expect("the call waits");
    let answer = answer.await.expect("no panic").expect("the call is answered");
    assert!(AckResponse::decode(&answer[..]).expect("an answer").changed);
    drop((watch, health, channel));
    let stopped = server.ended().await;
    assert_eq!(stopped.code, Some(0), "{:#?}", stopped.log);
    let server = stopped.restart();
    assert_eq!(state(&mut server.client().await, 1).await.last_acked_id, 100);
}

/// Sends acks over a stream, and never its end; what of it was acknowledged last.
async fn streamed(server: &Server) -> JoinHandle<u64> {
    let (sender, requests) = mpsc::channel(1);
    let mut client = server.client().await;
    let answers = client.apply_stream(ReceiverStream::new(requests));
    let first = stream_message(1);
    sender.send(first).await.expect("the stream is read");
    let mut answers = answers.await.expect("it begins").into_inner();
    assert_eq!(answers.message().await.expect("no error").map(|answer| answer.sequence), Some(1));
    tokio::spawn(async move {
        for sequence in 2.. {
            if sender.send(stream_message(sequence)).await.is_err() {
                return sequence - 1;
            }
            match answers.message().await {
                Ok(Some(answer)) => assert_eq!(answer.sequence, sequence),
                Ok(None) => return sequence - 1,
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{status}");
                    return sequence - 1;
                }
            }
        }
        unreachable!("it ends with the server")
    })
}

fn stream_message(sequence: u64) -> ApplyStreamRequest {
    let ack = operation::Operation::Ack(ack(7, sequence));
    let operations = vec![Operation { operation: Some(ack) }];
    ApplyStreamRequest { sequence, operations }
}

/// A peer that has sent this and says nothing more.
fn silent(server: &Server, first: &[u8]) -> TcpStream {
    let mut peer = TcpStream::connect(server.grpc()).expect("it listens");
    peer.write_all(first).expect("it is taken");
    peer
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_peers_and_open_streams_hold_up_no_end_and_lose_nothing() {
    let server = Server::with(&["--drain-timeout=20s"]);
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let peers = [&b""[..], &PREFACE[..7], PREFACE].map(|first| silent(&server, first));
    let mut watcher = server.client().await;
    let targets = vec![WatchTarget { user_id: 1, ..Default::default() }];
    let watch = watcher.watch(WatchRequest { targets }).await.expect("it begins");
    let stream = streamed(&server).await;
    let stopped = server.terminate().await;
    let acknowledged = stream.await.expect("no panic");
    assert_eq!(stopped.code, Some(0), "{:#?}", stopped.log);
    let gave_up = |line: &String| line.contains("did not end in time");
    assert!(!stopped.log.iter().any(gave_up), "nobody was waited for: {:#?}", stopped.log);
    drop((peers, watch));
    let server = stopped.restart();
    let found = state(&mut server.client().await, 7).await.last_acked_id;
    // One more may have been done whose answer never came.
    assert!([acknowledged, acknowledged + 1].contains(&found), "{found}, not {acknowledged}");
}

#[tokio::test]
async fn what_durability_store_acknowledged_survives_a_kill() {
    let server = Server::with(&["--durability", "store"]);
    let before = fill(&mut server.client().await).await;
    let stopped = server.kill().await;
    assert_eq!(stopped.code, None, "it was given no time");
    let server = stopped.restart();
    let mut client = server.client().await;
    assert_eq!([state(&mut client, 1).await, state(&mut client, 2).await], before[..]);
}

#[tokio::test]
async fn scenario_18_a_fan_out_killed_in_the_middle_and_retried_counts_once() {
    let server = Server::with(&["--durability", "store"]);
    let request = FanOutRequest {
        channel_id: 1,
        message_id: 50,
        user_ids: (1..=2_000).collect(),
        initial_acked_id: None,
    };
    let mut client = server.client().await;
    let first = tokio::spawn({
        let request = request.clone();
        async move { client.fan_out(request).await }
    });
    let server = server.kill().await.restart();
    // Whether it was answered before the kill is a matter of luck; the retry is right either way.
    drop(first.await);
    let mut client = server.client().await;
    let answer = client.fan_out(request.clone()).await.expect("a retry is taken").into_inner();
    assert_eq!(answer.incremented + answer.duplicate, 2_000);
    let answer = client.fan_out(request).await.expect("a retry is taken").into_inner();
    assert_eq!((answer.incremented, answer.duplicate), (0, 2_000));
    for user_id in [1, 1_000, 2_000] {
        let request = GetRequest { user_id, channel_id: 1, ..Default::default() };
        let state = client.get(request).await.expect("it is there").into_inner().state;
        assert_eq!(state.map(|state| state.mention_count), Some(1), "user {user_id}");
    }
}

#[test]
fn bad_configuration_ends_with_64_and_says_all_that_is_wrong() {
    let directory = tempfile::TempDir::new().expect("there is room for a directory");
    let flags = ["--listen", "nowhere", "--flush-after", "soon"];
    let output = program(directory.path()).args(flags).output().expect("the program is built");
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("listen") && told.contains("flush-after"), "{told}");
}
