//! Who may connect and for how long: silent peers, limits, age, readers that take nothing, and
//! sockets in the file system.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use futures_util::future::join_all;
use h2::client::SendRequest;
use http::Request;
use hyper_util::rt::TokioIo;
use prost::{Message as _, bytes::Bytes};
use readstates::proto::{
    AckRequest, BulkAckItem, BulkAckRequest, GetRequest, ListRequest, WatchRequest, WatchTarget,
};
use tokio::{net::UnixStream, task::JoinHandle};
use tonic::{Code, transport::Endpoint};
use tower::service_fn;

use crate::{
    admin::{sample, scrape_until},
    server::{Client, Server},
};

/// A peer that was not closed by then never will be.
pub const PATIENCE: Duration = Duration::from_secs(60);

fn ack(channel_id: u64) -> AckRequest {
    AckRequest { user_id: 1, channel_id, message_id: 5, ..Default::default() }
}

/// A peer that sends `first` and no more; everything that it is told until it is closed.
fn told(server: &Server, first: &[u8]) -> Vec<u8> {
    let mut peer = TcpStream::connect(server.grpc()).expect("it listens");
    peer.set_read_timeout(Some(PATIENCE)).expect("a time");
    peer.write_all(first).expect("it is taken");
    let mut told = Vec::new();
    // It may be reset: what it has sent was not read.
    peer.read_to_end(&mut told).ok();
    told
}

/// Waits until a metric is as wanted: what is closed may be counted a moment later.
fn counts(server: &Server, parts: &[&str], wanted: impl Fn(f64) -> bool) {
    scrape_until(server, |metrics| sample(metrics, parts).is_some_and(&wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_begin_is_closed_and_counted() {
    let server = Server::with(&["--handshake-timeout=300ms", "--store=memory"]);
    let mut client = server.client().await;
    for first in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        assert_eq!(told(&server, first), b"");
    }
    let failures = ["readstates_handshake_failures_total{", "\"timeout\""];
    counts(&server, &failures, |count| count == 2.0);
    client.ack(ack(1)).await.expect("others are served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_speaks_something_else_is_told_so_or_closed() {
    let server = Server::with(&["--store=memory"]);
    let answer = told(&server, b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    // The beginning of TLS.
    assert_eq!(told(&server, &[0x16, 3, 1, 2, 0]), b"");
    let failures = ["readstates_handshake_failures_total{", "\"preface\""];
    counts(&server, &failures, |count| count == 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limits_are_closed_and_a_freed_place_is_taken() {
    for (flag, label) in [
        ("--max-connections=2", "\"max_connections\""),
        ("--max-connections-per-peer=2", "\"max_connections_per_peer\""),
    ] {
        let server = Server::with(&[flag, "--store=memory"]);
        let mut held = [server.client().await, server.client().await].map(Some);
        for client in held.iter_mut().flatten() {
            client.ack(ack(1)).await.expect("it has a place");
        }
        assert_eq!(told(&server, b""), b"", "{flag}");
        let rejected = ["readstates_connections_rejected_total{", label];
        counts(&server, &rejected, |count| count == 1.0);
        held[0] = None;
        scrape_until(&server, |metrics| {
            let open = metrics.lines().filter(|line| line.starts_with("readstates_connections{"));
            open.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>() == 1.0
        });
        server.client().await.ack(ack(2)).await.expect("there is a place again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_in_the_file_system_and_several_addresses_are_served_at_once() {
    let server = Server::with(&["--store=memory"]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grpc.sock");
    let listen = format!("127.0.0.1:0,unix:{},127.0.0.1:0", path.display());
    drop(server);
    let server = Server::listening(&listen, &["--store=memory"]);
    let connect = path.clone();
    let connector = service_fn(move |_| {
        let path = connect.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connector).await.expect("it listens");
    assert!(Client::new(channel).ack(ack(1)).await.expect("it is served").into_inner().changed);
    let request = GetRequest { user_id: 1, channel_id: 1, ..Default::default() };
    server.client().await.get(request).await.expect("both are the same server");
    assert_eq!(server.terminate().await.code, Some(0));
    assert!(!path.exists(), "it is gone with its server");
}

/// A connection of bare HTTP/2, with windows of this many bytes, and its end.
pub async fn bare(
    server: &Server,
    window: u32,
) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = tokio::net::TcpStream::connect(server.grpc()).await.expect("it listens");
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window);
    let (calls, connection) = builder.handshake(stream).await.expect("it speaks HTTP/2");
    (calls.ready().await.expect("it is ready"), tokio::spawn(connection))
}

/// What a call of ours begins with.
pub fn head(method: &str) -> Request<()> {
    Request::post(format!("http://a/readstates.v1.ReadStatesService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

fn call(
    calls: &mut SendRequest<Bytes>,
    method: &str,
    request: &[u8],
) -> h2::client::ResponseFuture {
    let (answer, mut body) = calls.send_request(head(method), false).expect("a place");
    let mut framed = vec![0];
    framed.extend((request.len() as u32).to_be_bytes());
    framed.extend(request);
    body.send_data(framed.into(), true).expect("room");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_is_asked_to_end_and_what_does_not_end_is_cut() {
    let flags = ["--max-connection-age=1s", "--max-connection-age-grace=500ms", "--store=memory"];
    let server = Server::with(&flags);
    // With no call under way it ends by itself, in order.
    let (calls, ended) = bare(&server, 65_535).await;
    ended.await.expect("no panic").expect("it was asked, not cut");
    drop(calls);
    let targets = vec![WatchTarget { user_id: 1, ..Default::default() }];
    let watch = server.client().await.watch(WatchRequest { targets }).await;
    let mut watch = watch.expect("it is served").into_inner();
    let status = loop {
        match watch.message().await {
            Ok(event) => assert!(event.is_some(), "it has not ended by itself"),
            Err(status) => break status,
        }
    };
    assert!(matches!(status.code(), Code::Unavailable | Code::Unknown), "{status:?}");
    let cut = ["readstates_connections_cut_total{", "\"age\""];
    counts(&server, &cut, |count| count == 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_cut_and_its_answers_are_let_go() {
    let server = Server::with(&["--stall-timeout=1s", "--store=memory"]);
    let mut client = server.client().await;
    let items = (1..=1_000).map(|channel_id| BulkAckItem {
        channel_id,
        message_id: 5,
        ..Default::default()
    });
    let all = BulkAckRequest { user_id: 1, items: items.collect() };
    client.bulk_ack(all).await.expect("it is taken");
    let (mut calls, ended) = bare(&server, 16).await;
    let list = ListRequest { user_id: 1, ..Default::default() }.encode_to_vec();
    let answers: Vec<_> = (0..10).map(|_| call(&mut calls, "List", &list)).collect();
    let bodies: Vec<_> =
        join_all(answers).await.into_iter().map(|answer| answer.expect("headers")).collect();
    counts(&server, &["readstates_answers_waiting_bytes"], |bytes| bytes > 10_000.0);
    // In which way it sees its end depends on what was on its way.
    ended.await.expect("no panic").ok();
    drop(bodies);
    let metrics = scrape_until(&server, |metrics| {
        sample(metrics, &["readstates_answers_waiting_bytes"]) == Some(0.0)
    });
    let cut = ["readstates_connections_cut_total{", "\"stall\""];
    assert_eq!(sample(&metrics.body, &cut), Some(1.0));
    client.ack(ack(1)).await.expect("others are served");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_small_calls_at_once_on_one_connection_are_answered() {
    let server = Server::with(&["--store=memory"]);
    let client = server.client().await;
    for round in 0..4_u64 {
        let acked = |number: u64| {
            let mut client = client.clone();
            tokio::spawn(async move { client.ack(ack(1 + round * 500 + number)).await })
        };
        for acked in join_all((0..500).map(acked)).await {
            let answer = acked.expect("no panic").expect("it is answered");
            assert!(answer.into_inner().changed);
        }
    }
}
