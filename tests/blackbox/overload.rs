//! What is too much: how it is refused, and what goes on beside it.

use futures_util::future::join_all;
use prost::bytes::Bytes;
use readstates::proto::{AckRequest, ListRequest};
use tonic::Code;

use crate::{
    admin::{sample, scrape_until},
    edges::{bare, head},
    server::Server,
};

/// More than are told at once, and fewer than the connection may have.
const REFUSED: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn while_refusals_wait_for_their_turn_what_is_taken_on_is_answered() {
    let flags = ["--max-bulk-in-flight=1", "--refusals-per-second=1", "--store=memory"];
    let server = Server::with(&flags);
    // Holds the only place: its request never comes.
    let (mut calls, _connection) = bare(&server, 65_535).await;
    let (_answer, mut body) = calls.send_request(head("List"), false).expect("a place");
    body.send_data(Bytes::from_static(&[0]), false).expect("room");
    scrape_until(&server, |metrics| {
        sample(metrics, &["readstates_in_flight_requests"]) == Some(1.0)
    });
    let client = server.client().await;
    let lists = (0..REFUSED).map(|_| {
        let mut client = client.clone();
        tokio::spawn(
            async move { client.list(ListRequest { user_id: 1, ..Default::default() }).await },
        )
    });
    let lists: Vec<_> = lists.collect();
    scrape_until(&server, |metrics| {
        sample(metrics, &["readstates_refusals_waiting"]).is_some_and(|waiting| waiting > 0.0)
    });
    let ack = AckRequest { user_id: 1, channel_id: 1, message_id: 5, ..Default::default() };
    client.clone().ack(ack).await.expect("it is taken on");
    for list in join_all(lists).await {
        let refusal = list.expect("no panic").expect_err("there was no place");
        assert_eq!(refusal.code(), Code::ResourceExhausted);
        assert!(refusal.metadata().contains_key("grpc-retry-pushback-ms"));
    }
    let metrics = scrape_until(&server, |metrics| {
        sample(metrics, &["readstates_refusals_waiting"]) == Some(0.0)
    });
    let rejected = ["readstates_requests_rejected_total{", "\"bulk_in_flight\""];
    assert_eq!(sample(&metrics.body, &rejected), Some(REFUSED as f64));
}
