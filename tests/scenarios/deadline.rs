//! A deadline that passes: an answer with a reason, and work that is not split by it.

use prost::Message as _;
use readstates::{
    model::{ChannelId, Key, UserId},
    proto::AckRequest,
    store::{Call, Moment, StoreError},
};
use tokio::net::TcpStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    errors::reason_of,
    ground::{Ground, Node},
    subject::Subject,
};

const ACK: &str = "/readstates.v1.ReadStatesService/Ack";

/// Calls `Ack` over bare HTTP/2: the usual client keeps the deadline itself and hides the answer.
async fn ack_within(node: &Node, request: AckRequest, grpc_timeout: &str) -> Status {
    let stream = TcpStream::connect(node.address()).await.expect("it listens");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.expect("a ready connection");
    let head = http::Request::post(format!("http://{}{ACK}", node.address()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", grpc_timeout)
        .body(())
        .expect("a head");
    let (response, mut body) = client.send_request(head, false).expect("a stream");
    let message = request.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
    frame.extend(message);
    body.send_data(frame.into(), true).expect("a body");
    let response = response.await.expect("an answer");
    connection.abort();
    Status::from_header_map(response.headers()).expect("an answer of headers alone")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passed_deadline_is_answered_and_what_was_begun_goes_on() {
    let (ground, faults) = Ground::faulty();
    let node = ground.start().await;
    let subject = Subject::new(&node, 1, 10);
    let gate = faults.hold_next(Call::Load, Moment::Before);
    // However long it is, it passes before the store answers.
    let status = ack_within(&node, subject.ack_request(100), "1S").await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(reason_of(&status), "DEADLINE");
    gate.open();
    assert_eq!(subject.position().await, (100, 0), "the load went on without its caller");
    assert!(!subject.ack(100).await.changed, "a retry settles it");
    let key = Key::channel(UserId::new(1).expect("not 0"), ChannelId::new(10).expect("not 0"));
    assert_eq!(faults.tally().loads(&key), 1, "the retry joined the load or found the state");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_is_answered_as_unavailable_with_a_time_to_come_back() {
    let (ground, faults) = Ground::faulty();
    let node = ground.start().await;
    let subject = Subject::new(&node, 1, 10);
    faults.fail_next(Call::Load, 1, StoreError::Unavailable("a test".to_owned()));
    let status = subject.try_ack(subject.ack_request(100)).await.expect_err("no load");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(reason_of(&status), "STORE_UNAVAILABLE");
    let retry = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|delay| !delay.is_zero()));
    let pushback = status.metadata().get("grpc-retry-pushback-ms").and_then(|ms| ms.to_str().ok());
    assert!(pushback.is_some_and(|ms| ms.parse::<u64>().is_ok_and(|ms| ms > 0)));
    assert!(subject.ack(100).await.changed, "nothing was acknowledged, a retry is safe");
    node.stop().await;
}
