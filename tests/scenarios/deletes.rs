//! Scenarios 27 and 28, and everything else that removes.

use readstates::{
    proto::{DeleteChannelRequest, DeleteUserRequest, ListRequest, ReadStateType, RetractRequest},
    store::{Call, Moment},
};

use crate::{
    badges::summary,
    ground::{Ground, Node, on_grounds},
    paging::{ack_all, list_all, page},
    subject::{Incremented, Subject},
};

on_grounds!([roomy, tiny, on_disk] => [
    scenario_28_nothing_remains_of_a_deleted_user,
    a_deleted_user_starts_anew,
    a_state_starts_anew_after_its_deletion,
    what_is_not_there_cannot_be_reset_retracted_or_deleted,
    a_deleted_channel_is_deleted_once,
]);

mod large {
    use super::{a_user_of_many_channels_is_deleted_whole, on_grounds};
    on_grounds!([roomy, narrow, narrow_on_disk] => [a_user_of_many_channels_is_deleted_whole]);
}

/// Brings everything that is dirty to the store: the deletion of a user waits for that.
pub async fn flush(node: &Node) {
    assert_eq!(delete_user(node, 1 << 61).await, 0, "nobody has this id");
}

async fn delete_user(node: &Node, user_id: u64) -> u32 {
    let response = node.client().delete_user(DeleteUserRequest { user_id }).await;
    response.expect("a deletion").into_inner().deleted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_27_a_state_deleted_while_its_old_value_is_flushed_stays_deleted() {
    for moment in [Moment::Before, Moment::After] {
        let (ground, faults) = Ground::faulty();
        let node = ground.start().await;
        let subject = Subject::new(&node, 1, 10);
        let gate = faults.hold_next(Call::Commit, moment);
        subject.ack(100).await;
        let flushing = flush(&node);
        let deleting = async {
            faults.until(|tally| tally.held(Call::Commit) == 1).await;
            assert!(subject.delete().await.changed);
            gate.open();
        };
        tokio::join!(flushing, deleting);
        flush(&node).await;
        assert_eq!(subject.get().await, None);
        let node = node.restart().await;
        assert_eq!(Subject::new(&node, 1, 10).get().await, None, "not even from the store");
        assert_eq!(list_all(&node, 1, 10).await.states, []);
        node.stop().await;
    }
}

async fn scenario_28_nothing_remains_of_a_deleted_user(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let before = list_all(node, 1, 10).await.version;
    let bystander = subject.of_user(2).mention(5).await;
    subject.mentions([5, 6]).await;
    flush(node).await;
    subject.in_channel(11).ack(100).await;
    subject.in_channel(12).ack(100).await;
    subject.in_channel(12).delete().await;
    subject.of_kind(ReadStateType::GuildHome).ack_pins(7).await;
    assert_eq!(delete_user(node, 1).await, 3, "a tombstone is no state");
    for channel in 10..=12 {
        assert_eq!(subject.in_channel(channel).get().await, None);
    }
    assert_eq!(subject.of_kind(ReadStateType::GuildHome).get().await, None);
    let listed = list_all(node, 1, 10).await;
    assert_eq!(listed.states, []);
    let since = ListRequest { user_id: 1, since_version: before, ..ListRequest::default() };
    let changes = page(node, since).await;
    assert_eq!((changes.states.len(), changes.delta), (0, false), "a full set replaces all");
    assert_eq!(summary(node, 1).await.mention_count, 0);
    assert_eq!(Some(subject.of_user(2).state().await), bystander.state);
    assert_eq!(delete_user(node, 1).await, 0, "twice is once");
}

async fn a_deleted_user_starts_anew(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let old = subject.ack(500).await.version();
    subject.in_channel(11).ack(500).await;
    delete_user(node, 1).await;
    let mentioned = subject.mention(400).await;
    assert_eq!((mentioned.outcome, mentioned.position()), (Incremented, (0, 1)));
    assert!(mentioned.version() > old, "versions rise over the deletion");
    let listed = list_all(node, 1, 10).await;
    assert_eq!(listed.states.len(), 1);
    let since = ListRequest { user_id: 1, since_version: old, ..ListRequest::default() };
    let changes = page(node, since).await;
    assert!(!changes.delta, "the version is older than the user's deletion");
    assert_eq!(changes.states, listed.states);
    let since = ListRequest { user_id: 1, since_version: listed.version, ..ListRequest::default() };
    assert!(page(node, since).await.delta);
}

async fn a_user_of_many_channels_is_deleted_whole(node: &Node) {
    ack_all(node, 1, 1..=3_000, 5).await;
    flush(node).await;
    ack_all(node, 1, 2_000..=5_000, 6).await;
    assert_eq!(delete_user(node, 1).await, 5_000);
    assert_eq!(list_all(node, 1, 1_000).await.states, []);
    for channel in [1, 1_999, 2_500, 5_000] {
        assert_eq!(Subject::new(node, 1, channel).get().await, None);
    }
}

async fn a_state_starts_anew_after_its_deletion(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(100).await;
    subject.mention(110).await;
    subject.mark_unread(100, None).await;
    subject.ack_pins(7).await;
    let deleted = subject.delete().await;
    assert!(deleted.changed);
    let state = deleted.state.expect("the tombstone");
    assert!(state.deleted && state.version > 0);
    assert_eq!((state.last_acked_id, state.mention_count), (0, 0));
    let again = subject.delete().await;
    assert!(!again.changed, "twice is once");
    let old = subject.mention(110).await;
    assert_eq!((old.outcome, old.position()), (Incremented, (0, 1)), "an old mention counts again");
    let state = subject.state().await;
    assert!(state.version > again.state.map_or(0, |state| state.version));
    assert_eq!((state.marked_unread, state.last_pin_ack_ms, state.deleted), (false, 0, false));
    subject.delete().await;
    assert_eq!(subject.mention_from(110, 105).await.position(), (105, 1));
}

async fn what_is_not_there_cannot_be_reset_retracted_or_deleted(node: &Node) {
    let never = Subject::new(node, 1, 10);
    let gone = never.in_channel(11);
    gone.mention(5).await;
    gone.delete().await;
    let version = list_all(node, 1, 10).await.version;
    for subject in [never, gone] {
        let reset = subject.reset().await;
        assert_eq!((reset.changed, reset.state), (false, None), "there is none to show");
        assert!(!subject.retract(5).await);
        assert!(!subject.delete().await.changed);
        assert_eq!(subject.get().await, None, "none was made");
    }
    assert_eq!(never.delete().await.state, None);
    let since = ListRequest { user_id: 1, since_version: version, ..ListRequest::default() };
    assert_eq!(page(node, since).await.states, [], "nothing was written");
}

async fn delete_channel(node: &Node, channel_id: u64, user_ids: &[u64]) -> u32 {
    let request = DeleteChannelRequest { channel_id, user_ids: user_ids.to_vec() };
    node.client().delete_channel(request).await.expect("a deletion").into_inner().deleted
}

async fn a_deleted_channel_is_deleted_once(node: &Node) {
    let member = Subject::new(node, 1, 10);
    for user in 1..=3 {
        member.of_user(user).mention(5).await;
        member.of_user(user).in_channel(11).ack(5).await;
    }
    member.of_kind(ReadStateType::GuildHome).ack(5).await;
    assert_eq!(delete_channel(node, 10, &[1, 2, 2, 9]).await, 2);
    assert_eq!(delete_channel(node, 10, &[1, 2, 9]).await, 0, "twice is once");
    assert_eq!(member.get().await, None);
    assert!(member.of_user(3).get().await.is_some(), "not among the members named");
    assert!(member.in_channel(11).get().await.is_some());
    assert!(member.of_kind(ReadStateType::GuildHome).get().await.is_some());
    let retract = RetractRequest { channel_id: 10, message_id: 5, user_ids: vec![1, 2, 3, 3] };
    let retracted = node.client().retract(retract).await.expect("a retraction").into_inner();
    assert_eq!(retracted.retracted, 1);
}
