//! `ApplyStream` over a store that is slow, and at the end of a server.

use std::time::Duration;

use readstates::{
    config,
    lifecycle::Phase,
    proto::{
        AckRequest, ApplyStreamRequest, ApplyStreamResponse, Operation, operation::Operation as Of,
    },
    server::Stopped,
    store::{Call, Moment},
};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::{
    keys::key,
    node::{Node, within},
};

const HOUR: Duration = Duration::from_secs(3_600);
/// More than are ever asked for here.
const MESSAGES: usize = 1_000;

async fn open(node: &Node) -> (Sender<ApplyStreamRequest>, Streaming<ApplyStreamResponse>) {
    let (messages, receiver) = channel(MESSAGES);
    let answers = node.client().await.apply_stream(ReceiverStream::new(receiver)).await;
    (messages, answers.expect("the stream is opened").into_inner())
}

/// An ack of a state that nothing knows yet.
fn ack(sequence: u64) -> ApplyStreamRequest {
    let (user_id, channel_id, message_id) = (sequence, 1, 7);
    let request = AckRequest { user_id, channel_id, message_id, ..AckRequest::default() };
    let operations = vec![Operation { operation: Some(Of::Ack(request)) }];
    ApplyStreamRequest { sequence, operations }
}

async fn next(
    answers: &mut Streaming<ApplyStreamResponse>,
) -> Result<Option<ApplyStreamResponse>, Status> {
    within(answers.message()).await
}

#[tokio::test]
async fn scenario_41_an_open_stream_is_told_of_the_end_behind_its_answers() {
    let mut node = Node::start(|config| config.drain_timeout = HOUR).await;
    let (messages, mut answers) = open(&node).await;
    let gate = node.faults.hold(Call::Load, Moment::After);
    messages.send(ack(1)).await.expect("it is read");
    node.faults.until(|tally| tally.held(Call::Load) == 1).await;
    node.ask();
    node.lifecycle.wait_for(Phase::Draining).await;
    gate.open();
    let answer = next(&mut answers).await.expect("it was made").expect("it goes on");
    assert_eq!((answer.sequence, answer.results[0].code), (1, 0));
    let end = next(&mut answers).await.expect_err("the server ends");
    let reason = end.get_details_error_info().expect("every error has a reason").reason;
    assert_eq!((end.code(), &*reason), (Code::Unavailable, "DRAINING"));
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
    assert_eq!(node.stored(key(1, 1)).await.expect("a row").last_acked_id(), 7);
}

/// The store confirms nothing, and so nothing is answered; but what is sent is made, so far.
#[tokio::test]
async fn messages_are_made_while_one_before_them_waits_for_the_store() {
    const AHEAD: u64 = 8;
    let mut node = Node::start(|config| config.durability = config::Durability::Store).await;
    let (messages, mut answers) = open(&node).await;
    let gate = node.faults.hold(Call::Commit, Moment::Before);
    for sequence in 1..=AHEAD + 20 {
        messages.send(ack(sequence)).await.expect("it is read");
    }
    node.faults.until(|tally| tally.ended(Call::Load) == AHEAD).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.faults.tally().begun(Call::Load), AHEAD, "no more is read");
    gate.open();
    for sequence in 1..=AHEAD + 20 {
        let answer = next(&mut answers).await.expect("it was made").expect("it goes on");
        assert_eq!((answer.sequence, answer.results[0].code), (sequence, 0));
    }
    drop(messages);
    assert!(next(&mut answers).await.expect("a clean end").is_none());
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
}
