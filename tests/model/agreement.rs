//! The model never disagrees with a naive one that keeps every mention.

use proptest::prelude::*;
use readstates::model::{Guard, Operation, Version};

use crate::naive::Naive;
use crate::operations::{Condition, Step, config, long_step, step};
use crate::subject::Subject;

fn guard(condition: Condition, subject: &Subject) -> Guard {
    let version = subject.state.version();
    let watermark = subject.state.last_acked_id();
    match condition {
        Condition::None => Guard::default(),
        Condition::CurrentVersion => Guard { version: Some(version), ..Guard::default() },
        Condition::StaleVersion => Guard { version: Some(version.next()), ..Guard::default() },
        Condition::MustNotExist => Guard { version: Some(Version::ZERO), ..Guard::default() },
        Condition::CurrentWatermark => Guard { last_acked_id: Some(watermark), version: None },
        Condition::OtherWatermark => Guard { last_acked_id: Some(watermark + 1), version: None },
    }
}

fn agree_on(operation: &Operation, guard: &Guard, subject: &mut Subject, naive: &mut Naive) {
    let before = subject.state.clone();
    let next = before.version().next().as_micros();
    let answer = subject.guarded(operation, guard);
    let expected = naive.admits(guard).then(|| naive.apply(operation, next));
    assert_eq!(answer, expected, "{operation:?} with {guard:?} on {before:?}");
    assert_eq!(subject.view(), naive.view(), "{operation:?} on {before:?}");
    let parts = subject.state.to_parts();
    assert_eq!(parts.counted, naive.waiting(), "{operation:?} on {before:?}");
    assert_eq!(parts.zeroed, naive.zeroed(), "{operation:?} on {before:?}");
    if !answer.is_some_and(|answer| answer.changed) {
        assert_eq!(subject.state, before, "{operation:?} changed what it said it had not");
    }
    subject.check();
}

fn agree(steps: &[Step]) {
    let mut subject = Subject::default();
    let mut naive = Naive::default();
    for step in steps {
        let guard = guard(step.condition, &subject);
        for operation in &step.operations {
            agree_on(operation, &guard, &mut subject, &mut naive);
        }
    }
}

proptest! {
    #![proptest_config(config(2500))]

    #[test]
    fn over_few_ids(steps in prop::collection::vec(step(1..12), 1..40)) {
        agree(&steps);
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn over_many_ids_with_overflow(steps in prop::collection::vec(long_step(1..400), 1..24)) {
        agree(&steps);
    }
}
