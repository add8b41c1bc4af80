//! Random operations: over few ids, so that they meet, and over many, so that the ledger overflows.

use std::ops::Range;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use readstates::model::Operation;

use crate::subject::{mention, message};

/// A condition, named by what it is relative to the state it meets.
#[derive(Clone, Copy, Debug)]
pub enum Condition {
    None,
    CurrentVersion,
    StaleVersion,
    MustNotExist,
    CurrentWatermark,
    OtherWatermark,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub operations: Vec<Operation>,
    pub condition: Condition,
}

/// The random tests' settings; a failure leaves its seed beside the test that failed.
pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..4u32, 2 => 100..200u32, 1 => Just(u32::MAX), 1 => Just(u32::MAX - 1)]
}

fn flags() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![4 => Just(None), 2 => (0..10u32).prop_map(Some), 1 => any::<u32>().prop_map(Some)]
}

fn initial(ids: Range<u64>) -> impl Strategy<Value = Option<u64>> {
    prop_oneof![3 => Just(None), 1 => (0..ids.end).prop_map(Some)]
}

fn mention_in(ids: Range<u64>) -> impl Strategy<Value = Operation> {
    (ids.clone(), initial(ids)).prop_map(|(id, initial_acked_id)| Operation::Mention {
        message: message(id),
        initial_acked_id,
    })
}

fn ack_in(ids: Range<u64>) -> impl Strategy<Value = Operation> {
    (ids, flags(), flags()).prop_map(|(id, flags, last_viewed_day)| Operation::Ack {
        message: message(id),
        flags,
        last_viewed_day,
    })
}

fn rewind_in(ids: Range<u64>) -> impl Strategy<Value = Operation> {
    let target = 0..ids.end;
    prop_oneof![
        (target.clone(), proptest::option::of(count())).prop_map(
            |(last_acked_id, mention_count)| Operation::MarkUnread { last_acked_id, mention_count }
        ),
        (target, count(), any::<bool>()).prop_map(
            |(last_acked_id, mention_count, marked_unread)| Operation::Restore {
                last_acked_id,
                mention_count,
                marked_unread
            }
        ),
    ]
}

/// Any operation on ids of this range.
pub fn operation(ids: Range<u64>) -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => mention_in(ids.clone()),
        4 => ack_in(ids.clone()),
        2 => (count(), initial(ids.clone())).prop_map(|(count, initial_acked_id)| {
            Operation::Increment { count, initial_acked_id }
        }),
        1 => Just(Operation::Reset),
        3 => rewind_in(ids.clone()),
        1 => prop_oneof![0..5u64, any::<u64>()]
            .prop_map(|pinned_at_ms| Operation::AckPins { pinned_at_ms }),
        2 => ids.prop_map(|id| Operation::Retract { message: message(id) }),
        1 => Just(Operation::Delete),
    ]
}

/// Up to twice the ledger's room of mentions in a row.
fn burst(ids: Range<u64>) -> impl Strategy<Value = Vec<Operation>> {
    (ids.clone(), 1..256u64, 1..3u64).prop_map(move |(first, length, stride)| {
        (0..length).map(|n| mention((first + n * stride).min(ids.end))).collect()
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        20 => Just(Condition::None),
        1 => Just(Condition::CurrentVersion),
        1 => Just(Condition::StaleVersion),
        1 => Just(Condition::MustNotExist),
        1 => Just(Condition::CurrentWatermark),
        1 => Just(Condition::OtherWatermark),
    ]
}

/// A step on few ids.
pub fn step(ids: Range<u64>) -> impl Strategy<Value = Step> {
    (operation(ids), condition())
        .prop_map(|(operation, condition)| Step { operations: vec![operation], condition })
}

/// A step on many ids: often a burst of mentions.
pub fn long_step(ids: Range<u64>) -> impl Strategy<Value = Step> {
    let bursts = burst(ids.clone());
    prop_oneof![
        1 => bursts.prop_map(|operations| Step { operations, condition: Condition::None }),
        2 => step(ids),
    ]
}
