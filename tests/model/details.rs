//! What the contract says of one state and no numbered scenario names.

use readstates::model::{Guard, MentionOutcome, Operation, Version};

use crate::scenarios::{CHANGED, UNCHANGED, mentioned, mentions};
use crate::subject::{
    Subject, ack, increment, mark_unread, mention, mention_from, message, restore, retract,
};

#[test]
fn attributes_are_taken_from_an_equal_ack_too() {
    let mut subject = Subject::after(&[ack(100)]);
    let equal = Operation::Ack { message: message(100), flags: Some(2), last_viewed_day: Some(9) };
    assert_eq!(subject.apply(&equal), CHANGED);
    assert_eq!((subject.view().flags, subject.view().last_viewed_day), (2, 9));
    assert_eq!(subject.apply(&equal), UNCHANGED);
    let back = Operation::Ack { message: message(100), flags: Some(0), last_viewed_day: Some(0) };
    assert_eq!(subject.apply(&back), CHANGED);
    assert_eq!((subject.view().flags, subject.view().last_viewed_day), (0, 0));
}

#[test]
fn a_callers_count_includes_the_ids_still_held_above() {
    let held = [ack(500), mention(510), mention(520)];
    let mut subject = Subject::after(&held);
    subject.apply(&mark_unread(100, Some(5)));
    assert_eq!(subject.position(), (100, 5));
    subject.apply(&ack(510));
    assert_eq!(subject.position(), (510, 1));
}

#[test]
fn a_guard_of_version_0_wants_no_state_and_a_tombstone_matches_its_own_version_too() {
    let absent = Guard { version: Some(Version::ZERO), last_acked_id: None };
    let mut subject = Subject::default();
    assert_eq!(absent.check(&subject.state), Ok(()));
    subject.apply(&ack(5));
    assert!(absent.check(&subject.state).is_err());
    subject.apply(&Operation::Delete);
    assert_eq!(absent.check(&subject.state), Ok(()));
    let own = Guard { version: Some(subject.state.version()), last_acked_id: None };
    assert_eq!(own.check(&subject.state), Ok(()));
}

#[test]
fn a_rewind_without_a_count_is_inexact_until_an_ack_passes_it() {
    let mut subject = Subject::after(&[mention(110), mention(520), ack(500)]);
    subject.apply(&mark_unread(100, None));
    assert_eq!(subject.position(), (100, 1));
    assert!(!subject.view().mentions_exact);
    subject.apply(&ack(499));
    assert!(!subject.view().mentions_exact);
    subject.apply(&ack(500));
    assert_eq!(subject.position(), (500, 1));
    assert!(subject.view().mentions_exact);
}

#[test]
fn a_zeroed_id_takes_a_place_and_folds_without_being_counted() {
    let mut subject = Subject::after(&mentions(1..=128));
    subject.apply(&retract(1));
    assert_eq!(subject.position(), (0, 127));
    subject.apply(&mention(129));
    assert_eq!(subject.position(), (0, 128));
    assert_eq!(subject.apply(&mention(1)), mentioned(MentionOutcome::Duplicate));
    subject.apply(&mention(130));
    assert_eq!(subject.position(), (0, 129));
    assert!(!subject.view().mentions_exact);
}

#[test]
fn an_initial_watermark_never_moves_one_that_stands_or_was_marked() {
    let mut acked = Subject::after(&[ack(10)]);
    acked.apply(&mention_from(100, 90));
    assert_eq!(acked.position(), (10, 1));
    let mut marked = Subject::after(&[mark_unread(0, None)]);
    marked.apply(&mention_from(100, 90));
    assert_eq!(marked.position(), (0, 1));
    let mut unread = Subject::after(&[mention(5)]);
    unread.apply(&mention_from(100, 90));
    assert_eq!(unread.position(), (90, 1));
}

#[test]
fn a_reset_is_as_if_every_mention_were_retracted() {
    let start = [ack(100), mention(110), mention(120)];
    let mut reset = Subject::after(&start);
    assert_eq!(reset.apply(&Operation::Reset), CHANGED);
    let retracted = Subject::after(&[&start[..], &[retract(110), retract(120)]].concat());
    assert_eq!(reset.state.to_parts().zeroed, retracted.state.to_parts().zeroed);
    assert_eq!(reset.position(), (100, 0));
    assert_eq!(reset.apply(&mention(110)), mentioned(MentionOutcome::Duplicate));
    assert_eq!(reset.apply(&mention(130)), mentioned(MentionOutcome::Incremented));
}

#[test]
fn what_does_not_exist_is_not_reset_retracted_or_deleted() {
    for operation in [Operation::Reset, retract(5), Operation::Delete] {
        let mut subject = Subject::default();
        assert_eq!(subject.apply(&operation), UNCHANGED);
        assert!(!subject.view().exists());
        let mut deleted = Subject::after(&[ack(5), Operation::Delete]);
        assert_eq!(deleted.apply(&operation), UNCHANGED);
        assert!(deleted.view().deleted);
    }
}

#[test]
fn what_does_not_exist_is_created_by_everything_else() {
    let creators = [
        ack(5),
        mention(5),
        increment(1),
        mark_unread(0, None),
        Operation::AckPins { pinned_at_ms: 1 },
        restore(5, 1),
    ];
    for operation in creators {
        assert!(Subject::after(&[operation]).view().exists(), "{operation:?}");
        let again = Subject::after(&[ack(9), mention(12), Operation::Delete, operation]);
        let first = Subject::after(&[operation]);
        assert!(again.view().exists(), "{operation:?}");
        assert_eq!(again.position(), first.position(), "{operation:?}");
    }
}

#[test]
fn after_a_delete_an_old_mention_counts_again() {
    let start = [mention(110), ack(200), Operation::Delete];
    let mut subject = Subject::after(&start);
    assert_eq!(subject.apply(&mention(110)), mentioned(MentionOutcome::Incremented));
    assert_eq!(subject.position(), (0, 1));
    let mut told = Subject::after(&start);
    told.apply(&mention_from(110, 200));
    assert_eq!(told.position(), (200, 0));
}
