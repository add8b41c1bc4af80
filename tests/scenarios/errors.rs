//! Section 4: every error says its domain, its reason and, where a field is at fault, which.

use http::uri::PathAndQuery;
use readstates::proto::{
    self, AckRequest, GetRequest, GetResponse, IncrementRequest, ListRequest, RetractRequest,
};
use tonic::{Code, Request, Status, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

use crate::{
    ground::{Node, on_grounds},
    subject::Subject,
};

on_grounds!([roomy] => [
    a_zero_id_is_named_by_its_field,
    an_unknown_type_is_refused_by_every_call_about_one_state,
    a_count_beside_a_message_is_refused,
    a_state_that_is_not_there_is_not_found,
    a_page_token_of_another_call_is_refused,
    filters_that_exclude_each_other_are_refused,
    what_is_not_served_has_a_reason_too,
]);

/// The reason of an error, which every error has, in the domain of this service.
pub fn reason_of(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status}"));
    assert_eq!(info.domain, "readstates");
    assert!(!status.message().is_empty(), "{status}");
    info.reason.clone()
}

/// The path of the field at fault.
pub fn field_of(status: &Status) -> String {
    let details = status.get_error_details();
    let request = details.bad_request().unwrap_or_else(|| panic!("no BadRequest: {status}"));
    assert_eq!(request.field_violations.len(), 1, "{status}");
    assert!(!request.field_violations[0].description.is_empty());
    request.field_violations[0].field.clone()
}

/// Checks that a call was refused for a wrong field.
#[track_caller]
pub fn expect_invalid<T>(result: Result<T, Status>, reason: &str, field: &str) {
    let Err(status) = result else { panic!("{field} was taken, not refused by {reason}") };
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert_eq!((reason_of(&status).as_str(), field_of(&status).as_str()), (reason, field));
}

async fn a_zero_id_is_named_by_its_field(node: &Node) {
    let mut client = node.client();
    let subject = Subject::new(node, 1, 10);
    let ack = subject.ack_request(5);
    expect_invalid(client.ack(AckRequest { user_id: 0, ..ack }).await, "INVALID_ID", "user_id");
    let no_channel = AckRequest { channel_id: 0, ..ack };
    expect_invalid(client.ack(no_channel).await, "INVALID_ID", "channel_id");
    let no_message = AckRequest { message_id: 0, ..ack };
    expect_invalid(client.ack(no_message).await, "INVALID_ID", "message_id");
    let list = ListRequest::default();
    expect_invalid(client.list(list).await, "INVALID_ID", "user_id");
    let retract = RetractRequest { channel_id: 10, message_id: 5, user_ids: vec![1, 0, 2] };
    expect_invalid(client.retract(retract.clone()).await, "INVALID_ID", "user_ids[1]");
    let no_message = RetractRequest { message_id: 0, user_ids: vec![1], ..retract };
    expect_invalid(client.retract(no_message).await, "INVALID_ID", "message_id");
    let summary = proto::GetSummaryRequest { user_ids: vec![3, 0] };
    expect_invalid(client.get_summary(summary).await, "INVALID_ID", "user_ids[1]");
    let delete = proto::DeleteUserRequest { user_id: 0 };
    expect_invalid(client.delete_user(delete).await, "INVALID_ID", "user_id");
    let key = |channel_id| proto::Key { user_id: 1, channel_id, r#type: 0 };
    let batch = proto::BatchGetRequest { keys: vec![key(1), key(2), key(0)] };
    expect_invalid(client.batch_get(batch).await, "INVALID_ID", "keys[2].channel_id");
    let bulk = proto::BulkAckRequest::default();
    expect_invalid(client.bulk_ack(bulk).await, "INVALID_ID", "user_id");
    assert_eq!(subject.get().await, None, "nothing of it was done");
}

async fn an_unknown_type_is_refused_by_every_call_about_one_state(node: &Node) {
    let mut client = node.client();
    for kind in [7, 15, -1, i32::MAX, i32::MIN, 257] {
        let subject = Subject { kind, ..Subject::new(node, 1, 10) };
        let check = |result: Result<(), Status>| expect_invalid(result, "INVALID_TYPE", "type");
        check(client.ack(subject.ack_request(5)).await.map(drop));
        check(client.increment(subject.increment_request(5)).await.map(drop));
        check(client.reset(subject.reset_request()).await.map(drop));
        check(client.mark_unread(subject.mark_unread_request(5, None)).await.map(drop));
        check(client.ack_pins(subject.pins_request(5)).await.map(drop));
        check(client.delete(subject.delete_request()).await.map(drop));
        let get = GetRequest { user_id: 1, channel_id: 10, r#type: kind };
        check(client.get(get).await.map(drop));
    }
}

async fn a_count_beside_a_message_is_refused(node: &Node) {
    let mut client = node.client();
    let subject = Subject::new(node, 1, 10);
    for count in [2, u32::MAX] {
        let request = IncrementRequest { count, ..subject.increment_request(5) };
        expect_invalid(client.increment(request).await, "INVALID_COUNT", "count");
    }
    assert_eq!(subject.get().await, None);
    for count in [0, 1] {
        let request = IncrementRequest { count, ..subject.increment_request(5) };
        client.increment(request).await.expect("one message is one mention");
    }
    assert_eq!(subject.position().await, (0, 1));
}

async fn a_state_that_is_not_there_is_not_found(node: &Node) {
    let request = GetRequest { user_id: 1, channel_id: 10, r#type: 0 };
    let status = node.client().get(request).await.expect_err("there is none");
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(reason_of(&status), "READ_STATE_NOT_FOUND");
    let subject = Subject::new(node, 1, 10);
    subject.ack(5).await;
    subject.delete().await;
    let status = node.client().get(request).await.expect_err("a tombstone is none");
    assert_eq!(reason_of(&status), "READ_STATE_NOT_FOUND");
}

async fn a_page_token_of_another_call_is_refused(node: &Node) {
    let mut client = node.client();
    for channel in 1..=3 {
        Subject::new(node, 1, channel).mark_unread(5, None).await;
    }
    let first = ListRequest { user_id: 1, page_size: 1, ..ListRequest::default() };
    let page = client.list(first.clone()).await.expect("a page").into_inner();
    let token = page.next_page_token;
    assert!(!token.is_empty());
    let good = ListRequest { page_token: token, ..first };
    client.list(good.clone()).await.expect("its own token");
    let other_user = ListRequest { user_id: 2, ..good.clone() };
    let other_filter = ListRequest { unread_only: true, ..good.clone() };
    let other_since = ListRequest { since_version: page.version, ..good.clone() };
    let junk = |text: &str| ListRequest { page_token: text.to_owned(), ..good.clone() };
    let longer = junk(&format!("{}A", good.page_token));
    for wrong in [other_user, other_filter, other_since, junk("x"), junk("0"), junk(" "), longer] {
        expect_invalid(client.list(wrong).await, "INVALID_PAGE_TOKEN", "page_token");
    }
}

async fn filters_that_exclude_each_other_are_refused(node: &Node) {
    let request =
        ListRequest { user_id: 1, since_version: 1, unread_only: true, ..ListRequest::default() };
    let result = node.client().list(request).await;
    expect_invalid(result, "CONFLICTING_FIELDS", "unread_only");
}

async fn what_is_not_served_has_a_reason_too(node: &Node) {
    let address = format!("http://{}", node.address());
    let channel = Channel::from_shared(address).expect("an address").connect().await;
    let mut client = Grpc::new(channel.expect("it answers"));
    client.ready().await.expect("it is connected");
    let path = PathAndQuery::from_static("/readstates.v1.ReadStatesService/Nothing");
    let codec = ProstCodec::<GetRequest, GetResponse>::default();
    let request = Request::new(GetRequest::default());
    let status = client.unary(request, path, codec).await.expect_err("there is no such method");
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(reason_of(&status), "UNIMPLEMENTED");
}
