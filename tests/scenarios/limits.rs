//! Limits on items and on bytes: at the limit served, above it refused, with the field's name.

use readstates::proto::{
    ApplyRequest, BatchGetRequest, BulkAckRequest, DeleteChannelRequest, FanOutRequest,
    GetSummaryRequest, Key, Operation, RestoreItem, RestoreRequest, RetractRequest,
};
use tonic::{Code, Status};

use crate::{
    bulk::item,
    errors::{expect_invalid, field_of, reason_of},
    ground::{Ground, Node, on_grounds},
    subject::Subject,
};

on_grounds!([roomy] => [
    ten_thousand_items_are_served_and_one_more_is_refused,
    a_thousand_keys_are_served_and_one_more_is_refused,
    a_message_of_more_than_a_mebibyte_is_refused_and_the_connection_lives,
    nothing_asked_is_nothing_answered,
    keys_come_in_request_order_however_often,
]);

const ITEMS: usize = 10_000;
const KEYS: usize = 1_000;

fn users(count: usize) -> Vec<u64> {
    (1..=count as u64).collect()
}

/// Checks that a call takes `most` items and refuses one more, as a whole.
async fn check_limit<T>(field: &str, most: usize, call: impl AsyncFn(usize) -> Result<T, Status>) {
    if let Err(status) = call(most).await {
        panic!("{most} {field} are allowed: {status}");
    }
    expect_invalid(call(most + 1).await, "TOO_MANY_ITEMS", field);
}

async fn ten_thousand_items_are_served_and_one_more_is_refused(node: &Node) {
    check_limit("user_ids", ITEMS, async |count| {
        let user_ids = users(count);
        let request =
            FanOutRequest { channel_id: 1, message_id: 5, user_ids, initial_acked_id: None };
        node.client().fan_out(request).await
    })
    .await;
    assert_eq!(Subject::new(node, ITEMS as u64 + 1, 1).get().await, None, "refused whole");
    check_limit("user_ids", ITEMS, async |count| {
        let request = RetractRequest { channel_id: 1, message_id: 5, user_ids: users(count) };
        node.client().retract(request).await
    })
    .await;
    check_limit("user_ids", ITEMS, async |count| {
        let request = DeleteChannelRequest { channel_id: 1, user_ids: users(count) };
        node.client().delete_channel(request).await
    })
    .await;
    check_limit("items", ITEMS, async |count| {
        let items = users(count).into_iter().map(|channel| item(channel, 5)).collect();
        node.client().bulk_ack(BulkAckRequest { user_id: 1, items }).await
    })
    .await;
    check_limit("states", ITEMS, async |count| {
        let states = vec![RestoreItem { user_id: 1, channel_id: 1, ..Default::default() }; count];
        node.client().restore(RestoreRequest { states }).await
    })
    .await;
    check_limit("operations", ITEMS, async |count| {
        let operations = vec![Operation { operation: None }; count];
        node.client().apply(ApplyRequest { operations }).await
    })
    .await;
}

async fn a_thousand_keys_are_served_and_one_more_is_refused(node: &Node) {
    check_limit("keys", KEYS, async |count| {
        let key = |user_id| Key { user_id, channel_id: 1, r#type: 0 };
        let keys = users(count).into_iter().map(key).collect();
        node.client().batch_get(BatchGetRequest { keys }).await
    })
    .await;
    check_limit("user_ids", KEYS, async |count| {
        node.client().get_summary(GetSummaryRequest { user_ids: users(count) }).await
    })
    .await;
}

async fn a_message_of_more_than_a_mebibyte_is_refused_and_the_connection_lives(node: &Node) {
    let mut client = node.client();
    let user_ids = vec![u64::MAX; (1 << 20) / 8];
    let request = FanOutRequest { channel_id: 1, message_id: 5, user_ids, initial_acked_id: None };
    let status = client.fan_out(request).await.expect_err("it is over a mebibyte");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(reason_of(&status), "MESSAGE_TOO_LARGE");
    assert_eq!(field_of(&status), "request");
    let request = RetractRequest { channel_id: 1, message_id: 5, user_ids: users(10) };
    client.retract(request).await.expect("the same connection goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_configurable() {
    let mut ground = Ground::roomy();
    ground.config.max_items = 3;
    ground.config.max_keys = 2;
    ground.config.max_page_size = 1;
    ground.config.max_request_bytes = 1024;
    let node = ground.start().await;
    check_limit("items", 3, async |count| {
        let items = users(count).into_iter().map(|channel| item(channel, 5)).collect();
        node.client().bulk_ack(BulkAckRequest { user_id: 1, items }).await
    })
    .await;
    check_limit("user_ids", 2, async |count| {
        node.client().get_summary(GetSummaryRequest { user_ids: users(count) }).await
    })
    .await;
    let request =
        readstates::proto::ListRequest { user_id: 1, page_size: 50, ..Default::default() };
    assert_eq!(crate::paging::page(&node, request).await.states.len(), 1);
    let request = RetractRequest { channel_id: 1, message_id: 5, user_ids: users(128) };
    let status = node.client().retract(request).await.expect_err("it is over a kibibyte");
    assert_eq!(reason_of(&status), "MESSAGE_TOO_LARGE");
    node.stop().await;
}

async fn nothing_asked_is_nothing_answered(node: &Node) {
    let mut client = node.client();
    let bulk = client.bulk_ack(BulkAckRequest { user_id: 1, items: Vec::new() }).await;
    assert_eq!(bulk.expect("no items").into_inner().results, []);
    let restored = client.restore(RestoreRequest::default()).await;
    assert_eq!(restored.expect("no states").into_inner().results, []);
    let applied = client.apply(ApplyRequest::default()).await;
    assert_eq!(applied.expect("no operations").into_inner().results, []);
    let found = client.batch_get(BatchGetRequest::default()).await.expect("no keys").into_inner();
    assert_eq!((found.states, found.missing), (vec![], vec![]));
}

async fn keys_come_in_request_order_however_often(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    for channel in [3, 1, 2] {
        subject.in_channel(channel).ack(10 * channel).await;
    }
    let key = |channel_id| Key { user_id: 1, channel_id, r#type: 1 };
    let keys = [3, 9, 1, 8, 3, 2, 9].map(key).to_vec();
    let found = node.client().batch_get(BatchGetRequest { keys }).await.expect("keys");
    let found = found.into_inner();
    let states: Vec<_> = found.states.iter().map(|state| state.last_acked_id).collect();
    assert_eq!((states, found.missing), (vec![30, 10, 30, 20], [9, 8, 9].map(key).to_vec()));
}
