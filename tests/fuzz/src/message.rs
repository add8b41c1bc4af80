//! Messages of the contract: what does not keep to it is refused for that, and changes nothing;
//! what does is done.

use prost::Message;
use readstates::{
    proto::{self, operation::Operation as Of, read_states_service_server::ReadStatesService as _},
    rpc::Service,
};
use tonic::{Code, Request, Status};

use crate::ground::{Ground, ITEMS_MAX, runtime};

/// More than one message of as many bytes as are drawn can be about.
const ENTRIES: usize = 512;
/// The number of unary calls.
pub const CALLS: u64 = 17;
/// Which of them is `Apply`.
const APPLY: u8 = 16;

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = runtime();
}

/// The bytes behind the first one as the request of the call that it says.
pub fn run(bytes: &[u8]) {
    let Some((which, message)) = bytes.split_first() else { return };
    let which = (u64::from(*which) % CALLS) as u8;
    RUNTIME.with(|runtime| runtime.block_on(check(which, message)));
}

/// A request of each call that is done.
pub fn seeds() -> Vec<Vec<u8>> {
    let seed = |(which, message): (u8, Vec<u8>)| [vec![which], message].concat();
    examples().into_iter().map(seed).collect()
}

async fn check(which: u8, message: &[u8]) {
    let ground = Ground::new(ENTRIES).await;
    let Some(answer) = call(&ground.service, which, message).await else { return };
    if let Err(status) = &answer {
        let known = [Code::InvalidArgument, Code::NotFound, Code::Aborted];
        assert!(known.contains(&status.code()), "{status}");
        assert!(!status.details().is_empty(), "it gives a reason: {status}");
        assert_eq!(ground.cache.dirty(), 0, "what is refused changes nothing");
    }
    if which == APPLY {
        let request = proto::ApplyRequest::decode(message).expect("it was decoded before");
        judge_apply(&request, answer.ok());
    }
    ground.cache.self_check();
}

/// Whether each operation is refused that breaks the contract, and no other.
fn judge_apply(request: &proto::ApplyRequest, answer: Option<Vec<u8>>) {
    let Some(answer) = answer else {
        return assert!(request.operations.len() > ITEMS_MAX, "only limits fail the whole");
    };
    let answer = proto::ApplyResponse::decode(&answer[..]).expect("it was just encoded");
    assert_eq!(answer.results.len(), request.operations.len());
    for (operation, result) in request.operations.iter().zip(&answer.results) {
        let refused = result.code == Code::InvalidArgument as i32;
        assert_eq!(refused, !keeps_to_contract(operation), "{operation:?}: {result:?}");
        let done = result.code == 0;
        let guarded = result.code == Code::Aborted as i32 && is_guarded(operation);
        assert!(refused || done || guarded, "{operation:?}: {result:?}");
    }
}

/// As the comments of the contract have it, and nothing else.
fn keeps_to_contract(operation: &proto::Operation) -> bool {
    let named = |user: u64, channel: u64, kind: i32| {
        user != 0 && channel != 0 && proto::ReadStateType::try_from(kind).is_ok()
    };
    match &operation.operation {
        None => false,
        Some(Of::Ack(of)) => named(of.user_id, of.channel_id, of.r#type) && of.message_id != 0,
        Some(Of::Increment(of)) => {
            let positioned = of.message_id != 0;
            named(of.user_id, of.channel_id, of.r#type) && (!positioned || of.count <= 1)
        }
        Some(Of::Reset(of)) => named(of.user_id, of.channel_id, of.r#type),
        Some(Of::MarkUnread(of)) => named(of.user_id, of.channel_id, of.r#type),
        Some(Of::AckPins(of)) => named(of.user_id, of.channel_id, of.r#type),
        Some(Of::Delete(of)) => named(of.user_id, of.channel_id, of.r#type),
    }
}

fn is_guarded(operation: &proto::Operation) -> bool {
    match &operation.operation {
        Some(Of::Ack(of)) => of.expected_version.is_some(),
        Some(Of::Reset(of)) => of.expected_version.is_some(),
        Some(Of::MarkUnread(of)) => of.expected_version.is_some(),
        Some(Of::Delete(of)) => of.expected_version.is_some(),
        Some(Of::Increment(_) | Of::AckPins(_)) | None => false,
    }
}

/// A message that decodes, and again from what it encodes to.
fn decoded<M: Message + Default + PartialEq>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    let encoded = message.encode_to_vec();
    assert_eq!(encoded.len(), message.encoded_len());
    assert!(M::decode(&encoded[..]).is_ok_and(|again| again == message));
    Some(message)
}

/// The answer's bytes; `None` where the request does not decode.
async fn call(service: &Service, which: u8, bytes: &[u8]) -> Option<Result<Vec<u8>, Status>> {
    macro_rules! call {
        ($method:ident, $request:ident) => {{
            let request = Request::new(decoded::<proto::$request>(bytes)?);
            service.$method(request).await.map(|answer| answer.into_inner().encode_to_vec())
        }};
    }
    Some(match which {
        0 => call!(ack, AckRequest),
        1 => call!(increment, IncrementRequest),
        2 => call!(reset, ResetRequest),
        3 => call!(mark_unread, MarkUnreadRequest),
        4 => call!(ack_pins, AckPinsRequest),
        5 => call!(retract, RetractRequest),
        6 => call!(fan_out, FanOutRequest),
        7 => call!(get, GetRequest),
        8 => call!(batch_get, BatchGetRequest),
        9 => call!(list, ListRequest),
        10 => call!(get_summary, GetSummaryRequest),
        11 => call!(bulk_ack, BulkAckRequest),
        12 => call!(restore, RestoreRequest),
        13 => call!(delete, DeleteRequest),
        14 => call!(delete_user, DeleteUserRequest),
        15 => call!(delete_channel, DeleteChannelRequest),
        _ => call!(apply, ApplyRequest),
    })
}

/// A call and a request of it, of each call.
pub fn examples() -> Vec<(u8, Vec<u8>)> {
    use proto::{
        AckPinsRequest, AckRequest, ApplyRequest, BatchGetRequest, BulkAckItem, BulkAckRequest,
        DeleteChannelRequest, DeleteRequest, DeleteUserRequest, FanOutRequest, GetRequest,
        GetSummaryRequest, IncrementRequest, Key, ListRequest, MarkUnreadRequest, Operation,
        ResetRequest, RestoreItem, RestoreRequest, RetractRequest,
    };
    let (user_id, channel_id, message_id, r#type) = (1, 2, 3, 4);
    let user_ids = vec![1, 5];
    let ack = AckRequest { user_id, channel_id, message_id, r#type, ..AckRequest::default() };
    let increment = IncrementRequest { user_id, channel_id, count: 2, ..Default::default() };
    let mark = MarkUnreadRequest {
        mention_count: Some(2),
        user_id,
        channel_id,
        ..MarkUnreadRequest::default()
    };
    let pins = AckPinsRequest { user_id, channel_id, pinned_at_ms: 9, r#type };
    let guarded = DeleteRequest { user_id, channel_id, expected_version: Some(1), r#type };
    let reset = ResetRequest { user_id, channel_id, ..ResetRequest::default() };
    let all = [Of::Ack(ack), Of::Increment(increment), Of::MarkUnread(mark), Of::AckPins(pins)];
    let all = all.into_iter().chain([Of::Reset(reset), Of::Delete(guarded)]);
    let operations = all.map(|of| Operation { operation: Some(of) }).collect();
    let fan_out = FanOutRequest {
        channel_id,
        message_id,
        user_ids: user_ids.clone(),
        initial_acked_id: Some(1),
    };
    let list = ListRequest { user_id, page_size: 2, since_version: 1, ..ListRequest::default() };
    let item = BulkAckItem { channel_id, message_id, r#type };
    let restored = RestoreItem { user_id, channel_id, mention_count: 1, ..Default::default() };
    vec![
        (0, ack.encode_to_vec()),
        (1, increment.encode_to_vec()),
        (2, reset.encode_to_vec()),
        (3, mark.encode_to_vec()),
        (4, pins.encode_to_vec()),
        (5, RetractRequest { channel_id, message_id, user_ids: vec![1] }.encode_to_vec()),
        (6, fan_out.encode_to_vec()),
        (7, GetRequest { user_id, channel_id, r#type }.encode_to_vec()),
        (8, BatchGetRequest { keys: vec![Key { user_id, channel_id, r#type }] }.encode_to_vec()),
        (9, list.encode_to_vec()),
        (10, GetSummaryRequest { user_ids: user_ids.clone() }.encode_to_vec()),
        (11, BulkAckRequest { user_id, items: vec![item] }.encode_to_vec()),
        (12, RestoreRequest { states: vec![restored] }.encode_to_vec()),
        (13, guarded.encode_to_vec()),
        (14, DeleteUserRequest { user_id }.encode_to_vec()),
        (15, DeleteChannelRequest { channel_id, user_ids }.encode_to_vec()),
        (APPLY, ApplyRequest { operations }.encode_to_vec()),
    ]
}
