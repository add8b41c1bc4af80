//! `Apply`: many operations in one message, in order per user, each failing alone.

use readstates::proto::{
    AckRequest, ApplyRequest, IncrementRequest, MentionOutcome, Operation, OperationResult,
    operation::Operation as Of,
};
use tonic::Code;

use crate::{
    again::until_taken,
    ground::{Node, on_grounds},
    subject::{AlreadyRead, Duplicate, Incremented, Subject},
};

on_grounds!([roomy, tiny, on_disk] => [
    every_operation_answers_in_its_place,
    a_bad_or_empty_operation_fails_alone,
    operations_of_a_user_are_done_in_order,
    a_guard_in_the_middle_sees_what_was_done_before_it,
]);

mod large {
    use super::{many_operations_on_one_absent_user, many_users_at_once, on_grounds};
    on_grounds!([roomy, narrow, narrow_on_disk] => [
        many_operations_on_one_absent_user,
        many_users_at_once,
    ]);
}

pub async fn apply(node: &Node, operations: Vec<Operation>) -> Vec<OperationResult> {
    until_taken(
        operations,
        |result: &OperationResult| result.code,
        |operations| async {
            let answer = node.client().apply(ApplyRequest { operations }).await;
            answer.expect("only limits fail the call").into_inner().results
        },
    )
    .await
}

fn operation(of: Of) -> Operation {
    Operation { operation: Some(of) }
}

fn ack(subject: &Subject<'_>, message_id: u64) -> Operation {
    operation(Of::Ack(subject.ack_request(message_id)))
}

fn mention(subject: &Subject<'_>, message_id: u64) -> Operation {
    operation(Of::Increment(subject.increment_request(message_id)))
}

async fn every_operation_answers_in_its_place(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let results = apply(
        node,
        vec![
            ack(&subject, 100),
            mention(&subject, 110),
            mention(&subject, 110),
            mention(&subject, 90),
            operation(Of::MarkUnread(subject.mark_unread_request(50, Some(4)))),
            operation(Of::AckPins(subject.pins_request(7))),
            operation(Of::Reset(subject.reset_request())),
            operation(Of::Delete(subject.delete_request())),
            operation(Of::Delete(subject.delete_request())),
            mention(&subject, 5),
        ],
    )
    .await;
    let none = MentionOutcome::Unspecified;
    let expected = [
        (100, 0, true, none),
        (100, 1, true, Incremented),
        (100, 1, false, Duplicate),
        (100, 1, false, AlreadyRead),
        (50, 4, true, none),
        (50, 4, true, none),
        (50, 0, true, none),
        (0, 0, true, none),
        (0, 0, false, none),
        (0, 1, true, Incremented),
    ];
    for (result, expected) in results.iter().zip(expected) {
        let answered =
            (result.last_acked_id, result.mention_count, result.changed, result.outcome());
        assert_eq!(answered, expected);
        assert_eq!((result.code, result.reason.as_str()), (0, ""));
    }
    let rising = |pair: &[OperationResult]| {
        pair[0].version < pair[1].version || !pair[1].changed && pair[0].version == pair[1].version
    };
    assert!(results.windows(2).all(rising), "{results:?}");
    assert_eq!(subject.state().await.version, results[9].version);
}

async fn a_bad_or_empty_operation_fails_alone(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let stranger = subject.of_user(2);
    let counted = IncrementRequest { count: 2, ..subject.increment_request(120) };
    let strange = AckRequest { r#type: 99, ..subject.ack_request(100) };
    let unmatched = AckRequest { expected_version: Some(3), ..subject.ack_request(200) };
    let results = apply(
        node,
        vec![
            Operation { operation: None },
            ack(&subject, 100),
            ack(&subject, 0),
            operation(Of::Increment(counted)),
            mention(&stranger, 5),
            operation(Of::Ack(strange)),
            operation(Of::Ack(unmatched)),
            mention(&subject, 110),
            mention(&subject.of_user(0), 5),
        ],
    )
    .await;
    let (invalid, aborted) = (i32::from(Code::InvalidArgument), i32::from(Code::Aborted));
    let answered: Vec<_> =
        results.iter().map(|result| (result.code, result.reason.as_str())).collect();
    assert_eq!(
        answered,
        [
            (invalid, "EMPTY_OPERATION"),
            (0, ""),
            (invalid, "INVALID_ID"),
            (invalid, "INVALID_COUNT"),
            (0, ""),
            (invalid, "INVALID_TYPE"),
            (aborted, "VERSION_MISMATCH"),
            (0, ""),
            (invalid, "INVALID_ID"),
        ]
    );
    assert_eq!(results[6].version, results[1].version, "the current one");
    assert!(results.iter().all(|result| result.code == 0 || !result.changed));
    assert_eq!(subject.position().await, (100, 1));
    assert_eq!(stranger.position().await, (0, 1));
}

async fn operations_of_a_user_are_done_in_order(node: &Node) {
    // Which of these are in the cache and which are not must not matter.
    for round in 1..=20 {
        let subject = Subject::new(node, 1, round);
        let other = subject.in_channel(1_000 + round);
        other.ack(1).await;
        let results = apply(
            node,
            vec![
                mention(&subject, 10),
                ack(&other, 2),
                ack(&subject, 10),
                mention(&subject, 10),
                ack(&other, 3),
                operation(Of::Reset(other.reset_request())),
                operation(Of::MarkUnread(subject.mark_unread_request(0, Some(9)))),
                ack(&other, 2),
            ],
        )
        .await;
        let outcomes: Vec<_> = results.iter().map(|result| result.changed).collect();
        assert_eq!(outcomes, [true, true, true, false, true, false, true, false]);
        assert_eq!(results[3].outcome(), AlreadyRead);
        let changed: Vec<_> = results.iter().filter(|result| result.changed).collect();
        assert!(changed.windows(2).all(|pair| pair[0].version < pair[1].version), "{changed:?}");
        assert_eq!(subject.position().await, (0, 9));
    }
}

async fn a_guard_in_the_middle_sees_what_was_done_before_it(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let must_not_exist = |message_id| {
        let request = AckRequest { expected_version: Some(0), ..subject.ack_request(message_id) };
        operation(Of::Ack(request))
    };
    let results = apply(
        node,
        vec![
            must_not_exist(10),
            must_not_exist(20),
            operation(Of::Delete(subject.delete_request())),
            must_not_exist(5),
        ],
    )
    .await;
    let codes: Vec<_> = results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, i32::from(Code::Aborted), 0, 0]);
    assert_eq!(subject.position().await, (5, 0));
}

async fn many_operations_on_one_absent_user(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    let operations = (1..=5_000)
        .flat_map(|nth| {
            let subject = subject.in_channel(nth % 250 + 1);
            [mention(&subject, 2 * nth), ack(&subject, 2 * nth - 1)]
        })
        .collect();
    let results = apply(node, operations).await;
    assert!(results.iter().all(|result| result.code == 0 && result.changed));
    assert!(results.windows(2).all(|pair| pair[0].version < pair[1].version), "out of order");
    for (nth, pair) in (1..).zip(results.chunks(2)) {
        assert_eq!(pair[0].outcome(), Incremented);
        assert_eq!((pair[1].last_acked_id, pair[1].mention_count), (2 * nth - 1, 1));
    }
    for channel in [1, 100, 250] {
        assert_eq!(subject.in_channel(channel).state().await.mention_count, 1);
    }
}

async fn many_users_at_once(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let operations = (0..10_000)
        .map(|nth| {
            let subject = subject.of_user(1 + nth % 2_500);
            if nth < 5_000 { mention(&subject, 10 + nth) } else { ack(&subject, 10 + nth - 5_000) }
        })
        .collect();
    let results = apply(node, operations).await;
    for (nth, result) in (0_u64..).zip(&results) {
        // First two mentions each, then an ack of each of them.
        let left = [1, 2, 1, 0][nth as usize / 2_500];
        assert_eq!((result.code, result.mention_count), (0, left), "operation {nth}");
    }
}
