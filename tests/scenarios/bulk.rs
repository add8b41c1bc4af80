//! Scenarios 22 and 23: many channels of one user in one call.

use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use readstates::proto::{
    BulkAckItem, BulkAckRequest, BulkAckResult, IncrementRequest, Operation, ReadStateType,
    operation,
};
use tonic::Code;

use crate::{
    again::until_taken,
    apply::apply,
    ground::{Node, on_grounds},
    paging::list_all,
    subject::{Incremented, Subject},
};

on_grounds!([roomy, narrow, narrow_on_disk] => [
    scenario_22_ten_thousand_channels_in_one_call,
    scenario_22_of_duplicates_the_largest_wins_in_any_order,
]);

mod small {
    use super::{
        a_bad_item_fails_alone, on_grounds, scenario_23_a_mention_that_arrives_with_the_acks_stays,
        the_answer_tells_what_was_before,
    };

    on_grounds!([roomy, tiny, on_disk] => [
        a_bad_item_fails_alone,
        scenario_23_a_mention_that_arrives_with_the_acks_stays,
        the_answer_tells_what_was_before,
    ]);
}

const CHANNELS: u64 = 10_000;

pub fn item(channel_id: u64, message_id: u64) -> BulkAckItem {
    BulkAckItem { channel_id, message_id, r#type: 0 }
}

pub async fn bulk_ack(node: &Node, user_id: u64, items: Vec<BulkAckItem>) -> Vec<BulkAckResult> {
    until_taken(
        items,
        |result: &BulkAckResult| result.code,
        |items| async {
            let request = BulkAckRequest { user_id, items };
            let answer = node.client().bulk_ack(request).await;
            answer.expect("only limits fail the call").into_inner().results
        },
    )
    .await
}

/// Mentions the user in each of these channels by this message.
pub async fn mention_in(node: &Node, user_id: u64, channels: Vec<u64>, message_id: u64) {
    let mention = |channel_id| {
        let increment =
            IncrementRequest { user_id, channel_id, message_id, ..IncrementRequest::default() };
        Operation { operation: Some(operation::Operation::Increment(increment)) }
    };
    let results = apply(node, channels.into_iter().map(mention).collect()).await;
    assert!(results.iter().all(|result| result.outcome() == Incremented));
}

async fn scenario_22_ten_thousand_channels_in_one_call(node: &Node) {
    mention_in(node, 1, (1..=CHANNELS).collect(), 90).await;
    mention_in(node, 1, (1..=CHANNELS).filter(|channel| channel % 2 == 0).collect(), 110).await;
    let mut items: Vec<_> = (1..=CHANNELS).map(|channel| item(channel, 100)).collect();
    items.shuffle(&mut StdRng::seed_from_u64(1));
    let results = bulk_ack(node, 1, items.clone()).await;
    assert_eq!(results.len(), items.len());
    for (item, result) in items.iter().zip(&results) {
        let state = result.state.as_ref().expect("a state per item");
        let left = u32::from(item.channel_id % 2 == 0);
        assert_eq!((state.channel_id, state.last_acked_id), (item.channel_id, 100));
        assert_eq!((state.mention_count, result.changed, result.code), (left, true, 0));
        assert_eq!((result.previous_last_acked_id, result.previous_mention_count), (0, 1 + left));
    }
    assert!(bulk_ack(node, 1, items).await.iter().all(|result| !result.changed), "a retry");
    let listed = list_all(node, 1, 10_000).await.states;
    assert_eq!(listed.len() as u64, CHANNELS);
    assert!(listed.iter().all(|state| state.last_acked_id == 100));
}

async fn scenario_22_of_duplicates_the_largest_wins_in_any_order(node: &Node) {
    let mut items: Vec<_> = (1..=CHANNELS / 4)
        .flat_map(|channel| [300, 100, 200, 300].map(|message| item(channel, message)))
        .collect();
    items.shuffle(&mut StdRng::seed_from_u64(2));
    let results = bulk_ack(node, 1, items.clone()).await;
    let mut changed = vec![0; CHANNELS as usize];
    for (item, result) in items.iter().zip(&results) {
        assert!(!result.changed || item.message_id == 300, "only the largest counts");
        changed[item.channel_id as usize] += u32::from(result.changed);
        assert_eq!(result.state.as_ref().map(|state| state.last_acked_id), Some(300));
        assert_eq!(result.previous_last_acked_id, 0, "before the call, not before the item");
    }
    assert!(changed[1..=(CHANNELS / 4) as usize].iter().all(|changes| *changes == 1));
}

async fn scenario_23_a_mention_that_arrives_with_the_acks_stays(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    for channel in 1..=20 {
        subject.in_channel(channel).mention(90).await;
    }
    let acks = bulk_ack(node, 1, (1..=20).map(|channel| item(channel, 100)).collect());
    let arriving = async {
        for channel in 1..=20 {
            assert_eq!(subject.in_channel(channel).mention(110).await.outcome, Incremented);
        }
    };
    tokio::join!(acks, arriving);
    for channel in 1..=20 {
        assert_eq!(subject.in_channel(channel).position().await, (100, 1), "channel {channel}");
    }
}

async fn a_bad_item_fails_alone(node: &Node) {
    let strange = BulkAckItem { r#type: 9, ..item(3, 100) };
    let home = BulkAckItem { r#type: ReadStateType::GuildHome.into(), ..item(4, 100) };
    let items = vec![item(1, 100), item(0, 100), item(2, 0), strange, home, item(4, 50)];
    let results = bulk_ack(node, 1, items).await;
    let codes: Vec<_> =
        results.iter().map(|result| (result.code, result.reason.as_str())).collect();
    let invalid = i32::from(Code::InvalidArgument);
    assert_eq!(
        codes,
        [
            (0, ""),
            (invalid, "INVALID_ID"),
            (invalid, "INVALID_ID"),
            (invalid, "INVALID_TYPE"),
            (0, ""),
            (0, ""),
        ]
    );
    assert!(results[1..4].iter().all(|result| result.state.is_none() && !result.changed));
    let subject = Subject::new(node, 1, 4);
    assert_eq!(subject.position().await, (50, 0));
    assert_eq!(subject.of_kind(ReadStateType::GuildHome).position().await, (100, 0));
    assert_eq!(list_all(node, 1, 10).await.states.len(), 3);
}

async fn the_answer_tells_what_was_before(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    subject.ack(50).await;
    subject.mentions([60, 70]).await;
    subject.mark_unread(40, Some(4)).await;
    let before = subject.state().await;
    let results = bulk_ack(node, 1, vec![item(1, 30), item(1, 65)]).await;
    for result in &results {
        let previous = (result.previous_last_acked_id, result.previous_mention_count);
        assert_eq!(previous, (before.last_acked_id, before.mention_count));
        assert!(result.previous_marked_unread);
    }
    assert_eq!((results[0].changed, results[1].changed), (false, true));
    assert_eq!(subject.position().await, (65, 1));
    let nothing_moved = bulk_ack(node, 1, vec![item(1, 30)]).await;
    assert_eq!(nothing_moved[0].previous_last_acked_id, 65);
    assert_eq!(nothing_moved[0].state, Some(subject.state().await));
}
