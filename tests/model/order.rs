//! The state is a join of positioned acks and mentions: order and duplication do not matter while
//! the ledger has room, and once it overflowed a stated part of that still holds.

use std::collections::BTreeSet;

use proptest::prelude::*;
use readstates::model::{LEDGER_MAX, Operation, Version, View};

use crate::operations::config;
use crate::subject::{Subject, ack, mention};

fn positioned(ids: u64) -> impl Strategy<Value = Operation> {
    prop_oneof![5 => (1..ids).prop_map(mention), 1 => (1..ids).prop_map(ack)]
}

/// As many distinct ids as a ledger holds, at most.
fn fitting() -> impl Strategy<Value = Vec<Operation>> {
    prop_oneof![
        prop::collection::vec(positioned(16), 0..24),
        prop::collection::vec(positioned(LEDGER_MAX as u64 + 1), 0..200),
    ]
}

/// The same operations in another order, each at least once and some more often.
fn shuffled_with_duplicates(
    operations: impl Strategy<Value = Vec<Operation>>,
) -> impl Strategy<Value = (Vec<Operation>, Vec<Operation>)> {
    operations.prop_flat_map(|once| {
        let length = once.len();
        let again = proptest::sample::subsequence(once.clone(), 0..=length);
        let all = (again, Just(once.clone())).prop_map(|(again, once)| [once, again].concat());
        (Just(once), all.prop_shuffle())
    })
}

fn outcome(operations: &[Operation]) -> (View, Vec<u64>, Vec<u64>) {
    let subject = Subject::after(operations);
    subject.check();
    let parts = subject.state.to_parts();
    let unversioned = View { version: Version::ZERO, ..subject.view() };
    (unversioned, parts.counted, parts.zeroed)
}

fn mentioned(operations: &[Operation]) -> BTreeSet<u64> {
    let id = |operation: &Operation| match operation {
        Operation::Mention { message, .. } => Some(message.as_u64()),
        _ => None,
    };
    operations.iter().filter_map(id).collect()
}

fn newest_ack(operations: &[Operation]) -> u64 {
    let id = |operation: &Operation| match operation {
        Operation::Ack { message, .. } => message.as_u64(),
        _ => 0,
    };
    operations.iter().map(id).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn any_order_and_any_duplication_end_in_the_same_state(
        (once, again) in shuffled_with_duplicates(fitting())
    ) {
        let expected = outcome(&once);
        prop_assert_eq!(&outcome(&again), &expected);
        let watermark = newest_ack(&once);
        let unread: Vec<u64> =
            mentioned(&once).into_iter().filter(|id| *id > watermark).collect();
        prop_assert_eq!(expected.0.last_acked_id, watermark);
        prop_assert_eq!(expected.0.mention_count as usize, unread.len());
        prop_assert!(expected.0.mentions_exact);
        prop_assert_eq!(expected.1, unread);
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn overflow_counts_each_message_at_most_once_and_says_when_it_is_unsure(
        operations in prop::collection::vec(positioned(400), 150..500)
    ) {
        let mut subject = Subject::default();
        for (done, operation) in operations.iter().enumerate() {
            subject.apply(operation);
            let ids = mentioned(&operations[..=done]);
            let watermark = newest_ack(&operations[..=done]);
            let unread = ids.range(watermark + 1..).count();
            let view = subject.view();
            prop_assert_eq!(view.last_acked_id, watermark);
            prop_assert!(view.mention_count as usize <= ids.len());
            if view.mentions_exact {
                prop_assert_eq!(view.mention_count as usize, unread);
            }
        }
        subject.check();
        let before = subject.state.clone();
        for operation in &operations {
            prop_assert!(!subject.apply(operation).changed, "a retry of the whole is a retry");
        }
        prop_assert_eq!(&subject.state, &before);
        subject.apply(&ack(400));
        prop_assert_eq!(subject.position(), (400, 0));
        prop_assert!(subject.view().mentions_exact);
    }

    #[test]
    fn overflow_in_rising_order_with_duplicates_still_counts_everything(
        count in 129..400u64, repeats in prop::collection::vec(1..400u64, 0..100)
    ) {
        let mut operations: Vec<Operation> = (1..=count).map(mention).collect();
        operations.extend(repeats.into_iter().map(|id| mention(id.min(count))));
        let subject = Subject::after(&operations);
        prop_assert_eq!(subject.position(), (0, count as u32));
        prop_assert!(!subject.view().mentions_exact);
    }
}
