//! What a caller can get wrong: refused with the stated code, a reason and the field at fault, on a
//! connection that stays usable.

use prost::Message as _;
use readstates::proto::{
    AckPinsRequest, AckRequest, AckResponse, ApplyRequest, BatchGetRequest, BulkAckItem,
    BulkAckRequest, DeleteChannelRequest, DeleteRequest, DeleteUserRequest, FanOutRequest,
    GetRequest, GetSummaryRequest, IncrementRequest, Key, ListRequest, MarkUnreadRequest,
    Operation, ResetRequest, RestoreItem, RestoreRequest, RetractRequest, operation,
};
use tonic::Code;

use crate::{
    failure::{assert_invalid, failed, fields, reason},
    raw,
    server::{Client, Server},
};

const ACK: &str = "/readstates.v1.ReadStatesService/Ack";
const ITEMS_MAX: u64 = 10_000;
const KEYS_MAX: u64 = 1_000;
const INVALID: i32 = Code::InvalidArgument as i32;

fn ack(user_id: u64, channel_id: u64, message_id: u64) -> AckRequest {
    AckRequest { user_id, channel_id, message_id, ..Default::default() }
}

/// A call that must work, so that the connection is seen to have survived.
async fn still_works(client: &mut Client) {
    client.ack(ack(7, 7, 7)).await.expect("a good call on the same connection works");
}

#[tokio::test]
async fn zero_ids_are_refused_in_every_call_about_one_state() {
    let server = Server::start();
    let mut client = server.client().await;
    assert_invalid(client.ack(ack(1, 2, 0)).await, "INVALID_ID", "message_id");
    for (user_id, channel_id, field) in [(0, 2, "user_id"), (1, 0, "channel_id")] {
        assert_invalid(client.ack(ack(user_id, channel_id, 3)).await, "INVALID_ID", field);
        let request = IncrementRequest { user_id, channel_id, ..Default::default() };
        assert_invalid(client.increment(request).await, "INVALID_ID", field);
        let request = ResetRequest { user_id, channel_id, ..Default::default() };
        assert_invalid(client.reset(request).await, "INVALID_ID", field);
        let request = MarkUnreadRequest { user_id, channel_id, ..Default::default() };
        assert_invalid(client.mark_unread(request).await, "INVALID_ID", field);
        let request = AckPinsRequest { user_id, channel_id, pinned_at_ms: 1, ..Default::default() };
        assert_invalid(client.ack_pins(request).await, "INVALID_ID", field);
        let request = GetRequest { user_id, channel_id, ..Default::default() };
        assert_invalid(client.get(request).await, "INVALID_ID", field);
        let request = DeleteRequest { user_id, channel_id, ..Default::default() };
        assert_invalid(client.delete(request).await, "INVALID_ID", field);
    }
    still_works(&mut client).await;
}

#[tokio::test]
async fn zero_ids_are_refused_in_calls_about_many() {
    let server = Server::start();
    let mut client = server.client().await;
    let user_ids = vec![1, 0];
    for (channel_id, message_id, field) in
        [(0, 3, "channel_id"), (2, 0, "message_id"), (2, 3, "user_ids[1]")]
    {
        let request = RetractRequest { channel_id, message_id, user_ids: user_ids.clone() };
        assert_invalid(client.retract(request).await, "INVALID_ID", field);
        let user_ids = user_ids.clone();
        let request = FanOutRequest { channel_id, message_id, user_ids, initial_acked_id: None };
        assert_invalid(client.fan_out(request).await, "INVALID_ID", field);
    }
    for (channel_id, field) in [(0, "channel_id"), (2, "user_ids[1]")] {
        let request = DeleteChannelRequest { channel_id, user_ids: user_ids.clone() };
        assert_invalid(client.delete_channel(request).await, "INVALID_ID", field);
    }
    let request = GetSummaryRequest { user_ids };
    assert_invalid(client.get_summary(request).await, "INVALID_ID", "user_ids[1]");
    let keys = vec![Key { user_id: 1, channel_id: 0, r#type: 0 }];
    let answer = client.batch_get(BatchGetRequest { keys }).await;
    assert_invalid(answer, "INVALID_ID", "keys[0].channel_id");
    assert_invalid(client.list(ListRequest::default()).await, "INVALID_ID", "user_id");
    let request = DeleteUserRequest { user_id: 0 };
    assert_invalid(client.delete_user(request).await, "INVALID_ID", "user_id");
    let request = BulkAckRequest { user_id: 0, items: vec![] };
    assert_invalid(client.bulk_ack(request).await, "INVALID_ID", "user_id");
    still_works(&mut client).await;
}

#[tokio::test]
async fn a_bad_item_fails_alone() {
    let server = Server::start();
    let mut client = server.client().await;
    let item = |channel_id| BulkAckItem { channel_id, message_id: 5, r#type: 0 };
    let items = vec![item(1), item(0), BulkAckItem { r#type: 99, ..item(2) }, item(3)];
    let answer = client.bulk_ack(BulkAckRequest { user_id: 1, items }).await.expect("it is taken");
    let results = answer.into_inner().results;
    let codes: Vec<_> = results.iter().map(|r| (r.code, r.reason.as_str(), r.changed)).collect();
    let expected = [
        (0, "", true),
        (INVALID, "INVALID_ID", false),
        (INVALID, "INVALID_TYPE", false),
        (0, "", true),
    ];
    assert_eq!(codes, expected);

    let good = RestoreItem { user_id: 1, channel_id: 9, last_acked_id: 4, ..Default::default() };
    let states = vec![RestoreItem { user_id: 0, ..good }, good];
    let answer = client.restore(RestoreRequest { states }).await.expect("it is taken");
    let results = answer.into_inner().results;
    let codes: Vec<_> = results.iter().map(|r| (r.code, r.reason.as_str(), r.changed)).collect();
    assert_eq!(codes, [(INVALID, "INVALID_ID", false), (0, "", true)]);

    let of = |request| Operation { operation: Some(operation::Operation::Ack(request)) };
    let operations =
        vec![of(ack(2, 2, 2)), Operation::default(), of(ack(2, 2, 0)), of(ack(2, 3, 2))];
    let answer = client.apply(ApplyRequest { operations }).await.expect("it is taken");
    let results = answer.into_inner().results;
    assert_eq!(results.iter().map(|r| r.code).collect::<Vec<_>>(), [0, INVALID, INVALID, 0]);
    assert_eq!(results.iter().map(|r| r.changed).collect::<Vec<_>>(), [true, false, false, true]);
    assert!(!results[1].reason.is_empty());
    assert_eq!(results[2].reason, "INVALID_ID");
}

#[tokio::test]
async fn too_many_items_are_refused_whole() {
    let server = Server::start();
    let mut client = server.client().await;
    let user_ids: Vec<u64> = (1..=ITEMS_MAX + 1).collect();
    let (channel_id, message_id) = (1, 2);
    let request = RetractRequest { channel_id, message_id, user_ids: user_ids.clone() };
    assert_invalid(client.retract(request).await, "TOO_MANY_ITEMS", "user_ids");
    let request = FanOutRequest {
        channel_id,
        message_id,
        user_ids: user_ids.clone(),
        initial_acked_id: None,
    };
    assert_invalid(client.fan_out(request).await, "TOO_MANY_ITEMS", "user_ids");
    let request = DeleteChannelRequest { channel_id, user_ids: user_ids.clone() };
    assert_invalid(client.delete_channel(request).await, "TOO_MANY_ITEMS", "user_ids");
    let request = GetSummaryRequest { user_ids: (1..=KEYS_MAX + 1).collect() };
    assert_invalid(client.get_summary(request).await, "TOO_MANY_ITEMS", "user_ids");
    let keys = (1..=KEYS_MAX + 1).map(|id| Key { user_id: id, channel_id: 1, r#type: 0 }).collect();
    assert_invalid(client.batch_get(BatchGetRequest { keys }).await, "TOO_MANY_ITEMS", "keys");
    let item = |channel_id: &u64| BulkAckItem { channel_id: *channel_id, message_id, r#type: 0 };
    let request = BulkAckRequest { user_id: 1, items: user_ids.iter().map(item).collect() };
    assert_invalid(client.bulk_ack(request).await, "TOO_MANY_ITEMS", "items");
    let states = vec![RestoreItem::default(); user_ids.len()];
    let answer = client.restore(RestoreRequest { states }).await;
    assert_invalid(answer, "TOO_MANY_ITEMS", "states");
    let operations = vec![Operation::default(); user_ids.len()];
    let answer = client.apply(ApplyRequest { operations }).await;
    assert_invalid(answer, "TOO_MANY_ITEMS", "operations");
    let read = client.get(GetRequest { user_id: 1, channel_id: 1, r#type: 0 }).await;
    assert_eq!(failed(read).code(), Code::NotFound, "nothing of them was done");
}

#[tokio::test]
async fn as_many_items_as_the_contract_allows_are_taken() {
    let server = Server::start();
    let mut client = server.client().await;
    let user_ids: Vec<u64> = (1..=ITEMS_MAX).collect();
    let request = FanOutRequest { channel_id: 1, message_id: 2, user_ids, initial_acked_id: None };
    let answer = client.fan_out(request).await.expect("10,000 users are taken").into_inner();
    assert_eq!(u64::from(answer.incremented), ITEMS_MAX);
    let item = |channel_id| BulkAckItem { channel_id, message_id: 9, r#type: 0 };
    let request = BulkAckRequest { user_id: 1, items: (1..=ITEMS_MAX).map(item).collect() };
    let answer = client.bulk_ack(request).await.expect("10,000 items are taken").into_inner();
    assert!(answer.results.iter().all(|result| result.changed && result.code == 0));
    let request = GetSummaryRequest { user_ids: (1..=KEYS_MAX).collect() };
    let answer = client.get_summary(request).await.expect("1,000 users are taken").into_inner();
    assert_eq!(answer.summaries.iter().map(|s| s.mention_count).sum::<u32>(), 999);
}

#[tokio::test]
async fn a_message_over_the_byte_limit_is_refused_and_the_connection_stays() {
    let server = Server::start();
    let mut client = server.client().await;
    let user_ids = vec![1; 400_000];
    let status = failed(client.get_summary(GetSummaryRequest { user_ids }).await);
    let codes = [Code::ResourceExhausted, Code::InvalidArgument];
    assert!(codes.contains(&status.code()), "{status:?}");
    reason(&status);
    assert_eq!(fields(&status).len(), 1, "{status:?}");
    still_works(&mut client).await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_invalid() {
    let server = Server::start();
    let channel = server.channel().await;
    let garbage: [&[u8]; 4] = [&[0xff; 64], &[0x09, 1, 2], &[0x0a, 0x7f, 0], &[0x0b, 0x0b]];
    for bytes in garbage {
        let status = raw::call(&channel, ACK, bytes).await.expect_err("garbage is refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{bytes:?}: {status:?}");
        reason(&status);
    }
    let status = raw::call(&channel, ACK, &[]).await.expect_err("an empty request has no ids");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_ID"));
    still_works(&mut Client::new(channel)).await;
}

#[tokio::test]
async fn unknown_fields_are_accepted() {
    let server = Server::start();
    let channel = server.channel().await;
    let mut bytes = ack(1, 2, 3).encode_to_vec();
    // Field 1000 as a varint, field 1001 as bytes: a newer client's.
    bytes.extend([0xc0, 0x3e, 5, 0xca, 0x3e, 2, 1, 2]);
    let answer = raw::call(&channel, ACK, &bytes).await.expect("unknown fields are no error");
    let answer = AckResponse::decode(&answer[..]).expect("an answer of the contract");
    assert!(answer.changed);
    assert_eq!(answer.state.expect("a state").last_acked_id, 3);
}

#[tokio::test]
async fn unknown_methods_and_services_carry_a_reason_too() {
    let server = Server::start();
    let channel = server.channel().await;
    for path in ["/readstates.v1.ReadStatesService/Nothing", "/readstates.v1.Nobody/Ack"] {
        let status = raw::call(&channel, path, &[]).await.expect_err("there is no such method");
        assert_eq!(status.code(), Code::Unimplemented, "{path}: {status:?}");
        reason(&status);
    }
}

#[tokio::test]
async fn unknown_types_are_invalid_and_0_means_channel() {
    let server = Server::start();
    let mut client = server.client().await;
    for number in [7, 99, -1, i32::MAX] {
        let request = AckRequest { r#type: number, ..ack(1, 2, 3) };
        assert_invalid(client.ack(request).await, "INVALID_TYPE", "type");
    }
    let answer = client.ack(ack(1, 2, 3)).await.expect("0 is CHANNEL").into_inner();
    assert_eq!(answer.state.expect("a state").r#type, 1);
}

#[tokio::test]
async fn scenario_9a_types_of_one_channel_never_touch() {
    let server = Server::start();
    let mut client = server.client().await;
    for number in 1..=6 {
        let request = AckRequest { r#type: number, ..ack(1, 2, 100 + number as u64) };
        client.ack(request).await.expect("a known type");
    }
    for number in 1..=6 {
        let request = GetRequest { user_id: 1, channel_id: 2, r#type: number };
        let state = client.get(request).await.expect("it is there").into_inner().state;
        let state = state.expect("a state");
        assert_eq!((state.r#type, state.last_acked_id), (number, 100 + number as u64));
    }
}

#[tokio::test]
async fn unknown_page_tokens_are_invalid() {
    let server = Server::start();
    let mut client = server.client().await;
    for channel_id in 1..=3 {
        client.ack(ack(1, channel_id, 5)).await.expect("an ack is taken");
    }
    let page = |user_id, page_token: &str| ListRequest {
        user_id,
        page_size: 1,
        page_token: page_token.to_owned(),
        ..Default::default()
    };
    for token in ["x", "nonsense", "AAAA", "!!!", &"A".repeat(10_000)] {
        assert_invalid(client.list(page(1, token)).await, "INVALID_PAGE_TOKEN", "page_token");
    }
    let first = client.list(page(1, "")).await.expect("a first page").into_inner();
    assert_eq!(first.states.len(), 1);
    let token = first.next_page_token;
    let cut = &token[..token.len() - 1];
    assert_invalid(client.list(page(1, cut)).await, "INVALID_PAGE_TOKEN", "page_token");
    assert_invalid(client.list(page(2, &token)).await, "INVALID_PAGE_TOKEN", "page_token");
    let second = client.list(page(1, &token)).await.expect("a second page").into_inner();
    assert_eq!(second.states[0].channel_id, 2);
}

#[tokio::test]
async fn fields_that_contradict_each_other_are_invalid() {
    let server = Server::start();
    let mut client = server.client().await;
    let request = IncrementRequest {
        user_id: 1,
        channel_id: 2,
        message_id: 3,
        count: 2,
        ..Default::default()
    };
    let status = failed(client.increment(request).await);
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fields(&status), ["count"]);
    reason(&status);
    let once = IncrementRequest { count: 1, ..request };
    assert!(client.increment(once).await.expect("one message is one").into_inner().changed);
    let request = ListRequest { user_id: 1, page_size: -1, ..Default::default() };
    let status = failed(client.list(request).await);
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["page_size".into()]));
    reason(&status);
    let request =
        ListRequest { user_id: 1, unread_only: true, since_version: 5, ..Default::default() };
    let status = failed(client.list(request).await);
    assert_eq!(status.code(), Code::InvalidArgument);
    reason(&status);
}

#[tokio::test]
async fn page_sizes_above_the_limit_are_cut() {
    let server = Server::start();
    let mut client = server.client().await;
    client.ack(ack(1, 2, 3)).await.expect("an ack is taken");
    let request = ListRequest { user_id: 1, page_size: i32::MAX, ..Default::default() };
    let answer = client.list(request).await.expect("it is coerced").into_inner();
    assert_eq!((answer.states.len(), answer.next_page_token.as_str()), (1, ""));
}

#[tokio::test]
async fn refusals_by_state_say_what_the_state_is() {
    let server = Server::start();
    let mut client = server.client().await;
    let status = failed(client.get(GetRequest { user_id: 1, channel_id: 2, r#type: 0 }).await);
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(reason(&status), "READ_STATE_NOT_FOUND");
    let state = client.ack(ack(1, 2, 3)).await.expect("an ack is taken").into_inner().state;
    let version = state.expect("a state").version;
    for expected in [0, version - 1, version + 1] {
        let request = AckRequest { expected_version: Some(expected), ..ack(1, 2, 9) };
        let status = failed(client.ack(request).await);
        assert_eq!(status.code(), Code::Aborted, "{status:?}");
        assert_eq!(reason(&status), "VERSION_MISMATCH");
        let details = tonic_types::StatusExt::get_details_error_info(&status).expect("ErrorInfo");
        assert!(details.metadata.values().any(|v| *v == version.to_string()), "{details:?}");
    }
    let request = AckRequest { expected_version: Some(version), ..ack(1, 2, 9) };
    client.ack(request).await.expect("the current version matches");
}
