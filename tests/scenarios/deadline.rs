//! A deadline that passes: an answer with a reason, and work that is not split by it.

use h2::RecvStream;
use http::Response;
use readstates::{
    model::{ChannelId, Key, UserId},
    proto::{AckRequest, WatchRequest, WatchTarget},
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
const WATCH: &str = "/readstates.v1.ReadStatesService/Watch";

/// Calls over bare HTTP/2: the usual client keeps the deadline itself and hides the answer.
async fn call_within(
    node: &Node,
    path: &str,
    message: &impl prost::Message,
    grpc_timeout: &str,
) -> Response<RecvStream> {
    let stream = TcpStream::connect(node.address()).await.expect("it listens");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    // Ends when the answer is dropped.
    tokio::spawn(connection);
    let mut client = client.ready().await.expect("a ready connection");
    let head = http::Request::post(format!("http://{}{path}", node.address()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", grpc_timeout)
        .body(())
        .expect("a head");
    let (response, mut body) = client.send_request(head, false).expect("a stream");
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
    frame.extend(message);
    body.send_data(frame.into(), true).expect("a body");
    response.await.expect("an answer")
}

async fn ack_within(node: &Node, request: AckRequest, grpc_timeout: &str) -> Status {
    let response = call_within(node, ACK, &request, grpc_timeout).await;
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
async fn a_stream_ends_with_its_deadline_though_it_has_begun() {
    let node = Ground::roomy().start().await;
    let target = WatchTarget { user_id: 1, ..WatchTarget::default() };
    let request = WatchRequest { targets: vec![target] };
    let mut body = call_within(&node, WATCH, &request, "1S").await.into_body();
    let first = body.data().await.expect("it has begun").expect("a message");
    assert!(!first.is_empty());
    while let Some(more) = body.data().await {
        more.expect("nothing is cut");
    }
    let trailers = body.trailers().await.expect("an end").expect("with trailers");
    let status = Status::from_header_map(&trailers).expect("a status");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::DeadlineExceeded, "DEADLINE"));
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
