//! Must-show 3, scenario 32: watchers that stop reading cost the server a bounded amount of memory,
//! others nothing, and themselves no event. Driven by counts; `READSTATES_TEST_LONG=1` lets it go
//! on for a minute.

use std::{
    collections::BTreeMap,
    env,
    time::{Duration, Instant},
};

use readstates::{
    engine::CHANGE_BYTES,
    proto::{
        BulkAckItem, BulkAckRequest, Cause, ListRequest, ReadState, WatchRequest, WatchResponse,
        WatchTarget,
    },
};
use tonic::{Code, Streaming, transport::Endpoint};

use crate::{
    admin::sample,
    http::get,
    server::{Client, Server},
};

const USER: u64 = 7;
const MIB: u64 = 1 << 20;
/// What a server may grow by beside what waits: caches, journal and buffers of connections.
const GROWTH_BYTES_MAX: f64 = (96 * MIB) as f64;
/// What a stream that does not read has in its hands beside its queue, at most.
const IN_HAND: f64 = 66.0;
/// Bulk acks after which a watcher that does not read must have been ended.
const ROUNDS_MAX: u64 = 2_000;

/// So long the long form goes on.
fn until() -> Instant {
    let long = env::var_os("READSTATES_TEST_LONG").is_some_and(|value| value == "1");
    Instant::now() + if long { Duration::from_secs(60) } else { Duration::ZERO }
}

/// The value of a metric, which is there.
fn metric(server: &Server, parts: &[&str]) -> f64 {
    let metrics = get(server.admin(), "/metrics").body;
    sample(&metrics, parts).unwrap_or_else(|| panic!("no {parts:?} in {metrics}"))
}

fn waiting(server: &Server) -> f64 {
    metric(server, &["readstates_watch_waiting_changes"])
}

fn ended(server: &Server, reason: &str) -> f64 {
    metric(server, &["readstates_watch_ended_total", reason])
}

fn resident_bytes(server: &Server) -> f64 {
    metric(server, &["process_resident_memory_bytes"])
}

/// Scrapes until the gauge is 0: the server hears of the end of a stream when it hears of it.
fn until_none(server: &Server, gauge: &str) {
    while metric(server, &[gauge]) > 0.0 {}
}

/// On a connection of its own, whose streams take in little that is not read.
async fn narrow(server: &Server) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.grpc())).expect("an address");
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(64 * MIB as u32);
    Client::new(endpoint.connect().await.expect("it listens"))
}

async fn watch(client: &mut Client, targets: &[WatchTarget]) -> Streaming<WatchResponse> {
    let request = WatchRequest { targets: targets.to_vec() };
    client.watch(request).await.expect("it may watch").into_inner()
}

fn from_now(user_id: u64) -> WatchTarget {
    WatchTarget { user_id, since_version: 0, from_now: true }
}

fn since(user_id: u64, since_version: u64) -> WatchTarget {
    WatchTarget { user_id, since_version, from_now: false }
}

async fn next(stream: &mut Streaming<WatchResponse>) -> WatchResponse {
    stream.message().await.expect("no error").expect("it goes on")
}

/// So many channels of the user change.
async fn bulk_ack(client: &mut Client, user_id: u64, channels: u64, message_id: u64) {
    let item = |channel_id| BulkAckItem { channel_id, message_id, ..Default::default() };
    let items = (1..=channels).map(item).collect();
    client.bulk_ack(BulkAckRequest { user_id, items }).await.expect("it acks");
}

async fn listed(client: &mut Client, user_id: u64) -> BTreeMap<u64, ReadState> {
    let request = ListRequest { user_id, page_size: 10_000, ..Default::default() };
    let states = client.list(request).await.expect("it lists").into_inner().states;
    states.into_iter().map(|state| (state.channel_id, state)).collect()
}

/// What one device holds.
#[derive(Default)]
struct Copy {
    states: BTreeMap<u64, ReadState>,
    version: u64,
}

impl Copy {
    /// Takes an event in; versions rise, but for the end of a catch-up.
    fn take(&mut self, event: &WatchResponse) {
        let is_end = event.cause() == Cause::CaughtUp && event.version >= self.version;
        assert!(event.version > self.version || is_end, "{event:?} after {}", self.version);
        self.version = event.version;
        if let Some(state) = event.state {
            self.states.insert(state.channel_id, state);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_32_who_stops_reading_harms_nobody_and_misses_nothing() {
    const CHANNELS: u64 = 500;
    const QUEUE: u64 = 2_000;
    let server = Server::with(&["--max-watch-queue", &QUEUE.to_string()]);
    let mut writer = server.client().await;
    bulk_ack(&mut writer, USER, CHANNELS, 1).await;
    let mut stopped = watch(&mut narrow(&server).await, &[from_now(USER)]).await;
    let mut quick = watch(&mut server.client().await, &[from_now(USER)]).await;
    let [mut held, mut followed] = [Copy::default(), Copy::default()];
    held.take(&next(&mut stopped).await);
    followed.take(&next(&mut quick).await);
    let (bytes, until) = (resident_bytes(&server), until());
    let (mut message, mut most) = (1, 0.0_f64);
    // What waits for it goes at once when it is too much.
    while most < (QUEUE / 2) as f64 || waiting(&server) > IN_HAND || Instant::now() < until {
        assert!(message < ROUNDS_MAX || Instant::now() < until, "it is never ended");
        message += 1;
        bulk_ack(&mut writer, USER, CHANNELS, message).await;
        for _ in 0..CHANNELS {
            let event = next(&mut quick).await;
            assert_eq!(event.state.map(|state| state.last_acked_id), Some(message), "every event");
            followed.take(&event);
        }
        most = most.max(waiting(&server));
        // The queue of one, what the other has not taken yet, and what both have in their hands.
        assert!(most <= (QUEUE + CHANNELS) as f64 + 2.0 * IN_HAND, "{most} changes");
        let growth = resident_bytes(&server) - bytes;
        assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more after {message} rounds");
    }
    println!("ended after {message} rounds of {CHANNELS} changes");
    assert!(waiting(&server) <= IN_HAND);
    let states = listed(&mut writer, USER).await;
    assert_eq!(followed.states, states);
    let status = loop {
        match stopped.message().await {
            Ok(event) => held.take(&event.expect("it ends with a word")),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_ne!(held.states, states, "it had not read it all");
    let mut resumed = watch(&mut writer, &[since(USER, held.version)]).await;
    loop {
        let event = next(&mut resumed).await;
        held.take(&event);
        if event.cause() == Cause::CaughtUp {
            break;
        }
    }
    assert_eq!(held.states, states);
    drop((quick, resumed, stopped));
    until_none(&server, "readstates_watch_streams");
    until_none(&server, "readstates_watched_users");
    assert_eq!([ended(&server, "slow_consumer"), ended(&server, "closed")], [1.0, 2.0]);
    assert_eq!([ended(&server, "draining"), ended(&server, "failed")], [0.0; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_32_many_who_stop_share_one_bound() {
    /// One user has no more watchers than 128.
    const STOPPED: usize = 120;
    const CONNECTIONS: usize = 4;
    const USERS: u64 = 4;
    // In one hold of the lock: fewer than what one of them may have when all have as much.
    const CHANNELS: u64 = 100;
    const ROUNDS: u64 = 250;
    let server = Server::with(&["--watch-memory", "4MiB"]);
    let mut writer = server.client().await;
    let targets: Vec<WatchTarget> = (1..=USERS).map(from_now).collect();
    let mut stopped = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = narrow(&server).await;
        for _ in 0..STOPPED / CONNECTIONS {
            let mut stream = watch(&mut client, &targets).await;
            for _ in 0..USERS {
                assert_eq!(next(&mut stream).await.cause(), Cause::CaughtUp);
            }
            stopped.push(stream);
        }
    }
    assert_eq!(metric(&server, &["readstates_watched_users"]), (STOPPED as u64 * USERS) as f64);
    let (bytes, mut most) = (resident_bytes(&server), 0.0_f64);
    for message in 1..=ROUNDS {
        for user in 1..=USERS {
            bulk_ack(&mut writer, user, CHANNELS, message).await;
            most = most.max(waiting(&server));
        }
    }
    assert!(most > 0.0 && most * CHANGE_BYTES as f64 <= (4 * MIB) as f64, "{most} changes");
    let growth = resident_bytes(&server) - bytes;
    println!("at most {most} changes waited, {growth} bytes more");
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more");
    // Nobody's stop keeps another from beginning.
    let (mut fresh, mut copy) = (watch(&mut writer, &[since(1, 0)]).await, Copy::default());
    assert_eq!(next(&mut fresh).await.cause(), Cause::Resync);
    while copy.states.len() < CHANNELS as usize {
        copy.take(&next(&mut fresh).await);
    }
    assert_eq!(next(&mut fresh).await.cause(), Cause::CaughtUp);
    assert_eq!(copy.states, listed(&mut writer, 1).await);
    bulk_ack(&mut writer, 1, 1, ROUNDS + 1).await;
    assert_eq!(next(&mut fresh).await.cause(), Cause::Ack);
    drop((stopped, fresh));
    until_none(&server, "readstates_watch_streams");
    until_none(&server, "readstates_watched_users");
    until_none(&server, "readstates_watch_waiting_changes");
    let reasons = ["slow_consumer", "closed", "draining", "failed"];
    let all: f64 = reasons.iter().map(|reason| ended(&server, reason)).sum();
    assert_eq!(all, (STOPPED + 1) as f64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_41_a_drain_ends_streams_with_a_word_and_holds_nothing_up() {
    let server = Server::start();
    let mut stream = watch(&mut server.client().await, &[from_now(USER)]).await;
    assert_eq!(next(&mut stream).await.cause(), Cause::CaughtUp);
    let stopped = tokio::join!(server.terminate(), stream.message());
    let status = stopped.1.expect_err("it is ended");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(stopped.0.code, Some(0));
}
