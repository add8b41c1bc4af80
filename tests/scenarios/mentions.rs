//! Scenarios 13 to 21: mentions, each counted exactly once.

use crate::{
    ground::{Node, on_grounds},
    subject::{AlreadyRead, Duplicate, Incremented, Subject},
};

on_grounds!([roomy, tiny, on_disk] => [
    scenario_13_the_same_increment_twice_counts_once,
    scenario_14_a_late_mention_is_already_read,
    scenario_15_mentions_out_of_order_count_by_position,
    scenario_16_one_message_is_one_mention_however_it_names_the_user,
    scenario_17_the_count_saturates_and_is_never_negative,
    scenario_19_a_deleted_message_takes_its_mention_back_once,
    scenario_20_overflow_acked_at_100_is_exact,
    scenario_20_overflow_acked_at_50_keeps_the_count_and_says_so,
    scenario_21_a_mentioned_stranger_starts_at_the_initial_watermark,
    the_initial_watermark_counts_while_nothing_is_read,
    a_reset_is_as_if_every_mention_were_retracted,
    increments_without_a_position_add_up,
    the_same_mention_from_many_callers_at_once_counts_once,
]);

async fn scenario_13_the_same_increment_twice_counts_once(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(100).await;
    let first = subject.mention(110).await;
    assert_eq!((first.outcome, first.changed), (Incremented, true));
    let second = subject.mention(110).await;
    assert_eq!((second.outcome, second.changed), (Duplicate, false));
    assert_eq!(second.state, first.state);
    assert_eq!(subject.position().await, (100, 1));
}

async fn scenario_14_a_late_mention_is_already_read(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let before = subject.ack(120).await;
    for id in [110, 120] {
        let answer = subject.mention(id).await;
        assert_eq!((answer.outcome, answer.changed), (AlreadyRead, false));
        assert_eq!(answer.state, before.state);
    }
}

async fn scenario_15_mentions_out_of_order_count_by_position(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(120).await;
    subject.mentions([140, 130]).await;
    assert_eq!(subject.position().await, (120, 2));
    assert_eq!(subject.ack(135).await.position(), (135, 1));
}

async fn scenario_16_one_message_is_one_mention_however_it_names_the_user(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    assert_eq!(subject.fan_out(110, &[1, 1, 1]).await, (1, 0, 0));
    assert_eq!(subject.fan_out(110, &[1, 2]).await, (1, 1, 0));
    assert_eq!(subject.mention(110).await.outcome, Duplicate);
    assert_eq!(subject.position().await, (0, 1));
}

async fn scenario_17_the_count_saturates_and_is_never_negative(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(1).await;
    subject.mention(9).await;
    let full = subject.increment(u32::MAX).await;
    assert_eq!(full.position(), (1, u32::MAX));
    let more = subject.increment(1).await;
    assert!(!more.changed, "nothing rose");
    assert_eq!(more.state, full.state);
    assert_eq!(subject.mention(10).await.position(), (1, u32::MAX));
    subject.reset().await;
    for id in [9, 10, 11] {
        assert!(!subject.retract(id).await);
    }
    assert!(!subject.reset().await.changed);
    assert_eq!(subject.position().await, (1, 0));
}

async fn scenario_19_a_deleted_message_takes_its_mention_back_once(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(100).await;
    subject.mentions([110, 120]).await;
    assert!(subject.retract(110).await);
    assert_eq!(subject.position().await, (100, 1));
    let before = subject.state().await;
    assert!(!subject.retract(110).await, "twice is once");
    assert!(!subject.retract(90).await, "it is read");
    assert!(!subject.retract(115).await, "it never was a mention");
    assert_eq!(subject.mention(110).await.outcome, Duplicate, "a late retry counts nothing");
    assert_eq!(subject.state().await, before);
    assert_eq!(subject.mention(115).await.outcome, Incremented, "it was not remembered");
    assert_eq!(subject.ack(110).await.position(), (110, 2));
}

async fn scenario_20_overflow_acked_at_100_is_exact(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.mentions(1..=200).await;
    let state = subject.state().await;
    assert_eq!((state.mention_count, state.mentions_exact), (200, false));
    assert_eq!(subject.mention(72).await.outcome, Duplicate, "folded, so counted already");
    assert!(!subject.retract(72).await, "folded, so not known one by one");
    assert!(subject.retract(73).await, "the ledger holds 73 to 200");
    assert_eq!(subject.position().await, (0, 199));
    assert_eq!(subject.ack(100).await.position(), (100, 100));
    assert!(subject.state().await.mentions_exact);
}

async fn scenario_20_overflow_acked_at_50_keeps_the_count_and_says_so(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.mentions(1..=200).await;
    assert_eq!(subject.ack(50).await.position(), (50, 200));
    assert!(!subject.state().await.mentions_exact);
    assert_eq!(subject.ack(200).await.position(), (200, 0));
    assert!(subject.state().await.mentions_exact);
}

async fn scenario_21_a_mentioned_stranger_starts_at_the_initial_watermark(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let answer = subject.mention_from(4_000_000, 3_999_990).await;
    assert_eq!((answer.outcome, answer.position()), (Incremented, (3_999_990, 1)));
    let read = subject.of_user(2).mention_from(100, 100).await;
    assert_eq!((read.outcome, read.changed), (AlreadyRead, true), "the state was made");
    assert_eq!(subject.of_user(2).position().await, (100, 0));
}

async fn the_initial_watermark_counts_while_nothing_is_read(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.mentions([10, 20]).await;
    assert_eq!(subject.mention_from(30, 15).await.position(), (15, 2), "the watermark was 0");
    assert_eq!(subject.mention_from(40, 35).await.position(), (15, 3), "now it is not");
    let moved = subject.in_channel(11);
    moved.mention(20).await;
    let duplicate = moved.mention_from(20, 5).await;
    assert_eq!((duplicate.outcome, duplicate.changed), (Duplicate, true));
    assert_eq!(duplicate.position(), (5, 1));
}

async fn a_reset_is_as_if_every_mention_were_retracted(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(100).await;
    subject.mark_unread(100, None).await;
    subject.mentions([110, 120]).await;
    subject.increment(4).await;
    let answer = subject.reset().await;
    assert!(answer.changed);
    assert_eq!(answer.position(), (100, 0));
    assert!(subject.state().await.marked_unread, "the dot stays");
    assert_eq!(subject.mention(110).await.outcome, Duplicate, "a late retry counts nothing");
    assert_eq!(subject.mention(130).await.position(), (100, 1));
}

async fn increments_without_a_position_add_up(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    assert_eq!(subject.increment(0).await.position(), (0, 1), "0 means 1");
    assert_eq!(subject.increment(1).await.position(), (0, 2));
    let answer = subject.increment(40).await;
    assert_eq!((answer.outcome, answer.position()), (Incremented, (0, 42)));
    subject.mention(5).await;
    assert_eq!(subject.ack(4).await.position(), (4, 1), "any ack clears those without a position");
}

async fn the_same_mention_from_many_callers_at_once_counts_once(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let callers = (0..32).map(|_| subject.mention(110));
    let answers = futures_util::future::join_all(callers).await;
    let counted = answers.iter().filter(|answer| answer.outcome == Incremented).count();
    assert_eq!(counted, 1);
    assert!(answers.iter().all(|answer| answer.position() == (0, 1)));
    assert_eq!(subject.position().await, (0, 1));
}
