//! Scenario 24: the undo of a mark-all-read from its own answer, and repairs by `Restore`.

use readstates::proto::{
    BulkAckResult, ReadState, ReadStateType, RestoreItem, RestoreRequest, RestoreResult,
};
use tonic::Code;

use crate::{
    again::until_taken,
    bulk::{bulk_ack, item, mention_in},
    ground::{Node, on_grounds},
    paging::list_all,
    subject::{Duplicate, Incremented, Subject},
};

on_grounds!([roomy, tiny, on_disk] => [
    scenario_24_everything_returns_except_where_the_user_has_read_on,
    scenario_24_an_undo_survives_new_mentions,
    scenario_24_a_retried_undo_counts_nothing_twice,
    the_count_is_that_between_the_watermarks,
    a_late_retry_of_a_mention_once_read_does_not_come_back,
    guards_refuse_and_show_the_current_state,
    a_bad_item_fails_alone_and_a_missing_state_is_made,
]);

mod large {
    use super::{on_grounds, scenario_24_an_undo_of_ten_thousand_channels};
    on_grounds!([roomy, narrow, narrow_on_disk] => [scenario_24_an_undo_of_ten_thousand_channels]);
}

const CHANNELS: u64 = 10_000;

async fn restore(node: &Node, states: Vec<RestoreItem>) -> Vec<RestoreResult> {
    until_taken(
        states,
        |result: &RestoreResult| result.code,
        |states| async {
            let answer = node.client().restore(RestoreRequest { states }).await;
            answer.expect("only limits fail the call").into_inner().results
        },
    )
    .await
}

async fn restore_one(node: &Node, item: RestoreItem) -> RestoreResult {
    node.push_out().await;
    restore(node, vec![item]).await.remove(0)
}

/// What undoes one item of a `BulkAck`, from its answer alone.
pub fn undo_of(result: &BulkAckResult) -> RestoreItem {
    let state = result.state.as_ref().expect("the item was done");
    RestoreItem {
        user_id: state.user_id,
        channel_id: state.channel_id,
        r#type: state.r#type,
        last_acked_id: result.previous_last_acked_id,
        mention_count: result.previous_mention_count,
        marked_unread: result.previous_marked_unread,
        expected_version: None,
        expected_last_acked_id: Some(state.last_acked_id),
    }
}

/// What a user sees of a state.
fn seen(state: &ReadState) -> (u64, u64, u32, bool) {
    (state.channel_id, state.last_acked_id, state.mention_count, state.marked_unread)
}

async fn scenario_24_everything_returns_except_where_the_user_has_read_on(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    for channel in 1..=4 {
        subject.in_channel(channel).ack(100).await;
        subject.in_channel(channel).mentions([110, 120, 130]).await;
    }
    subject.in_channel(2).mark_unread(90, Some(9)).await;
    let before: Vec<_> = list_all(node, 1, 10).await.states.iter().map(seen).collect();
    let acked = bulk_ack(node, 1, (1..=4).map(|channel| item(channel, 200)).collect()).await;
    subject.in_channel(3).ack(300).await;
    let undone = restore(node, acked.iter().map(undo_of).collect()).await;
    let aborted = i32::from(Code::Aborted);
    let codes: Vec<_> = undone.iter().map(|result| (result.code, result.changed)).collect();
    assert_eq!(codes, [(0, true), (0, true), (aborted, false), (0, true)]);
    assert_eq!(undone[2].reason, "VERSION_MISMATCH");
    assert_eq!(undone[2].state.as_ref().map(|state| state.last_acked_id), Some(300));
    let after: Vec<_> = list_all(node, 1, 10).await.states.iter().map(seen).collect();
    for channel in [0, 1, 3] {
        assert_eq!(after[channel], before[channel]);
    }
    assert_eq!(after[2], (3, 300, 0, false), "the user has read on");
}

async fn scenario_24_an_undo_survives_new_mentions(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    subject.ack(100).await;
    subject.mentions([110, 120, 130]).await;
    let acked = bulk_ack(node, 1, vec![item(1, 120)]).await;
    assert_eq!(subject.mention(140).await.position(), (120, 2));
    let undone = restore_one(node, undo_of(&acked[0])).await;
    assert_eq!((undone.code, undone.changed), (0, true));
    assert_eq!(subject.position().await, (100, 4), "three came back, one arrived");
    assert_eq!(subject.ack(120).await.position(), (120, 2), "130 and 140 are above");
}

async fn scenario_24_a_retried_undo_counts_nothing_twice(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    subject.ack(100).await;
    subject.mentions([110, 120]).await;
    let undo = undo_of(&bulk_ack(node, 1, vec![item(1, 110)]).await[0]);
    let first = restore_one(node, undo).await;
    assert_eq!(first.state.as_ref().map(|state| state.mention_count), Some(2));
    let guarded = restore_one(node, undo).await;
    assert_eq!(guarded.code, i32::from(Code::Aborted), "the watermark is not that of the ack");
    let free = RestoreItem { expected_last_acked_id: None, ..undo };
    assert!(!restore_one(node, free).await.changed);
    assert_eq!(subject.position().await, (100, 2));
}

async fn scenario_24_an_undo_of_ten_thousand_channels(node: &Node) {
    mention_in(node, 1, (1..=CHANNELS).collect(), 90).await;
    mention_in(node, 1, (1..=CHANNELS / 2).collect(), 95).await;
    let before: Vec<_> = list_all(node, 1, 10_000).await.states.iter().map(seen).collect();
    let acked = bulk_ack(node, 1, (1..=CHANNELS).map(|channel| item(channel, 92)).collect()).await;
    let undone = restore(node, acked.iter().map(undo_of).collect()).await;
    assert!(undone.iter().all(|result| result.code == 0 && result.changed));
    let after: Vec<_> = list_all(node, 1, 10_000).await.states.iter().map(seen).collect();
    assert_eq!(after, before);
}

fn repair(last_acked_id: u64, mention_count: u32) -> RestoreItem {
    RestoreItem { user_id: 1, channel_id: 1, last_acked_id, mention_count, ..Default::default() }
}

async fn the_count_is_that_between_the_watermarks(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    subject.ack(100).await;
    subject.mentions([110, 120]).await;
    let restored = restore_one(node, repair(50, 7)).await;
    let state = restored.state.expect("the whole state");
    assert_eq!((state.last_acked_id, state.mention_count), (50, 9));
    assert_eq!(subject.ack(100).await.position(), (100, 2), "those above stayed one by one");
    assert_eq!(subject.ack(115).await.position(), (115, 1));
}

async fn a_late_retry_of_a_mention_once_read_does_not_come_back(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    subject.mention(80).await;
    subject.ack(100).await;
    restore_one(node, repair(50, 1)).await;
    assert_eq!(subject.mention(80).await.outcome, Duplicate);
    assert_eq!(subject.mention(101).await.outcome, Incremented);
    assert_eq!(subject.position().await, (50, 2));
}

async fn guards_refuse_and_show_the_current_state(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    let version = subject.ack(100).await.version();
    let wrong = [
        RestoreItem { expected_version: Some(version - 1), ..repair(50, 1) },
        RestoreItem { expected_version: Some(0), ..repair(50, 1) },
        RestoreItem { expected_last_acked_id: Some(99), ..repair(50, 1) },
        RestoreItem { expected_last_acked_id: Some(0), ..repair(50, 1) },
        RestoreItem {
            expected_version: Some(version),
            expected_last_acked_id: Some(99),
            ..repair(50, 1)
        },
    ];
    for item in wrong {
        let result = restore_one(node, item).await;
        assert_eq!(result.code, i32::from(Code::Aborted), "{item:?}");
        assert_eq!((result.reason.as_str(), result.changed), ("VERSION_MISMATCH", false));
        assert_eq!(result.state, Some(subject.state().await));
    }
    let right = RestoreItem {
        expected_version: Some(version),
        expected_last_acked_id: Some(100),
        ..repair(50, 1)
    };
    assert!(restore_one(node, right).await.changed);
    assert_eq!(subject.position().await, (50, 1));
}

async fn a_bad_item_fails_alone_and_a_missing_state_is_made(node: &Node) {
    let no_user = RestoreItem { user_id: 0, ..repair(50, 1) };
    let no_type = RestoreItem { r#type: 7, ..repair(50, 1) };
    let home = RestoreItem { r#type: ReadStateType::GuildHome.into(), ..repair(50, 1) };
    let missing = RestoreItem { expected_version: Some(0), marked_unread: true, ..home };
    let results = restore(node, vec![no_user, no_type, missing]).await;
    let reasons: Vec<_> = results.iter().map(|result| result.reason.as_str()).collect();
    assert_eq!(reasons, ["INVALID_ID", "INVALID_TYPE", ""]);
    let state = results[2].state.expect("it was made");
    assert_eq!((state.last_acked_id, state.mention_count, state.marked_unread), (50, 1, true));
    assert_eq!(list_all(node, 1, 10).await.states, [state]);
}
