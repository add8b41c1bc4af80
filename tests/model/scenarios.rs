//! The numbered scenarios that are about one state, without their events.

use readstates::model::{ChannelId, Guard, Key, Kind, MentionOutcome, Mismatch, Operation, UserId};

use crate::subject::{
    Answer, Subject, ack, increment, mark_unread, mention, mention_from, message, restore, retract,
};

pub const CHANGED: Answer = Answer { changed: true, outcome: None };
pub const UNCHANGED: Answer = Answer { changed: false, outcome: None };

pub fn mentioned(outcome: MentionOutcome) -> Answer {
    Answer { changed: outcome == MentionOutcome::Incremented, outcome: Some(outcome) }
}

pub fn mentions(ids: impl IntoIterator<Item = u64>) -> Vec<Operation> {
    ids.into_iter().map(mention).collect()
}

#[test]
fn scenario_1_the_first_ack_creates_the_state() {
    let mut subject = Subject::default();
    assert!(!subject.view().exists());
    assert_eq!(subject.apply(&ack(100)), CHANGED);
    assert_eq!(subject.position(), (100, 0));
    assert!(subject.view().exists() && subject.view().mentions_exact);
}

#[test]
fn scenario_2_a_late_ack_changes_nothing() {
    let mut subject = Subject::after(&[ack(500)]);
    let before = subject.state.clone();
    let late = Operation::Ack { message: message(100), flags: Some(7), last_viewed_day: Some(7) };
    assert_eq!(subject.apply(&late), UNCHANGED);
    assert_eq!(subject.state, before);
}

#[test]
fn scenario_3_an_equal_ack_changes_nothing() {
    let mut subject = Subject::after(&[ack(500)]);
    let before = subject.state.clone();
    assert_eq!(subject.apply(&ack(500)), UNCHANGED);
    assert_eq!(subject.state, before);
}

#[test]
fn scenario_4_an_ack_of_the_middle_leaves_exactly_the_rest() {
    let mut subject = Subject::after(&[ack(100), mention(110), mention(120), mention(130)]);
    assert_eq!(subject.position(), (100, 3));
    subject.apply(&ack(120));
    assert_eq!(subject.position(), (120, 1));
    assert!(subject.view().mentions_exact);
}

#[test]
fn scenario_5_an_ack_and_a_newer_mention_commute() {
    let start = [ack(100), mention(110), mention(130)];
    for race in [[ack(130), mention(140)], [mention(140), ack(130)]] {
        let subject = Subject::after(&[&start[..], &race[..]].concat());
        assert_eq!(subject.position(), (130, 1));
    }
}

#[test]
fn scenario_6_an_ack_of_a_retracted_message_is_a_position_like_any_other() {
    let operations = [mention(110), mention(120), retract(110), ack(110)];
    assert_eq!(Subject::after(&operations).position(), (110, 1));
    assert_eq!(Subject::after(&[mention(110), mention(120), ack(115)]).position(), (115, 1));
}

#[test]
fn scenario_7_omitted_attributes_stay_and_the_two_watermarks_never_meet() {
    let full = Operation::Ack {
        message: message(100),
        flags: Some(0xdead_beef),
        last_viewed_day: Some(3_900),
    };
    let mut subject = Subject::after(&[full, mention(150)]);
    assert_eq!(subject.apply(&Operation::AckPins { pinned_at_ms: 77 }), CHANGED);
    assert_eq!(subject.position(), (100, 1));
    subject.apply(&ack(200));
    let view = subject.view();
    assert_eq!((view.flags, view.last_viewed_day), (0xdead_beef, 3_900));
    assert_eq!((view.last_acked_id, view.last_pin_ack_ms), (200, 77));
    assert_eq!(subject.apply(&Operation::AckPins { pinned_at_ms: 76 }), UNCHANGED);
}

#[test]
fn scenario_9_an_equal_ack_clears_the_dot_and_unpositioned_mentions() {
    let mut subject = Subject::after(&[ack(500), mark_unread(500, None)]);
    assert!(subject.view().marked_unread);
    assert_eq!(subject.apply(&ack(500)), CHANGED);
    assert!(!subject.view().marked_unread);
    subject.apply(&increment(3));
    subject.apply(&mention(510));
    assert_eq!(subject.position(), (500, 4));
    assert_eq!(subject.apply(&ack(500)), CHANGED);
    assert_eq!(subject.position(), (500, 1));
}

#[test]
fn scenario_9a_a_channel_under_two_kinds_has_two_keys() {
    let user = UserId::new(1).expect("not 0");
    let channel = ChannelId::new(2).expect("not 0");
    let keys = Kind::ALL.map(|kind| Key { user, kind, channel });
    assert_eq!(keys[0], Key::channel(user, channel));
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "ordered by kind");
    assert!(
        (0..=255).all(|number| { Kind::from_u8(number).is_none_or(|kind| kind as u8 == number) })
    );
    assert_eq!((Kind::from_u8(0), Kind::from_u8(7)), (None, None));
}

#[test]
fn scenario_10_mark_unread_goes_back_with_the_callers_count() {
    let mut subject = Subject::after(&[ack(500)]);
    assert_eq!(subject.apply(&mark_unread(100, Some(5))), CHANGED);
    assert_eq!(subject.position(), (100, 5));
    assert!(subject.view().marked_unread && subject.view().mentions_exact);
    assert_eq!(subject.apply(&mark_unread(100, Some(5))), UNCHANGED);
}

#[test]
fn scenario_10a_only_an_ack_of_what_was_once_read_clears_the_callers_count() {
    let mut subject = Subject::after(&[ack(500), mark_unread(100, Some(5))]);
    assert_eq!(subject.apply(&ack(100)), CHANGED);
    assert_eq!(subject.position(), (100, 5));
    assert!(!subject.view().marked_unread);
    assert_eq!(subject.apply(&mention(300)), mentioned(MentionOutcome::Duplicate));
    subject.apply(&ack(499));
    assert_eq!(subject.position(), (499, 5));
    assert!(!subject.view().mentions_exact);
    subject.apply(&ack(500));
    assert_eq!(subject.position(), (500, 0));
    assert!(subject.view().mentions_exact);
}

#[test]
fn scenario_11_a_retry_of_an_old_ack_is_refused_by_its_version() {
    let mut subject = Subject::after(&[ack(200)]);
    let seen = Guard { version: Some(subject.state.version()), last_acked_id: None };
    subject.apply(&ack(500));
    subject.apply(&mark_unread(100, None));
    let current = subject.state.version();
    assert_eq!(seen.check(&subject.state), Err(Mismatch { current }));
    assert_eq!(subject.apply(&ack(300)), CHANGED);
    assert_eq!(subject.state.last_acked_id(), 300);
}

#[test]
fn scenario_12_the_dot_is_never_a_mention() {
    let subject = Subject::after(&[ack(500), mark_unread(500, None)]);
    assert_eq!(subject.position(), (500, 0));
    assert!(subject.view().marked_unread);
    assert!(subject.view().mentions_exact, "nothing was rewound");
}

#[test]
fn scenario_13_and_16_one_message_is_one_mention() {
    let mut subject = Subject::after(&[ack(100)]);
    assert_eq!(subject.apply(&mention(110)), mentioned(MentionOutcome::Incremented));
    let before = subject.state.clone();
    assert_eq!(subject.apply(&mention(110)), mentioned(MentionOutcome::Duplicate));
    assert_eq!(subject.state, before);
    assert_eq!(subject.position(), (100, 1));
}

#[test]
fn scenario_14_a_late_mention_is_already_read() {
    let mut subject = Subject::after(&[ack(120)]);
    for id in [110, 120] {
        assert_eq!(subject.apply(&mention(id)), mentioned(MentionOutcome::AlreadyRead));
    }
    assert_eq!(subject.position(), (120, 0));
}

#[test]
fn scenario_15_mentions_out_of_order_count_by_position() {
    let mut subject = Subject::after(&[ack(120), mention(140), mention(130)]);
    assert_eq!(subject.position(), (120, 2));
    subject.apply(&ack(135));
    assert_eq!(subject.position(), (135, 1));
}

#[test]
fn scenario_17_the_count_saturates_and_is_never_negative() {
    let mut subject = Subject::after(&[ack(1), mention(9), increment(u32::MAX)]);
    assert_eq!(subject.position(), (1, u32::MAX));
    let before = subject.state.clone();
    assert!(!subject.apply(&increment(1)).changed);
    assert_eq!(subject.state, before);
    subject.apply(&mention(10));
    assert_eq!(subject.position(), (1, u32::MAX));
    subject.apply(&Operation::Reset);
    for id in [9, 10, 11] {
        subject.apply(&retract(id));
    }
    assert_eq!(subject.apply(&Operation::Reset), UNCHANGED);
    assert_eq!(subject.position(), (1, 0));
}

#[test]
fn scenario_18_a_retried_fan_out_counts_once() {
    let mut subject = Subject::default();
    assert_eq!(subject.apply(&mention_from(100, 90)), mentioned(MentionOutcome::Incremented));
    assert_eq!(subject.apply(&mention_from(100, 90)), mentioned(MentionOutcome::Duplicate));
    assert_eq!(subject.position(), (90, 1));
}

#[test]
fn scenario_19_a_deleted_message_takes_its_mention_back_once() {
    let mut subject = Subject::after(&[ack(100), mention(110), mention(120)]);
    assert_eq!(subject.apply(&retract(110)), CHANGED);
    assert_eq!(subject.position(), (100, 1));
    assert_eq!(subject.apply(&retract(110)), UNCHANGED);
    assert_eq!(subject.apply(&retract(90)), UNCHANGED);
    assert_eq!(subject.apply(&mention(110)), mentioned(MentionOutcome::Duplicate));
    assert_eq!(subject.position(), (100, 1));
    assert_eq!(subject.apply(&retract(115)), UNCHANGED);
    let not_remembered = subject.apply(&mention(115));
    assert_eq!(not_remembered, mentioned(MentionOutcome::Incremented));
}

#[test]
fn scenario_20_ledger_overflow_acked_at_100_is_exact() {
    let mut subject = Subject::after(&mentions(1..=200));
    assert_eq!(subject.position(), (0, 200));
    assert_eq!(subject.state.to_parts().counted, (73..=200).collect::<Vec<u64>>());
    subject.apply(&ack(100));
    assert_eq!(subject.position(), (100, 100));
    assert!(subject.view().mentions_exact);
}

#[test]
fn scenario_20_ledger_overflow_acked_at_50_keeps_the_count_and_says_so() {
    let mut subject = Subject::after(&mentions(1..=200));
    subject.apply(&ack(50));
    assert_eq!(subject.position(), (50, 200));
    assert!(!subject.view().mentions_exact);
    subject.apply(&ack(200));
    assert_eq!(subject.position(), (200, 0));
    assert!(subject.view().mentions_exact);
}

#[test]
fn scenario_20_ledger_overflow_is_cleared_by_an_ack_of_the_fold_top() {
    let mut subject = Subject::after(&mentions(1..=200));
    assert!(!subject.apply(&mention(72)).changed, "at or below the fold top: counted already");
    assert_eq!(subject.apply(&retract(72)), UNCHANGED);
    subject.apply(&ack(72));
    assert_eq!(subject.position(), (72, 128));
    assert!(subject.view().mentions_exact);
}

#[test]
fn scenario_21_a_mentioned_stranger_starts_at_the_initial_watermark() {
    let subject = Subject::after(&[mention_from(4_000_000, 3_999_990)]);
    assert_eq!(subject.position(), (3_999_990, 1));
    let mut read = Subject::default();
    let answer = read.apply(&mention_from(100, 100));
    assert_eq!(answer, Answer { changed: true, outcome: Some(MentionOutcome::AlreadyRead) });
    assert_eq!(read.position(), (100, 0));
    let mut unpositioned = Subject::default();
    unpositioned.apply(&Operation::Increment { count: 2, initial_acked_id: Some(50) });
    assert_eq!(unpositioned.position(), (50, 2));
}

#[test]
fn scenario_22_the_largest_of_duplicate_acks_wins_in_any_order() {
    let acks = [ack(300), ack(100), ack(200)];
    for first in 0..3 {
        let mut order = acks;
        order.rotate_left(first);
        assert_eq!(Subject::after(&order).position(), (300, 0));
    }
}

#[test]
fn scenario_23_a_mention_that_arrives_with_the_ack_stays() {
    let subject = Subject::after(&[mention(90), mention(110), ack(100), mention(120)]);
    assert_eq!(subject.position(), (100, 2));
}

#[test]
fn scenario_24_an_undo_of_a_partial_ack_takes_the_whole_count_back() {
    let mut subject = Subject::after(&[ack(100), mention(110), mention(120), mention(130)]);
    subject.apply(&ack(110));
    subject.apply(&mention(140));
    subject.apply(&restore(100, 3));
    assert_eq!(subject.position(), (100, 4));
}

#[test]
fn scenario_24_an_undo_is_refused_where_the_user_has_read_on() {
    let mut subject = Subject::after(&[ack(100), ack(200), ack(300)]);
    let guard = Guard { version: None, last_acked_id: Some(200) };
    assert_eq!(subject.guarded(&restore(100, 0), &guard), None);
    assert_eq!(subject.position(), (300, 0));
}

#[test]
fn scenario_24_an_undo_of_an_ack_that_only_cleared_the_dot_counts_nothing_twice() {
    let start = [ack(100), mention(110), mention(120), mark_unread(100, None)];
    let mut subject = Subject::after(&start);
    subject.apply(&ack(100));
    let undo = Operation::Restore { last_acked_id: 100, mention_count: 2, marked_unread: true };
    assert_eq!(subject.apply(&undo), CHANGED);
    assert_eq!(subject.position(), (100, 2));
    assert!(subject.view().marked_unread);
}

#[test]
fn scenario_24_an_undo_of_an_ack_that_changed_nothing_changes_nothing() {
    let mut subject = Subject::after(&[ack(100), mention(110)]);
    assert_eq!(subject.apply(&ack(50)), UNCHANGED);
    assert_eq!(subject.apply(&restore(100, 1)), UNCHANGED);
    assert_eq!(subject.position(), (100, 1));
}

#[test]
fn scenario_24_a_retried_undo_counts_nothing_twice() {
    let mut subject = Subject::after(&[ack(100), mention(110), mention(120), ack(110)]);
    assert_eq!(subject.apply(&restore(100, 2)), CHANGED);
    assert_eq!(subject.apply(&restore(100, 2)), UNCHANGED);
    assert_eq!(subject.position(), (100, 2));
}

#[test]
fn scenario_24_an_undo_after_a_reset_brings_back_only_what_the_ack_took() {
    let mut subject = Subject::after(&[ack(100), mention(110), mention(120), ack(110)]);
    subject.apply(&Operation::Reset);
    subject.apply(&restore(100, 2));
    assert_eq!(subject.position(), (100, 1));
}
