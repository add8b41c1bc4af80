//! Field numbers and wire types of the contract, against messages made by hand: clients that nobody
//! here writes are held against them.

use prost::{
    Message,
    encoding::{WireType, decode_key},
};
use readstates::proto;
use tonic::{Request, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use crate::ground::{Node, on_grounds};

on_grounds!([roomy] => [a_message_made_by_hand_is_understood_over_the_wire]);

const FIXED: WireType = WireType::SixtyFourBit;
const VARINT: WireType = WireType::Varint;
const BYTES: WireType = WireType::LengthDelimited;

/// Checks number and wire type of a field by a message that has no other.
fn check(name: &str, message: &impl Message, number: u32, wire: WireType) {
    let bytes = message.encode_to_vec();
    let key = decode_key(&mut bytes.as_slice());
    assert_eq!(key.expect("the field is encoded"), (number, wire), "{name}");
}

/// `Message { field: value => number wire type, .. }`
macro_rules! fields {
    ($($message:ident {
        $($field:ident: $value:expr => $number:literal $wire:ident),+ $(,)?
    })+) => {
        $($({
            let mut message = proto::$message::default();
            message.$field = $value;
            let name = concat!(stringify!($message), ".", stringify!($field));
            check(name, &message, $number, $wire);
        })+)+
    };
}

#[test]
fn a_read_state_has_its_numbers() {
    fields! {
        ReadState {
            user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED, last_acked_id: 1 => 3 FIXED,
            mention_count: 1 => 4 VARINT, version: 1 => 5 FIXED, marked_unread: true => 6 VARINT,
            flags: 1 => 7 VARINT, last_viewed_day: 1 => 8 VARINT, last_pin_ack_ms: 1 => 9 FIXED,
            mentions_exact: true => 10 VARINT, deleted: true => 11 VARINT, r#type: 1 => 12 VARINT,
        }
        Key { user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED, r#type: 1 => 15 VARINT }
    }
}

#[test]
fn requests_about_one_state_have_their_numbers() {
    fields! {
        AckRequest {
            user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED, message_id: 1 => 3 FIXED,
            flags: Some(0) => 4 VARINT, last_viewed_day: Some(0) => 5 VARINT,
            expected_version: Some(0) => 6 FIXED, r#type: 1 => 15 VARINT,
        }
        IncrementRequest {
            user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED, message_id: 1 => 3 FIXED,
            count: 1 => 4 VARINT, initial_acked_id: Some(0) => 5 FIXED, r#type: 1 => 15 VARINT,
        }
        ResetRequest {
            user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED,
            expected_version: Some(0) => 3 FIXED, r#type: 1 => 15 VARINT,
        }
        MarkUnreadRequest {
            user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED, message_id: 1 => 3 FIXED,
            mention_count: Some(0) => 4 VARINT, expected_version: Some(0) => 5 FIXED,
            r#type: 1 => 15 VARINT,
        }
        AckPinsRequest {
            user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED, pinned_at_ms: 1 => 3 FIXED,
            r#type: 1 => 15 VARINT,
        }
        GetRequest { user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED, r#type: 1 => 15 VARINT }
        DeleteRequest {
            user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED,
            expected_version: Some(0) => 3 FIXED, r#type: 1 => 15 VARINT,
        }
    }
}

#[test]
fn requests_about_many_states_have_their_numbers() {
    fields! {
        RetractRequest {
            channel_id: 1 => 1 FIXED, message_id: 1 => 2 FIXED, user_ids: vec![1] => 3 BYTES,
        }
        FanOutRequest {
            channel_id: 1 => 1 FIXED, message_id: 1 => 2 FIXED, user_ids: vec![1] => 3 BYTES,
            initial_acked_id: Some(0) => 4 FIXED,
        }
        BatchGetRequest { keys: vec![proto::Key::default()] => 1 BYTES }
        ListRequest {
            user_id: 1 => 1 FIXED, page_size: 1 => 2 VARINT, page_token: "t".into() => 3 BYTES,
            since_version: 1 => 4 FIXED, unread_only: true => 5 VARINT,
        }
        GetSummaryRequest { user_ids: vec![1] => 1 BYTES }
        BulkAckRequest {
            user_id: 1 => 1 FIXED, items: vec![proto::BulkAckItem::default()] => 2 BYTES,
        }
        BulkAckItem { channel_id: 1 => 1 FIXED, message_id: 1 => 2 FIXED, r#type: 1 => 15 VARINT }
        RestoreRequest { states: vec![proto::RestoreItem::default()] => 1 BYTES }
        RestoreItem {
            user_id: 1 => 1 FIXED, channel_id: 1 => 2 FIXED, last_acked_id: 1 => 3 FIXED,
            mention_count: 1 => 4 VARINT, expected_version: Some(0) => 5 FIXED,
            expected_last_acked_id: Some(0) => 6 FIXED, marked_unread: true => 7 VARINT,
            r#type: 1 => 15 VARINT,
        }
        DeleteUserRequest { user_id: 1 => 1 FIXED }
        DeleteChannelRequest { channel_id: 1 => 1 FIXED, user_ids: vec![1] => 2 BYTES }
        ApplyRequest { operations: vec![proto::Operation::default()] => 1 BYTES }
        ApplyStreamRequest {
            sequence: 1 => 1 VARINT, operations: vec![proto::Operation::default()] => 2 BYTES,
        }
        WatchRequest { targets: vec![proto::WatchTarget::default()] => 1 BYTES }
        WatchTarget {
            user_id: 1 => 1 FIXED, since_version: 1 => 2 FIXED, from_now: true => 3 VARINT,
        }
    }
}

#[test]
fn responses_about_one_state_have_their_numbers() {
    let state = || Some(proto::ReadState::default());
    fields! {
        AckResponse { state: state() => 1 BYTES, changed: true => 2 VARINT }
        IncrementResponse {
            state: state() => 1 BYTES, changed: true => 2 VARINT, outcome: 1 => 3 VARINT,
        }
        ResetResponse { state: state() => 1 BYTES, changed: true => 2 VARINT }
        MarkUnreadResponse { state: state() => 1 BYTES, changed: true => 2 VARINT }
        AckPinsResponse { state: state() => 1 BYTES, changed: true => 2 VARINT }
        DeleteResponse { state: state() => 1 BYTES, changed: true => 2 VARINT }
        GetResponse { state: state() => 1 BYTES }
    }
}

#[test]
fn responses_about_many_states_have_their_numbers() {
    let state = proto::ReadState::default;
    fields! {
        RetractResponse { retracted: 1 => 1 VARINT }
        FanOutResponse {
            incremented: 1 => 1 VARINT, duplicate: 1 => 2 VARINT, already_read: 1 => 3 VARINT,
        }
        BatchGetResponse {
            states: vec![state()] => 1 BYTES, missing: vec![proto::Key::default()] => 2 BYTES,
        }
        ListResponse {
            states: vec![state()] => 1 BYTES, next_page_token: "t".into() => 2 BYTES,
            version: 1 => 3 FIXED, delta: true => 4 VARINT,
        }
        GetSummaryResponse { summaries: vec![proto::Summary::default()] => 1 BYTES }
        Summary {
            user_id: 1 => 1 FIXED, mention_count: 1 => 2 VARINT,
            channels_with_mentions: 1 => 3 VARINT, channels_marked_unread: 1 => 4 VARINT,
            version: 1 => 5 FIXED,
        }
        BulkAckResponse { results: vec![proto::BulkAckResult::default()] => 1 BYTES }
        BulkAckResult {
            state: Some(state()) => 1 BYTES, changed: true => 2 VARINT,
            previous_last_acked_id: 1 => 3 FIXED, previous_mention_count: 1 => 4 VARINT,
            code: 1 => 5 VARINT, reason: "R".into() => 6 BYTES,
            previous_marked_unread: true => 7 VARINT,
        }
        RestoreResponse { results: vec![proto::RestoreResult::default()] => 1 BYTES }
        RestoreResult {
            state: Some(state()) => 1 BYTES, changed: true => 2 VARINT, code: 1 => 3 VARINT,
            reason: "R".into() => 4 BYTES,
        }
        DeleteUserResponse { deleted: 1 => 1 VARINT }
        DeleteChannelResponse { deleted: 1 => 1 VARINT }
        ApplyResponse { results: vec![proto::OperationResult::default()] => 1 BYTES }
        OperationResult {
            code: 1 => 1 VARINT, reason: "R".into() => 2 BYTES, version: 1 => 3 FIXED,
            mention_count: 1 => 4 VARINT, last_acked_id: 1 => 5 FIXED, changed: true => 6 VARINT,
            outcome: 1 => 7 VARINT,
        }
        ApplyStreamResponse {
            sequence: 1 => 1 VARINT, results: vec![proto::OperationResult::default()] => 2 BYTES,
        }
        WatchResponse {
            user_id: 1 => 1 FIXED, state: Some(state()) => 2 BYTES, cause: 1 => 3 VARINT,
            version: 1 => 4 FIXED,
        }
    }
}

#[test]
fn an_operation_is_one_of_six() {
    use proto::operation::Operation as Of;
    let each = [
        Of::Ack(proto::AckRequest::default()),
        Of::Increment(proto::IncrementRequest::default()),
        Of::Reset(proto::ResetRequest::default()),
        Of::MarkUnread(proto::MarkUnreadRequest::default()),
        Of::AckPins(proto::AckPinsRequest::default()),
        Of::Delete(proto::DeleteRequest::default()),
    ];
    for (number, of) in (1..).zip(each) {
        let name = format!("{of:?}");
        check(&name, &proto::Operation { operation: Some(of) }, number, BYTES);
    }
}

#[test]
fn enums_have_their_numbers_and_names() {
    let kinds = [
        "READ_STATE_TYPE_UNSPECIFIED",
        "READ_STATE_TYPE_CHANNEL",
        "READ_STATE_TYPE_GUILD_EVENT",
        "READ_STATE_TYPE_NOTIFICATION_CENTER",
        "READ_STATE_TYPE_GUILD_HOME",
        "READ_STATE_TYPE_GUILD_ONBOARDING",
        "READ_STATE_TYPE_MESSAGE_REQUESTS",
    ];
    let kind = |name: &str| proto::ReadStateType::from_str_name(name).map(i32::from);
    let outcomes = ["UNSPECIFIED", "INCREMENTED", "DUPLICATE", "ALREADY_READ"]
        .map(|name| format!("MENTION_OUTCOME_{name}"));
    let outcome = |name: &str| proto::MentionOutcome::from_str_name(name).map(i32::from);
    let causes = [
        "UNSPECIFIED",
        "ACK",
        "INCREMENT",
        "RESET",
        "MARK_UNREAD",
        "ACK_PINS",
        "RETRACT",
        "RESTORE",
        "DELETE",
        "CATCH_UP",
        "CAUGHT_UP",
        "RESYNC",
    ]
    .map(|name| format!("CAUSE_{name}"));
    let cause = |name: &str| proto::Cause::from_str_name(name).map(i32::from);
    assert_eq!(kinds.map(kind), [0, 1, 2, 3, 4, 5, 6].map(Some));
    assert_eq!(outcomes.each_ref().map(|name| outcome(name)), [0, 1, 2, 3].map(Some));
    let numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(Some);
    assert_eq!(causes.each_ref().map(|name| cause(name)), numbers);
}

/// An `AckRequest` as another team would write it down from the contract, and a field from later.
#[derive(Clone, PartialEq, Message)]
struct HandMadeAck {
    #[prost(fixed64, tag = "1")]
    user: u64,
    #[prost(fixed64, tag = "2")]
    channel: u64,
    #[prost(fixed64, tag = "3")]
    message: u64,
    #[prost(uint32, optional, tag = "4")]
    flags: Option<u32>,
    #[prost(uint32, optional, tag = "5")]
    day: Option<u32>,
    #[prost(fixed64, optional, tag = "6")]
    expected_version: Option<u64>,
    #[prost(int32, tag = "15")]
    kind: i32,
    #[prost(string, tag = "99")]
    from_later: String,
}

#[derive(Clone, PartialEq, Message)]
struct HandMadeAnswer {
    #[prost(message, optional, tag = "1")]
    state: Option<HandMadeState>,
    #[prost(bool, tag = "2")]
    changed: bool,
}

#[derive(Clone, PartialEq, Message)]
struct HandMadeState {
    #[prost(fixed64, tag = "1")]
    user: u64,
    #[prost(fixed64, tag = "2")]
    channel: u64,
    #[prost(fixed64, tag = "3")]
    last_acked: u64,
    #[prost(fixed64, tag = "5")]
    version: u64,
    #[prost(uint32, tag = "7")]
    flags: u32,
    #[prost(uint32, tag = "8")]
    day: u32,
    #[prost(bool, tag = "10")]
    exact: bool,
    #[prost(int32, tag = "12")]
    kind: i32,
}

async fn a_message_made_by_hand_is_understood_over_the_wire(node: &Node) {
    let url = format!("http://{}", node.address());
    let channel = Channel::from_shared(url).expect("a URL").connect().await.expect("it answers");
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.expect("a ready channel");
    let request = HandMadeAck {
        user: 0x0102_0304_0506_0708,
        channel: 20,
        message: 30,
        flags: Some(40),
        day: Some(50),
        expected_version: Some(0),
        kind: 4,
        from_later: "unknown fields are passed over".to_owned(),
    };
    let path = http::uri::PathAndQuery::from_static("/readstates.v1.ReadStatesService/Ack");
    let codec = ProstCodec::<HandMadeAck, HandMadeAnswer>::default();
    let response = grpc.unary(Request::new(request), path, codec).await.expect("an ack");
    let answer = response.into_inner();
    let state = answer.state.expect("the state");
    assert!(answer.changed && state.version > 0);
    let expected = HandMadeState {
        user: 0x0102_0304_0506_0708,
        channel: 20,
        last_acked: 30,
        version: state.version,
        flags: 40,
        day: 50,
        exact: true,
        kind: 4,
    };
    assert_eq!(state, expected);
}
