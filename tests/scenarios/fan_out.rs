//! Scenario 18: one message that mentions very many.

use readstates::proto::{FanOutRequest, FanOutResponse, Key, RetractRequest};

use crate::{
    ground::{Node, on_grounds},
    subject::{Duplicate, Subject},
};

on_grounds!([roomy, narrow, narrow_on_disk] => [
    scenario_18_a_fan_out_to_ten_thousand_retried_counts_once,
    scenario_18_a_fan_out_of_which_a_part_was_done_is_completed,
    a_retraction_from_ten_thousand_is_done_once,
]);

mod small {
    use super::{on_grounds, outcomes_are_counted_per_distinct_user, strangers_start_where_told};
    on_grounds!([roomy, tiny, on_disk] => [
        outcomes_are_counted_per_distinct_user,
        strangers_start_where_told,
    ]);
}

const USERS: u64 = 10_000;
/// The most keys that one `BatchGet` takes.
const KEYS_MAX: usize = 1_000;

async fn fan_out(node: &Node, request: FanOutRequest) -> (u32, u32, u32) {
    let response = node.client().fan_out(request).await.expect("a fan-out").into_inner();
    let FanOutResponse { incremented, duplicate, already_read } = response;
    (incremented, duplicate, already_read)
}

fn to(users: impl IntoIterator<Item = u64>) -> FanOutRequest {
    FanOutRequest {
        channel_id: 10,
        message_id: 110,
        user_ids: users.into_iter().collect(),
        initial_acked_id: None,
    }
}

/// The mention counts of these users in the channel.
async fn counts(node: &Node, users: impl IntoIterator<Item = u64>) -> Vec<u32> {
    let key = |user_id| Key { user_id, channel_id: 10, r#type: 0 };
    let keys: Vec<_> = users.into_iter().map(key).collect();
    let mut counts = Vec::new();
    for keys in keys.chunks(KEYS_MAX) {
        let request = readstates::proto::BatchGetRequest { keys: keys.to_vec() };
        let response = node.client().batch_get(request).await.expect("states").into_inner();
        assert_eq!(response.missing, []);
        counts.extend(response.states.iter().map(|state| state.mention_count));
    }
    counts
}

async fn scenario_18_a_fan_out_to_ten_thousand_retried_counts_once(node: &Node) {
    assert_eq!(fan_out(node, to(1..=USERS)).await, (10_000, 0, 0));
    assert_eq!(fan_out(node, to(1..=USERS)).await, (0, 10_000, 0));
    assert_eq!(fan_out(node, to((1..=USERS).rev())).await, (0, 10_000, 0));
    assert!(counts(node, 1..=USERS).await.iter().all(|count| *count == 1));
}

async fn scenario_18_a_fan_out_of_which_a_part_was_done_is_completed(node: &Node) {
    let mut cut = node.client();
    // The caller goes away in the middle; what was begun may or may not be done.
    let call = cut.fan_out(to(1..=USERS));
    let reader = async { while Subject::new(node, 1, 10).get().await.is_none() {} };
    tokio::select! {
        _ = call => {}
        () = reader => {}
    }
    let (incremented, duplicate, already_read) = fan_out(node, to(1..=USERS)).await;
    assert_eq!((incremented + duplicate, already_read), (10_000, 0));
    assert!(counts(node, 1..=USERS).await.iter().all(|count| *count == 1));
}

async fn a_retraction_from_ten_thousand_is_done_once(node: &Node) {
    fan_out(node, to(1..=USERS / 2)).await;
    let request =
        RetractRequest { channel_id: 10, message_id: 110, user_ids: (1..=USERS).collect() };
    let mut client = node.client();
    let first = client.retract(request.clone()).await.expect("a retraction").into_inner();
    assert_eq!(u64::from(first.retracted), USERS / 2);
    let second = client.retract(request).await.expect("a retraction").into_inner();
    assert_eq!(second.retracted, 0);
    assert_eq!(fan_out(node, to(1..=USERS / 2)).await, (0, 5_000, 0), "a late retry");
    assert!(counts(node, 1..=USERS / 2).await.iter().all(|count| *count == 0));
    assert_eq!(Subject::new(node, USERS, 10).get().await, None, "none was made");
}

async fn outcomes_are_counted_per_distinct_user(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(200).await;
    subject.of_user(2).mention(110).await;
    subject.of_user(3).ack(100).await;
    assert_eq!(fan_out(node, to([1, 2, 3, 4, 4, 3, 2, 1])).await, (2, 1, 1));
    assert_eq!(fan_out(node, to([])).await, (0, 0, 0));
    assert_eq!(subject.of_user(3).position().await, (100, 1));
    assert_eq!(subject.position().await, (200, 0));
}

async fn strangers_start_where_told(node: &Node) {
    Subject::new(node, 2, 10).ack(50).await;
    let request = FanOutRequest { initial_acked_id: Some(100), ..to([1, 2]) };
    assert_eq!(fan_out(node, request.clone()).await, (2, 0, 0));
    assert_eq!(Subject::new(node, 1, 10).position().await, (100, 1));
    assert_eq!(Subject::new(node, 2, 10).position().await, (50, 1));
    let read = FanOutRequest { initial_acked_id: Some(110), ..to([3]) };
    assert_eq!(fan_out(node, read).await, (0, 0, 1));
    assert_eq!(Subject::new(node, 3, 10).mention(110).await.position(), (110, 0));
    assert_eq!(Subject::new(node, 1, 10).mention(110).await.outcome, Duplicate);
}
