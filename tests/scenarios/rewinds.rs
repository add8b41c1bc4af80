//! Scenarios 10 to 12: the user's own "mark as unread".

use readstates::proto::AckRequest;
use tonic::Code;

use crate::{
    errors::reason_of,
    ground::{Node, on_grounds},
    subject::{Duplicate, Incremented, Subject},
};

on_grounds!([roomy, tiny, on_disk] => [
    scenario_10_mark_unread_goes_back_with_the_callers_count,
    scenario_10a_only_an_ack_of_what_was_once_read_clears_the_callers_count,
    scenario_11_a_retry_of_an_old_ack_is_refused_by_its_version,
    scenario_12_the_dot_is_never_a_mention,
    without_a_count_it_keeps_what_is_known_and_says_that_it_may_be_short,
    a_count_takes_the_mentions_still_known_into_account,
    it_creates_a_state_and_zero_means_nothing_read,
]);

async fn scenario_10_mark_unread_goes_back_with_the_callers_count(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(500).await;
    let answer = subject.mark_unread(100, Some(5)).await;
    assert!(answer.changed);
    assert_eq!(answer.position(), (100, 5));
    let state = subject.state().await;
    assert!(state.marked_unread && state.mentions_exact);
    let again = subject.mark_unread(100, Some(5)).await;
    assert!(!again.changed);
    assert_eq!(again.state, Some(state));
}

async fn scenario_10a_only_an_ack_of_what_was_once_read_clears_the_callers_count(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(500).await;
    subject.mark_unread(100, Some(5)).await;
    assert_eq!(subject.mention(300).await.outcome, Duplicate);
    assert!(subject.ack(100).await.changed);
    assert_eq!(subject.position().await, (100, 5));
    assert!(!subject.state().await.marked_unread);
    assert_eq!(subject.mention(300).await.outcome, Duplicate);
    subject.ack(499).await;
    assert_eq!(subject.position().await, (499, 5));
    assert!(!subject.state().await.mentions_exact);
    subject.ack(500).await;
    assert_eq!(subject.position().await, (500, 0));
    assert!(subject.state().await.mentions_exact);
}

async fn scenario_11_a_retry_of_an_old_ack_is_refused_by_its_version(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let seen = subject.ack(200).await.version();
    let old = AckRequest { expected_version: Some(seen), ..subject.ack_request(300) };
    subject.ack(500).await;
    let rewound = subject.mark_unread(100, None).await;
    let refused = subject.try_ack(old).await.expect_err("the version is not current");
    assert_eq!(refused.code(), Code::Aborted);
    assert_eq!(reason_of(&refused), "VERSION_MISMATCH");
    assert_eq!(Some(subject.state().await), rewound.state);
    assert!(subject.ack(300).await.changed, "without a version it is an ack like any other");
    assert_eq!(subject.position().await, (300, 0));
}

async fn scenario_12_the_dot_is_never_a_mention(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(500).await;
    subject.mark_unread(500, None).await;
    let state = subject.state().await;
    assert!(state.marked_unread && state.mentions_exact, "nothing was rewound");
    assert_eq!(state.mention_count, 0);
    let summary = crate::badges::summary(node, 1).await;
    assert_eq!((summary.mention_count, summary.channels_with_mentions), (0, 0));
    assert_eq!(summary.channels_marked_unread, 1);
}

async fn without_a_count_it_keeps_what_is_known_and_says_that_it_may_be_short(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.mentions([110, 120, 130]).await;
    subject.ack(120).await;
    let answer = subject.mark_unread(100, None).await;
    assert_eq!(answer.position(), (100, 1));
    assert!(!subject.state().await.mentions_exact);
    assert_eq!(subject.mention(110).await.outcome, Duplicate, "it was read once");
    assert_eq!(subject.mention(125).await.outcome, Incremented);
    subject.ack(120).await;
    assert_eq!(subject.position().await, (120, 2));
    assert!(subject.state().await.mentions_exact);
}

async fn a_count_takes_the_mentions_still_known_into_account(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.ack(200).await;
    subject.mentions([210, 220]).await;
    subject.increment(7).await;
    assert_eq!(subject.mark_unread(100, Some(5)).await.position(), (100, 5));
    assert_eq!(subject.ack(200).await.position(), (200, 2), "210 and 220 are left, one by one");
    assert_eq!(subject.ack(210).await.position(), (210, 1));
}

async fn it_creates_a_state_and_zero_means_nothing_read(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let answer = subject.mark_unread(0, Some(2)).await;
    assert!(answer.changed);
    assert_eq!(answer.position(), (0, 2));
    assert!(subject.state().await.marked_unread);
    let mentioned = subject.mention_from(50, 40).await;
    assert_eq!(mentioned.position().0, 0, "a state marked unread has a place to start already");
}
