//! Scenario 41: an orderly end, and one that the store, a caller or a peer stands in the way of.

use std::time::Duration;

use readstates::{
    config::RuntimeForm,
    lifecycle::Phase,
    proto::{AckRequest, IncrementRequest},
    server::Stopped,
    store::{Call, Moment},
};
use tokio::{net::TcpStream, task::JoinHandle};
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use crate::{
    keys::key,
    node::{Client, Node, within},
    scene::{ALWAYS, outage},
};

const HOUR: Duration = Duration::from_secs(3_600);

fn mention(user_id: u64) -> IncrementRequest {
    IncrementRequest { user_id, channel_id: 1, message_id: 10, ..IncrementRequest::default() }
}

/// Changed states that nothing flushes before the end.
async fn dirty(client: &mut Client, users: u64) {
    for user_id in 1..=users {
        client.increment(mention(user_id)).await.expect("an increment");
    }
}

/// A call in flight: its load has read and is held.
async fn held_call(node: &Node, user_id: u64) -> (readstates::store::Gate, JoinHandle<Answer>) {
    let gate = node.faults.hold(Call::Load, Moment::After);
    let mut client = node.client().await;
    let request = AckRequest { user_id, channel_id: 1, message_id: 7, ..AckRequest::default() };
    let call = tokio::spawn(async move { client.ack(request).await.map(|_| ()) });
    node.faults.until(|tally| tally.held(Call::Load) == 1).await;
    (gate, call)
}

type Answer = Result<(), Status>;

#[tokio::test]
async fn scenario_41_readiness_goes_first_then_calls_finish_then_all_is_flushed() {
    let mut node = Node::start(|config| config.drain_timeout = HOUR).await;
    let mut client = node.client().await;
    dirty(&mut client, 3).await;
    let mut health = HealthClient::new(node.channel().await);
    let mut statuses =
        health.watch(HealthCheckRequest::default()).await.expect("a watch").into_inner();
    let status = statuses.message().await.expect("a status").expect("the first");
    assert_eq!(status.status(), ServingStatus::Serving);
    assert!(node.is_ready().await);
    let (gate, call) = held_call(&node, 9).await;

    node.ask();
    node.lifecycle.wait_for(Phase::Draining).await;
    assert!(!node.is_ready().await, "readiness goes while calls are still in flight");
    let status = statuses.message().await.expect("a status").expect("the last");
    assert_eq!(status.status(), ServingStatus::NotServing);
    assert!(statuses.message().await.expect("an end").is_none());
    assert!(!call.is_finished());
    assert_eq!(node.faults.tally().begun(Call::Close), 0);

    gate.open();
    call.await.expect("no panic").expect("a call in flight finishes");
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
    for user_id in 1..=3 {
        assert_eq!(node.stored(key(user_id, 1)).await.expect("a row").mention_count(), 1);
    }
    assert_eq!(node.stored(key(9, 1)).await.expect("a row").last_acked_id(), 7);
    assert_eq!(node.faults.tally().begun(Call::Close), 1);
    let refused = client.increment(mention(1)).await.expect_err("nobody listens");
    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test]
async fn health_says_not_serving_to_who_asks_anew_while_it_drains() {
    let mut node = Node::start(|config| config.drain_timeout = HOUR).await;
    let mut health = HealthClient::new(node.channel().await);
    let serving = health.check(HealthCheckRequest::default()).await.expect("a status");
    assert_eq!(serving.get_ref().status(), ServingStatus::Serving);
    let (gate, call) = held_call(&node, 1).await;
    node.ask();
    node.lifecycle.wait_for(Phase::Draining).await;
    // Either the connection is closed to new calls by now, or the answer is the new one.
    match health.check(HealthCheckRequest::default()).await {
        Ok(status) => assert_eq!(status.get_ref().status(), ServingStatus::NotServing),
        Err(refused) => assert_ne!(refused.code(), Code::Ok),
    }
    gate.open();
    call.await.expect("no panic").expect("an ack");
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
}

#[tokio::test]
async fn scenario_41_a_store_that_fails_to_the_end_is_said_so_with_the_count() {
    let mut node = Node::start(|config| config.flush_timeout = Duration::from_millis(300)).await;
    dirty(&mut node.client().await, 5).await;
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 5 });
}

#[tokio::test]
async fn scenario_41_a_store_that_hangs_to_the_end_is_said_so_too() {
    let mut node = Node::start(|config| config.flush_timeout = Duration::from_millis(300)).await;
    dirty(&mut node.client().await, 5).await;
    let gate = node.faults.hold(Call::Commit, Moment::Before);
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 5 });
    gate.open();
}

#[tokio::test]
async fn a_store_that_comes_back_within_the_flush_timeout_gets_everything() {
    let mut node = Node::start(|config| config.flush_timeout = HOUR).await;
    dirty(&mut node.client().await, 5).await;
    node.faults.fail_next(Call::Commit, 3, outage());
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
    assert_eq!(node.stored(key(5, 1)).await.expect("a row").mention_count(), 1);
}

/// The call in flight outlives the last flush: it must not be told that its change is kept. Where
/// its runtime ends with the server it is told nothing.
#[tokio::test]
async fn a_second_ask_ends_the_drain_and_late_changes_are_refused() {
    for form in [RuntimeForm::PerCore, RuntimeForm::Shared] {
        let mut node = Node::start(|config| {
            config.drain_timeout = HOUR;
            config.runtime = form;
        })
        .await;
        dirty(&mut node.client().await, 3).await;
        let (gate, call) = held_call(&node, 9).await;
        node.ask();
        node.lifecycle.wait_for(Phase::Draining).await;
        assert!(!call.is_finished());
        node.ask();
        assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
        assert_eq!(node.stored(key(3, 1)).await.expect("a row").mention_count(), 1);
        gate.open();
        let refused = call.await.expect("no panic").expect_err("its change would be lost");
        let reason = refused.get_details_error_info().map(|details| details.reason);
        match form {
            RuntimeForm::PerCore => assert_eq!(reason, None, "{refused:?}"),
            RuntimeForm::Shared => assert_eq!(reason.as_deref(), Some("DRAINING"), "{refused:?}"),
        }
        assert_eq!(node.stored(key(9, 1)).await, None);
    }
}

#[tokio::test]
async fn a_silent_peer_holds_the_end_up_no_longer_than_the_drain_timeout() {
    let mut node = Node::start(|config| config.drain_timeout = Duration::from_millis(50)).await;
    let mut client = node.client().await;
    let silent = TcpStream::connect(node.grpc).await.expect("it listens");
    // Accepted in order: the silent peer's connection is known by the time this is answered.
    dirty(&mut client, 1).await;
    dirty(&mut node.client().await, 2).await;
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
    within(silent.readable()).await.expect("the connection ends");
}
