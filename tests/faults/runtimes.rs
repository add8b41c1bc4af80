//! Calls that wait for each other across runtimes: each connection is at one of two threads, and
//! what one of them began the other waits for.

use readstates::{
    config::{Config, Durability, RuntimeForm},
    proto::{AckRequest, IncrementRequest, WatchRequest, WatchTarget},
    store::{Call, MemoryStore, Moment},
};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::{
    keys::key,
    node::{Client, Node, within},
};

const CALLERS: u64 = 8;
const ROUNDS: u64 = 200;

fn two_threads(config: &mut Config) {
    config.runtime = RuntimeForm::PerCore;
    config.serve_threads = Some(2);
}

/// The value of the sample that begins so.
fn sample(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}")).parse().expect("a number")
}

/// As many connections as callers, evenly at both threads.
async fn connected(node: &Node) -> Vec<Channel> {
    let mut channels = Vec::new();
    for user_id in 1..=CALLERS {
        let channel = node.channel().await;
        let request = AckRequest { user_id, channel_id: 1, message_id: 1, ..Default::default() };
        Client::new(channel.clone()).ack(request).await.expect("an ack");
        channels.push(channel);
    }
    let metrics = node.get("/metrics").await;
    for thread in ["serving-0", "serving-1"] {
        let open = sample(&metrics, &format!("readstates_connections{{runtime=\"{thread}\"}}"));
        assert_eq!(open, CALLERS as f64 / 2.0, "{thread}");
    }
    channels
}

fn increment(user_id: u64) -> IncrementRequest {
    IncrementRequest { user_id, channel_id: 2, count: 1, ..Default::default() }
}

#[tokio::test]
async fn one_load_answers_callers_of_all_runtimes_though_the_first_of_them_goes_away() {
    let node = Node::start(two_threads).await;
    let mut channels = connected(&node).await;
    let gate = node.faults.hold(Call::Load, Moment::Before);
    let call = |channel: Channel| {
        tokio::spawn(async move { Client::new(channel).increment(increment(99)).await })
    };
    let first = call(channels.remove(0));
    within(node.faults.until(|tally| tally.held(Call::Load) == 1)).await;
    let others: Vec<_> = channels.iter().cloned().map(call).collect();
    let waiting = |metrics: &str| sample(metrics, "readstates_coalesced_loads_total");
    while waiting(&node.get("/metrics").await) < others.len() as f64 {}
    first.abort();
    assert!(first.await.expect_err("it was aborted").is_cancelled());
    gate.open();
    let mut counts = Vec::new();
    for other in others {
        let answer = within(other).await.expect("no panic").expect("an increment").into_inner();
        counts.push(answer.state.expect("a state").mention_count);
    }
    counts.sort_unstable();
    // The first was begun, and is done though nobody waits for it.
    assert!(counts.into_iter().eq(2..=CALLERS as u32), "each saw the count that it made");
    assert_eq!(node.faults.tally().loads(&key(99, 2)), 1);
}

#[tokio::test]
async fn one_commit_of_the_journal_answers_callers_of_all_runtimes() {
    let folder = TempDir::new().expect("there is room for a directory");
    let journaled = |config: &mut Config| {
        two_threads(config);
        config.durability = Durability::Journal;
        config.data_dir = folder.path().to_owned();
        config.journal_segment_size = 1 << 20;
    };
    let node = Node::start_over(MemoryStore::new(), journaled).await.expect("it starts");
    let callers = connected(&node).await.into_iter().map(|channel| {
        tokio::spawn(async move {
            let mut client = Client::new(channel);
            for count in 1..=ROUNDS {
                // All change one state, each waits for the record of its own change.
                let answer = client.increment(increment(99)).await.expect("an increment");
                let state = answer.into_inner().state.expect("a state");
                assert!(u64::from(state.mention_count) >= count, "its own are counted");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        within(caller).await.expect("no panic");
    }
    let metrics = node.get("/metrics").await;
    let records = sample(&metrics, "readstates_journal_commit_records_sum");
    assert!(records >= (CALLERS * ROUNDS) as f64, "{records}");
}

#[tokio::test]
async fn a_watch_at_one_runtime_is_told_what_another_one_changed() {
    let node = Node::start(two_threads).await;
    let channels = connected(&node).await;
    let targets = vec![WatchTarget { user_id: 99, from_now: true, ..Default::default() }];
    let watch = Client::new(channels[0].clone()).watch(WatchRequest { targets }).await;
    let mut watch = watch.expect("it is served").into_inner();
    within(watch.message()).await.expect("no error").expect("it is caught up");
    for count in 1..=ROUNDS as u32 {
        // In turns from either runtime, also from its own.
        let channel = channels[count as usize % 2].clone();
        Client::new(channel).increment(increment(99)).await.expect("an increment");
        let event = within(watch.message()).await.expect("no error").expect("an event");
        assert_eq!(event.state.expect("a state").mention_count, count);
    }
}
