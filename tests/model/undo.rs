//! Taking an ack back: `Restore` with what `BulkAck` answered, with mentions arriving in between,
//! and with a count between two watermarks as the contract words it.

use proptest::prelude::*;
use readstates::model::{Guard, Operation, View};

use crate::operations::{Step, config, long_step, operation, step};
use crate::subject::{Subject, ack, increment, mention};

/// Above every id that the random steps use.
const FRESH: u64 = 10_000;

/// What `BulkAck` answers of one item.
struct Answer {
    before: View,
    watermark_after: u64,
    changed: bool,
}

fn bulk_ack(subject: &mut Subject, id: u64) -> Answer {
    let before = subject.view();
    let changed = subject.apply(&ack(id)).changed;
    Answer { before, watermark_after: subject.state.last_acked_id(), changed }
}

fn undo(subject: &mut Subject, answer: &Answer) {
    let operation = Operation::Restore {
        last_acked_id: answer.before.last_acked_id,
        mention_count: answer.before.mention_count,
        marked_unread: answer.before.marked_unread,
    };
    let guard = Guard { last_acked_id: Some(answer.watermark_after), version: None };
    subject.guarded(&operation, &guard).expect("the user has not read on");
}

fn state(steps: &[Step]) -> Subject {
    let operations: Vec<Operation> =
        steps.iter().flat_map(|step| step.operations.iter().copied()).collect();
    Subject::after(&operations)
}

/// A state that was read up to the ids of `above` and then saw those.
fn read_on(steps: &[Step], above: &[Operation]) -> Subject {
    let mut subject = state(steps);
    subject.apply(&ack(14));
    for operation in above {
        subject.apply(operation);
    }
    subject
}

fn states() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        20 => prop::collection::vec(step(1..12), 0..24),
        1 => prop::collection::vec(long_step(1..400), 1..8),
    ]
}

/// Whether a `Restore` of these would be read as the answer of the last ack coming back.
fn is_own_answer(subject: &Subject, last_acked_id: u64, mention_count: u32) -> bool {
    let own = subject.state.to_parts().partial_ack;
    own.is_some_and(|own| (own.last_acked_id, own.mention_count) == (last_acked_id, mention_count))
}

proptest! {
    #![proptest_config(config(800))]

    #[test]
    fn of_an_ack_brings_everything_back_and_keeps_what_arrived_since(
        steps in states(), target in 1..14u64, arrived in 0..4u64, unpositioned in 0..3u32,
    ) {
        let mut subject = state(&steps);
        // An ack that leaves the count alone answers what an earlier one at the same watermark may
        // have answered too. Which of the two comes back, nothing in a `Restore` can tell.
        let (watermark, count) = subject.position();
        prop_assume!(!is_own_answer(&subject, watermark, count));
        let answer = bulk_ack(&mut subject, target);
        for id in (FRESH..FRESH + arrived).chain(FRESH..FRESH + arrived) {
            subject.apply(&mention(id));
        }
        subject.apply(&increment(unpositioned));
        undo(&mut subject, &answer);
        subject.check();
        let expected = answer.before.mention_count.saturating_add(arrived as u32 + unpositioned);
        prop_assert_eq!(subject.position(), (answer.before.last_acked_id, expected));
        prop_assert_eq!(subject.view().marked_unread, answer.before.marked_unread);
        prop_assert!(answer.changed || arrived > 0 || unpositioned > 0
            || subject.view() == answer.before, "undo of nothing changes nothing");
    }

    #[test]
    fn twice_is_the_same_as_once(steps in states(), target in 0..14u64, count in 0..9u32) {
        let mut subject = state(&steps);
        prop_assume!(!is_own_answer(&subject, target, count));
        let restore =
            Operation::Restore { last_acked_id: target, mention_count: count, marked_unread: true };
        subject.apply(&restore);
        let once = subject.state.clone();
        prop_assert!(!subject.apply(&restore).changed);
        prop_assert_eq!(&subject.state, &once);
    }

    #[test]
    fn of_an_ack_twice_is_the_same_as_once(
        steps in states(), target in 1..14u64, arrived in 0..4u64
    ) {
        let mut subject = state(&steps);
        let answer = bulk_ack(&mut subject, target);
        for id in FRESH..FRESH + arrived {
            subject.apply(&mention(id));
        }
        undo(&mut subject, &answer);
        let once = subject.position();
        let again = Operation::Restore {
            last_acked_id: answer.before.last_acked_id,
            mention_count: answer.before.mention_count,
            marked_unread: answer.before.marked_unread,
        };
        subject.apply(&again);
        prop_assert_eq!(subject.position(), once);
    }

    #[test]
    fn with_a_count_between_two_watermarks_adds_it_to_what_is_above(
        steps in states(), above in prop::collection::vec(operation(14..24), 0..6),
        target in 0..14u64, count in 0..300u32,
    ) {
        let mut subject = read_on(&steps, &above);
        let (watermark, above) = subject.position();
        prop_assume!(target < watermark);
        prop_assume!(!is_own_answer(&subject, target, count));
        subject.apply(&Operation::Restore {
            last_acked_id: target, mention_count: count, marked_unread: false,
        });
        prop_assert_eq!(subject.position(), (target, above.saturating_add(count)));
    }

    #[test]
    fn keeps_what_was_once_read_from_coming_back(
        steps in states(), above in prop::collection::vec(operation(14..24), 0..6),
        target in 0..14u64, late in 1..14u64,
    ) {
        let mut subject = read_on(&steps, &above);
        let (watermark, _) = subject.position();
        prop_assume!(target < watermark && late <= watermark);
        subject.apply(&Operation::Restore {
            last_acked_id: target, mention_count: 1, marked_unread: false,
        });
        let count = subject.state.mention_count();
        subject.apply(&mention(late));
        prop_assert_eq!(subject.state.mention_count(), count);
    }

    #[test]
    fn no_operation_touches_the_holders_mark(
        steps in states(), last in operation(1..12), mark in any::<bool>(),
    ) {
        let mut subject = state(&steps);
        let mut unmarked = subject.clone();
        subject.state.set_holder_mark(mark);
        let answer = subject.apply(&last);
        prop_assert_eq!(subject.state.holder_mark(), mark);
        prop_assert_eq!(answer, unmarked.apply(&last));
        prop_assert_eq!(subject.view(), unmarked.view());
    }
}
