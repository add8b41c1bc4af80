//! What a caller is told over the wire while the store fails.

use std::time::Duration;

use readstates::{
    config::{Config, Durability},
    proto::{AckRequest, FanOutRequest, GetRequest, IncrementRequest},
    store::{Call, StoreError},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    keys::key,
    node::Node,
    scene::{ALWAYS, outage},
};

fn mention(user_id: u64) -> IncrementRequest {
    IncrementRequest { user_id, channel_id: 1, message_id: 10, ..IncrementRequest::default() }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("every error has a reason").reason
}

/// When to come back stands in the details and, for clients that heed it, in a trailer.
fn assert_retry_advice(status: &Status) {
    let retry = status.get_details_retry_info().expect("RetryInfo").retry_delay;
    assert!(retry.is_some_and(|delay| delay > Duration::ZERO), "{retry:?}");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("the trailer");
    let pushback_ms: u128 = pushback.to_str().expect("text").parse().expect("a number");
    assert_eq!(Some(pushback_ms), retry.map(|delay| delay.as_millis()));
}

#[tokio::test]
async fn scenario_38_the_dirty_limit_is_said_with_when_to_come_back() {
    let limited = |config: &mut Config| config.dirty_limit = Some(4);
    let node = Node::start(limited).await;
    let mut client = node.client().await;
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    for user_id in 1..=4 {
        client.increment(mention(user_id)).await.expect("below the limit");
    }
    let refused = client.increment(mention(5)).await.expect_err("at the limit");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::ResourceExhausted, "DIRTY_LIMIT"));
    assert_retry_advice(&refused);
    let again = AckRequest { user_id: 1, channel_id: 1, message_id: 20, ..AckRequest::default() };
    assert!(client.ack(again).await.expect("it is dirty already").get_ref().changed);
    node.faults.heal();
    while client.increment(mention(5)).await.is_err() {}
    assert!(node.stored(key(1, 1)).await.is_some());
}

#[tokio::test]
async fn each_member_that_a_fan_out_could_not_reach_is_counted() {
    let node = Node::start(|config| config.dirty_limit = Some(4)).await;
    let mut client = node.client().await;
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    let user_ids = (1..=10).collect();
    let fan_out = FanOutRequest { channel_id: 1, message_id: 10, user_ids, ..Default::default() };
    let refused = client.fan_out(fan_out).await.expect_err("four places for ten");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::ResourceExhausted, "DIRTY_LIMIT"));
    let metrics = node.get("/metrics").await;
    let counted = "readstates_requests_rejected_total{reason=\"dirty_limit\"} 6";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    node.faults.heal();
}

#[tokio::test]
async fn loads_and_durable_changes_that_the_store_fails_are_unavailable() {
    let node = Node::start(|config| config.durability = Durability::Store).await;
    let mut client = node.client().await;
    node.faults.fail_next(Call::Load, 1, outage());
    let get = GetRequest { user_id: 1, channel_id: 1, r#type: 0 };
    let refused = client.get(get).await.expect_err("the load fails");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert_retry_advice(&refused);
    node.faults.fail_next(Call::Commit, 1, outage());
    let refused = client.increment(mention(1)).await.expect_err("the commit fails");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::Unavailable, "STORE_UNAVAILABLE"));
    let retry = client.increment(mention(1)).await.expect("the store is back");
    let state = retry.get_ref().state.expect("a state");
    assert_eq!((state.mention_count, retry.get_ref().changed), (1, false));
    assert_eq!(node.stored(key(1, 1)).await.expect("a row").mention_count(), 1);
}

#[tokio::test]
async fn a_damaged_row_is_data_loss_and_not_worth_a_retry() {
    let node = Node::start(|_| {}).await;
    let damaged = StoreError::Corrupt("row (1, 1)".to_owned().into());
    node.faults.fail_next(Call::Load, 1, damaged);
    let refused = node.client().await.increment(mention(1)).await.expect_err("it is damaged");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::DataLoss, "STORE_CORRUPT"));
    assert!(refused.get_details_retry_info().is_none());
}
