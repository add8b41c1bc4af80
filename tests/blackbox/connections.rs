//! Connections: dealt evenly among the threads that serve, held through a drain, refused and taken
//! again when the system has no files left.

use std::{fs, process::Command};

use prost::Message as _;
use readstates::proto::{AckRequest, AckResponse, GetRequest, WatchRequest, WatchTarget};
use tonic::{Code, transport::Channel};

use crate::{
    admin::{sample, scrape_until},
    http::get,
    raw::held_call,
    server::{Client, Server},
};

const ACK: &str = "/readstates.v1.ReadStatesService/Ack";
const THREADS: usize = 3;
/// What the server has of them is all it gets.
const FILES_LEFT: usize = 4;

fn ack(channel_id: u64, message_id: u64) -> AckRequest {
    AckRequest { user_id: 1, channel_id, message_id, ..Default::default() }
}

fn per_core(threads: usize) -> Server {
    Server::with(&["--runtime=per-core", &format!("--serve-threads={threads}")])
}

/// Open connections by the runtime that serves them.
fn connections(metrics: &str) -> Vec<(String, f64)> {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("readstates_connections{"));
    let parts = lines.map(|line| {
        let (labels, count) = line.rsplit_once(' ').expect("a sample has a value");
        let name = labels.trim_start_matches("runtime=\"").trim_end_matches("\"}");
        (name.to_owned(), count.parse().expect("a number"))
    });
    parts.collect()
}

fn counts(metrics: &str) -> Vec<f64> {
    connections(metrics).into_iter().map(|(_, count)| count).collect()
}

async fn acked_over(channel: &Channel, channel_id: u64) {
    let answer = Client::new(channel.clone()).ack(ack(channel_id, 5)).await;
    assert!(answer.expect("an ack is taken").into_inner().changed);
}

#[tokio::test]
async fn both_forms_serve_and_name_their_runtimes() {
    for (form, names) in [("per-core", vec!["serving-0", "serving-1"]), ("shared", vec!["shared"])]
    {
        let server = Server::with(&["--runtime", form, "--serve-threads=2"]);
        let channels = [server.channel().await, server.channel().await];
        for (number, channel) in (1..).zip(&channels) {
            acked_over(channel, number).await;
        }
        let metrics = get(server.admin(), "/metrics").body;
        let open = connections(&metrics);
        assert_eq!(open.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert_eq!(open.iter().map(|(_, count)| count).sum::<f64>(), 2.0, "{open:?}");
        drop(channels);
        let stopped = server.terminate().await;
        assert_eq!(stopped.code, Some(0), "{:#?}", stopped.log);
        let server = stopped.restart();
        let request = GetRequest { user_id: 1, channel_id: 2, ..Default::default() };
        let state = server.client().await.get(request).await.expect("it is there").into_inner();
        assert_eq!(state.state.map(|state| state.last_acked_id), Some(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_dealt_evenly_and_a_freed_seat_is_the_next_to_be_taken() {
    let server = per_core(THREADS);
    let mut channels = Vec::new();
    for number in 1..=(4 * THREADS) as u64 {
        let channel = server.channel().await;
        acked_over(&channel, number).await;
        channels.push(channel);
        let open = counts(&get(server.admin(), "/metrics").body);
        let (least, most) = (open.iter().copied().fold(f64::MAX, f64::min), open.iter().copied());
        assert!(most.fold(0.0, f64::max) - least <= 1.0, "{open:?}");
        assert_eq!(open.iter().sum::<f64>(), number as f64);
    }
    // Equal ones take turns, so these were all at one runtime.
    let mut number = 0;
    channels.retain(|_| {
        number += 1;
        number % THREADS != 1
    });
    let freed = scrape_until(&server, |metrics| counts(metrics).contains(&0.0));
    let mut open = counts(&freed.body);
    open.sort_by(f64::total_cmp);
    assert_eq!(open, [0.0, 4.0, 4.0]);
    for number in 101..=104 {
        let channel = server.channel().await;
        acked_over(&channel, number).await;
        channels.push(channel);
    }
    assert_eq!(counts(&get(server.admin(), "/metrics").body), [4.0; THREADS]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_watches_and_waits_for_calls_on_every_runtime() {
    let server = per_core(2);
    let mut held = Vec::new();
    for number in 1..=4 {
        let channel = server.channel().await;
        let targets = vec![WatchTarget { user_id: 1, ..Default::default() }];
        let watch = Client::new(channel.clone()).watch(WatchRequest { targets }).await;
        let mut watch = watch.expect("it is served").into_inner();
        watch.message().await.expect("no error").expect("it is caught up");
        let (release, answer) = held_call(&channel, ACK, ack(number, 100).encode_to_vec());
        held.push((watch, release, answer));
    }
    let begun = ["grpc_server_started_total{", "grpc_method=\"Ack\""];
    let metrics = scrape_until(&server, |metrics| sample(metrics, &begun) == Some(4.0));
    assert_eq!(counts(&metrics.body), [2.0, 2.0]);
    server.signal("TERM");
    for (watch, ..) in &mut held {
        let status = loop {
            match watch.message().await {
                Ok(event) => assert!(event.is_some(), "it ends with its reason"),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
    for (_, release, answer) in held {
        release.send(()).expect("the call waits");
        let answer = answer.await.expect("no panic").expect("the call is answered");
        assert!(AckResponse::decode(&answer[..]).expect("an answer").changed);
    }
    let stopped = server.ended().await;
    assert_eq!(stopped.code, Some(0), "{:#?}", stopped.log);
    assert!(!stopped.log.iter().any(|line| line.contains("did not end in time")));
    let server = stopped.restart();
    for channel_id in 1..=4 {
        let request = GetRequest { user_id: 1, channel_id, ..Default::default() };
        let state = server.client().await.get(request).await.expect("it is there").into_inner();
        assert_eq!(state.state.map(|state| state.last_acked_id), Some(100));
    }
}

/// Lets the server have no more than so many files besides those it has.
fn limit_files(server: &Server, more: usize) {
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs").count();
    // Only the soft limit, which can be raised again.
    let limit = format!("--nofile={}:", open + more);
    let pid = server.pid().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(limited.expect("util-linux is there").success());
}

#[tokio::test]
async fn without_files_connections_wait_and_are_taken_once_there_are_some() {
    for form in ["--runtime=per-core", "--runtime=shared"] {
        let mut server = Server::with(&[form, "--serve-threads=2", "--store=memory"]);
        let held = server.channel().await;
        acked_over(&held, 1).await;
        limit_files(&server, FILES_LEFT);
        let mut waiting = Vec::new();
        for number in 0..2 * FILES_LEFT as u64 {
            // The system takes it for the server, which cannot accept it.
            let channel = server.channel().await;
            waiting.push(tokio::spawn(async move {
                acked_over(&channel, 10 + number).await;
                channel
            }));
        }
        server.logged("no connection can be accepted");
        acked_over(&held, 2).await;
        limit_files(&server, 100);
        let mut channels = Vec::new();
        for waiting in waiting {
            channels.push(waiting.await.expect("no panic"));
        }
        let metrics = get(server.admin(), "/metrics").body;
        assert!(sample(&metrics, &["readstates_accept_errors_total"]) >= Some(1.0));
        assert_eq!(counts(&metrics).iter().sum::<f64>(), 1.0 + channels.len() as f64);
        drop((held, channels));
        assert_eq!(server.terminate().await.code, Some(0));
    }
}
