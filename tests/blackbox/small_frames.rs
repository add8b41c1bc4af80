//! Connections with many small frames that nobody has read yet: h2 takes them for an attack where
//! it counts too many (RUSTSEC-2026-0258), and such callers mean no harm.

use h2::{RecvStream, SendStream, client::SendRequest};
use http::Request;
use prost::{
    Message as _,
    bytes::{Bytes, BytesMut},
};
use readstates::proto::{
    AckRequest, ApplyStreamRequest, ApplyStreamResponse, Operation, operation,
};
use tokio::{sync::watch, time::timeout};

use crate::{
    edges::{PATIENCE, bare},
    server::Server,
};

fn begin(
    calls: &mut SendRequest<Bytes>,
    method: &str,
) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    let head = Request::post(format!("http://a/readstates.v1.ReadStatesService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    calls.send_request(head, false).expect("a place")
}

fn framed(message: &[u8]) -> Bytes {
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed.into()
}

fn ack(channel_id: u64) -> Operation {
    let request = AckRequest { user_id: 1, channel_id, message_id: 5, ..Default::default() };
    Operation { operation: Some(operation::Operation::Ack(request)) }
}

async fn send(body: &mut SendStream<Bytes>, data: Bytes) {
    body.reserve_capacity(data.len());
    while body.capacity() < data.len() {
        let more = std::future::poll_fn(|context| body.poll_capacity(context)).await;
        more.expect("it is open").expect("the connection is there");
    }
    body.send_data(data, false).expect("the connection is there");
}

/// Of the message that these bytes begin with.
fn length_of(bytes: &[u8]) -> Option<usize> {
    Some(u32::from_be_bytes(*bytes.get(1..)?.first_chunk()?) as usize)
}

/// The answers to `count` messages of a stream, in order.
async fn answers(mut body: RecvStream, count: u64) {
    let (mut bytes, mut answered) = (BytesMut::new(), 0);
    while answered < count {
        let data = body.data().await.expect("it goes on").expect("the connection is there");
        body.flow_control().release_capacity(data.len()).expect("it was taken");
        bytes.extend_from_slice(&data);
        while let Some(length) = length_of(&bytes).filter(|length| bytes.len() >= 5 + length) {
            let message = bytes.split_to(5 + length).split_off(5);
            let answer = ApplyStreamResponse::decode(message).expect("a message");
            assert_eq!(answer.results.len(), 1);
            assert_eq!(answer.results[0].code, 0, "{answer:?}");
            answered += 1;
        }
    }
}

/// A caller that sends far ahead of what it reads waits, and loses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_many_small_messages_waits_for_its_reader() {
    const MESSAGES: u64 = 20_000;
    const AHEAD: u64 = 5_000;
    let server = Server::with(&["--store=memory"]);
    // The server can say little before somebody reads it, and then reads no more itself.
    let (mut calls, _connection) = bare(&server, 1_024).await;
    let (answer, mut body) = begin(&mut calls, "ApplyStream");
    let (sends, mut sent) = watch::channel(0);
    let sending = tokio::spawn(async move {
        for channel_id in 1..=MESSAGES {
            let request =
                ApplyStreamRequest { sequence: channel_id, operations: vec![ack(channel_id)] };
            send(&mut body, framed(&request.encode_to_vec())).await;
            sends.send_replace(channel_id);
        }
        body
    });
    let answer = answer.await.expect("it is served").into_body();
    // Of what is sent by then most waits to be read: the answers of a few hundred are all there is
    // room for.
    let ahead = sent.wait_for(|sent| *sent >= AHEAD);
    timeout(PATIENCE, ahead).await.expect("windows take this much").expect("it goes on");
    answers(answer, MESSAGES).await;
    drop(sending.await.expect("everything was sent"));
}
