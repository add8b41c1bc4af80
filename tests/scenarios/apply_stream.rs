//! `ApplyStream`: as `Apply`, message after message, each answered in its turn.

use futures_util::{StreamExt as _, stream};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use readstates::proto::{
    AckRequest, ApplyStreamRequest, ApplyStreamResponse, IncrementRequest, Operation,
    OperationResult, operation::Operation as Of,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::{
    apply::apply,
    errors::{field_of, reason_of},
    ground::{Node, on_grounds},
    subject::{Duplicate, Incremented, Subject},
};

on_grounds!([roomy, tiny, on_disk] => [
    each_message_is_answered_in_its_turn_with_its_number,
    a_later_message_finds_what_an_earlier_one_did,
    a_bad_operation_fails_alone_and_an_empty_message_is_answered,
    a_message_over_the_limit_ends_the_stream_behind_the_answers_before_it,
    a_message_of_more_than_a_mebibyte_ends_the_stream_with_its_reason,
    a_caller_that_goes_away_leaves_whole_operations,
    whatever_is_sent_ahead_comes_to_the_same_as_apply,
]);

/// Sends all that is given at once, and reads until the end.
async fn exchange(
    node: &Node,
    messages: Vec<ApplyStreamRequest>,
) -> Vec<Result<ApplyStreamResponse, Status>> {
    let answers = node.client().apply_stream(stream::iter(messages)).await;
    answers.expect("the stream is opened").into_inner().collect().await
}

fn message(sequence: u64, operations: Vec<Operation>) -> ApplyStreamRequest {
    ApplyStreamRequest { sequence, operations }
}

fn ack(user_id: u64, channel_id: u64, message_id: u64) -> Operation {
    let request = AckRequest { user_id, channel_id, message_id, ..AckRequest::default() };
    Operation { operation: Some(Of::Ack(request)) }
}

fn mention(user_id: u64, channel_id: u64, message_id: u64) -> Operation {
    let request =
        IncrementRequest { user_id, channel_id, message_id, ..IncrementRequest::default() };
    Operation { operation: Some(Of::Increment(request)) }
}

async fn each_message_is_answered_in_its_turn_with_its_number(node: &Node) {
    // The numbers are the caller's own.
    let sequences = [7, 7, 0, u64::MAX, 1];
    let messages = sequences.iter().zip(1..);
    let messages = messages.map(|(sequence, id)| message(*sequence, vec![ack(1, 10, id)]));
    let answers = exchange(node, messages.collect()).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("it is served")).collect();
    assert_eq!(answers.iter().map(|answer| answer.sequence).collect::<Vec<_>>(), sequences);
    let positions = answers.iter().map(|answer| answer.results[0].last_acked_id);
    assert_eq!(positions.collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

async fn a_later_message_finds_what_an_earlier_one_did(node: &Node) {
    let mut messages = Vec::new();
    for channel in 1..=40 {
        messages.push(message(0, vec![mention(1, channel, 10), mention(2, channel, 10)]));
        messages.push(message(1, vec![mention(1, channel, 10), ack(2, channel, 10)]));
    }
    for (nth, answer) in exchange(node, messages).await.into_iter().enumerate() {
        let results = answer.expect("it is served").results;
        let outcomes: Vec<_> = results.iter().map(OperationResult::outcome).collect();
        match nth % 2 {
            0 => assert_eq!(outcomes, [Incremented, Incremented]),
            _ => {
                assert_eq!(outcomes[0], Duplicate);
                assert_eq!((results[1].mention_count, results[1].changed), (0, true));
            }
        }
    }
}

async fn a_bad_operation_fails_alone_and_an_empty_message_is_answered(node: &Node) {
    let empty = Operation { operation: None };
    let messages = vec![
        message(1, vec![]),
        message(2, vec![ack(1, 10, 0), ack(1, 10, 5), empty, ack(0, 10, 5)]),
        message(3, vec![ack(1, 10, 6)]),
    ];
    let answers = exchange(node, messages).await;
    let results: Vec<Vec<_>> = answers
        .into_iter()
        .map(|answer| answer.expect("it is served").results)
        .map(|results| results.into_iter().map(|result| result.reason).collect())
        .collect();
    assert_eq!(results[0], [""; 0]);
    assert_eq!(results[1], ["INVALID_ID", "", "EMPTY_OPERATION", "INVALID_ID"]);
    assert_eq!(results[2], [""]);
    assert_eq!(Subject::new(node, 1, 10).position().await, (6, 0));
}

async fn a_message_over_the_limit_ends_the_stream_behind_the_answers_before_it(node: &Node) {
    let bad = Operation { operation: None };
    let messages = vec![
        message(1, vec![ack(1, 10, 5)]),
        message(2, vec![bad; 10_001]),
        message(3, vec![ack(1, 10, 7)]),
    ];
    let mut answers = exchange(node, messages).await.into_iter();
    assert_eq!(answers.next().expect("one").expect("it is served").sequence, 1);
    let status = answers.next().expect("the end").expect_err("it is too much");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::InvalidArgument, "TOO_MANY_ITEMS"));
    assert_eq!(field_of(&status), "operations");
    assert!(answers.next().is_none());
    assert_eq!(Subject::new(node, 1, 10).position().await, (5, 0), "nothing behind it is done");
}

async fn a_message_of_more_than_a_mebibyte_ends_the_stream_with_its_reason(node: &Node) {
    let messages = vec![message(1, vec![ack(1, 10, 5)]), message(2, vec![ack(1, 10, 7); 40_000])];
    let mut answers = exchange(node, messages).await.into_iter();
    assert_eq!(answers.next().expect("one").expect("it is served").sequence, 1);
    let status = answers.next().expect("the end").expect_err("it is too much");
    let end = (status.code(), &*reason_of(&status));
    assert_eq!(end, (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    assert!(answers.next().is_none());
}

async fn a_caller_that_goes_away_leaves_whole_operations(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let (messages, receiver) = mpsc::channel(4);
    let answers = node.client().apply_stream(ReceiverStream::new(receiver)).await;
    let mut answers: Streaming<_> = answers.expect("the stream is opened").into_inner();
    let send = async |id| messages.send(message(id, vec![mention(1, 10, id)])).await;
    send(1).await.expect("it is read");
    answers.message().await.expect("it is served").expect("it goes on");
    send(2).await.expect("it is read");
    drop(answers);
    drop(messages);
    // The second was counted or will never be: one more is one more.
    let before = subject.position().await.1;
    assert!((1..=2).contains(&before), "{before}");
    subject.mention(3).await;
    subject.mention(2).await;
    assert_eq!(subject.position().await, (0, 3));
}

/// The same operations, in messages of any size, on users of their own.
async fn whatever_is_sent_ahead_comes_to_the_same_as_apply(node: &Node) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let operations: Vec<(u64, u64, u64, bool)> = (0..2_000)
        .map(|_| {
            let (user, channel) = (random.random_range(1..6), random.random_range(1..5));
            (user, channel, random.random_range(1..300), random.random())
        })
        .collect();
    let of_user = |first: u64, (user, channel, id, is_ack): &(u64, u64, u64, bool)| match is_ack {
        true => ack(first + user, *channel, *id),
        false => mention(first + user, *channel, *id),
    };
    let mut left = &operations[..];
    let mut messages = Vec::new();
    while !left.is_empty() {
        let (here, behind) = left.split_at(random.random_range(1..=left.len().min(60)));
        let operations = here.iter().map(|operation| of_user(100, operation)).collect();
        messages.push(message(messages.len() as u64, operations));
        left = behind;
    }
    let streamed = exchange(node, messages).await.into_iter();
    let streamed = streamed.flat_map(|answer| answer.expect("it is served").results);
    let once = apply(node, operations.iter().map(|one| of_user(200, one)).collect()).await;
    let without_version = |result: OperationResult| OperationResult { version: 0, ..result };
    let streamed: Vec<_> = streamed.map(without_version).collect();
    let once: Vec<_> = once.into_iter().map(without_version).collect();
    assert_eq!(streamed, once, "seed {seed}");
}
