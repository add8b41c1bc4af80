//! Scenarios 1 to 9a: acks.

use readstates::proto::{AckRequest, ReadStateType};

use crate::{
    ground::{Node, on_grounds},
    subject::{Incremented, Subject},
};

on_grounds!([roomy, tiny, on_disk] => [
    scenario_1_the_first_ack_creates_the_state,
    scenario_2_a_late_ack_changes_nothing,
    scenario_3_an_equal_ack_writes_nothing_and_bumps_no_version,
    scenario_4_an_ack_of_the_middle_leaves_exactly_the_rest,
    scenario_5_an_ack_races_with_a_newer_mention,
    scenario_6_an_ack_of_no_message_is_a_position_like_any_other,
    scenario_7_omitted_attributes_stay_and_the_two_watermarks_never_meet,
    scenario_8_nobody_elses_state_moves,
    scenario_9_an_equal_ack_clears_the_dot_and_unpositioned_mentions,
    scenario_9a_a_channel_under_two_types_is_two_states,
]);

/// Interleavings tried of the two calls that race.
const RACES: u64 = 40;

async fn scenario_1_the_first_ack_creates_the_state(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    assert_eq!(subject.get().await, None);
    let answer = subject.ack(100).await;
    assert!(answer.changed);
    assert_eq!(answer.position(), (100, 0));
    let state = subject.state().await;
    assert_eq!(Some(&state), answer.state.as_ref());
    assert_eq!((state.user_id, state.channel_id), (1, 10));
    assert!(state.version > 0 && state.mentions_exact && !state.deleted && !state.marked_unread);
}

async fn scenario_2_a_late_ack_changes_nothing(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let before = subject.ack(500).await;
    let late = AckRequest { flags: Some(7), last_viewed_day: Some(7), ..subject.ack_request(100) };
    let answer = subject.try_ack(late).await.expect("a late ack is no error");
    assert!(!answer.changed);
    assert_eq!(answer.state, before.state);
    assert_eq!(Some(subject.state().await), before.state);
}

async fn scenario_3_an_equal_ack_writes_nothing_and_bumps_no_version(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let before = subject.ack(500).await;
    let answer = subject.ack(500).await;
    assert!(!answer.changed);
    assert_eq!(answer.state, before.state);
}

async fn scenario_4_an_ack_of_the_middle_leaves_exactly_the_rest(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(100).await;
    subject.mentions([110, 120, 130]).await;
    assert_eq!(subject.position().await, (100, 3));
    let answer = subject.ack(120).await;
    assert_eq!(answer.position(), (120, 1));
    assert!(subject.state().await.mentions_exact);
}

async fn scenario_5_an_ack_races_with_a_newer_mention(node: &Node) {
    for channel in 1..=RACES {
        let subject = Subject::new(node, 1, channel);
        subject.ack(100).await;
        subject.mentions([110, 130]).await;
        let (acked, mentioned) = tokio::join!(subject.ack(130), subject.mention(140));
        assert!(acked.changed);
        assert_eq!(mentioned.outcome, Incremented);
        assert_eq!(subject.position().await, (130, 1), "channel {channel}");
        assert_ne!(acked.version(), mentioned.version(), "versions rise strictly");
    }
}

async fn scenario_6_an_ack_of_no_message_is_a_position_like_any_other(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.mentions([110, 120]).await;
    assert!(subject.retract(110).await);
    assert_eq!(subject.ack(110).await.position(), (110, 1));
    assert_eq!(subject.ack(115).await.position(), (115, 1));
    assert_eq!(subject.ack(u64::MAX).await.position(), (u64::MAX, 0));
}

async fn scenario_7_omitted_attributes_stay_and_the_two_watermarks_never_meet(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let full = AckRequest {
        flags: Some(0xdead_beef),
        last_viewed_day: Some(3_900),
        ..subject.ack_request(100)
    };
    subject.try_ack(full).await.expect("an ack with everything");
    subject.mention(150).await;
    let pinned = subject.ack_pins(77).await;
    assert!(pinned.changed);
    assert_eq!(pinned.position(), (100, 1));
    subject.ack(200).await;
    let state = subject.state().await;
    assert_eq!((state.flags, state.last_viewed_day), (0xdead_beef, 3_900));
    assert_eq!((state.last_acked_id, state.last_pin_ack_ms), (200, 77));
    for not_newer in [76, 77] {
        let answer = subject.ack_pins(not_newer).await;
        assert!(!answer.changed);
        assert_eq!(answer.state.as_ref(), Some(&state));
    }
}

async fn scenario_8_nobody_elses_state_moves(node: &Node) {
    let sender = Subject::new(node, 1, 10);
    let (named, reader) = (sender.of_user(2), sender.of_user(3));
    let before = reader.ack(50).await;
    named.ack(50).await;
    sender.ack(100).await;
    assert_eq!(sender.fan_out(100, &[2]).await, (1, 0, 0));
    assert_eq!(sender.position().await, (100, 0));
    assert_eq!(named.position().await, (50, 1));
    assert_eq!(Some(reader.state().await), before.state);
    assert_eq!(sender.of_user(4).get().await, None);
}

async fn scenario_9_an_equal_ack_clears_the_dot_and_unpositioned_mentions(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(500).await;
    assert!(subject.mark_unread(500, None).await.changed);
    assert!(subject.state().await.marked_unread);
    assert!(subject.ack(500).await.changed);
    assert!(!subject.state().await.marked_unread);
    subject.increment(3).await;
    subject.mention(510).await;
    assert_eq!(subject.position().await, (500, 4));
    assert!(subject.ack(500).await.changed);
    assert_eq!(subject.position().await, (500, 1));
}

async fn scenario_9a_a_channel_under_two_types_is_two_states(node: &Node) {
    let channel = Subject::new(node, 1, 10);
    let home = channel.of_kind(ReadStateType::GuildHome);
    let before = channel.ack(500).await;
    assert_eq!(home.get().await, None);
    home.mention(700).await;
    home.ack_pins(9).await;
    assert_eq!(Some(channel.state().await), before.state);
    channel.delete().await;
    assert_eq!(home.position().await, (0, 1));
    home.delete().await;
    assert_eq!(home.get().await, None);
    channel.ack(1).await;
    assert_eq!(home.get().await, None);
}
