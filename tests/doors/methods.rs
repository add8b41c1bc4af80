//! Every method there is, with a call of it that does something, and who may make it.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::FileDescriptorSet;
use readstates::proto;
use tonic_health::pb::HealthCheckRequest;
use tonic_reflection::pb::{v1, v1alpha};

/// The channel of every state.
pub const CHANNEL: u64 = 10;
/// What is acked and mentioned of it before a test begins.
pub const ACKED: u64 = 100;
pub const MENTIONED: u64 = 150;

/// A method, and a call of it about a user.
pub struct Method {
    pub path: &'static str,
    /// The roles that may call it, besides admin.
    pub roles: &'static [&'static str],
    /// Whether the call changes the user's states.
    pub changes: bool,
    pub message: fn(u64) -> Vec<u8>,
}

const READER: &[&str] = &["reader"];
const WRITER: &[&str] = &["writer"];
const FAN_OUT: &[&str] = &["fanout"];
const ADMIN: &[&str] = &[];
/// Any caller may.
const ANYONE: &[&str] = &["reader", "writer", "fanout"];

macro_rules! states {
    ($name:literal) => {
        concat!("/readstates.v1.ReadStatesService/", $name)
    };
}

macro_rules! maintenance {
    ($name:literal) => {
        concat!("/readstates.v1.MaintenanceService/", $name)
    };
}

fn reads(path: &'static str, message: fn(u64) -> Vec<u8>) -> Method {
    Method { path, roles: READER, changes: false, message }
}

fn changes(
    path: &'static str,
    roles: &'static [&'static str],
    message: fn(u64) -> Vec<u8>,
) -> Method {
    Method { path, roles, changes: true, message }
}

fn ack(user_id: u64, message_id: u64) -> proto::AckRequest {
    proto::AckRequest { user_id, channel_id: CHANNEL, message_id, ..Default::default() }
}

/// An operation of a batch.
pub fn acking(user_id: u64, message_id: u64) -> proto::Operation {
    let operation = proto::operation::Operation::Ack(ack(user_id, message_id));
    proto::Operation { operation: Some(operation) }
}

/// What every state is before a test begins.
pub fn seed(user_id: u64) -> [proto::Operation; 2] {
    let mention = proto::IncrementRequest {
        user_id,
        channel_id: CHANNEL,
        message_id: MENTIONED,
        ..Default::default()
    };
    let mention = proto::operation::Operation::Increment(mention);
    [acking(user_id, ACKED), proto::Operation { operation: Some(mention) }]
}

pub fn list(user_id: u64) -> Vec<u8> {
    proto::ListRequest { user_id, ..Default::default() }.encode_to_vec()
}

pub fn watch(user_id: u64) -> Vec<u8> {
    let target = proto::WatchTarget { user_id, since_version: 0, from_now: false };
    proto::WatchRequest { targets: vec![target] }.encode_to_vec()
}

/// Every method that doors are asked about. Those of health are open.
pub fn guarded() -> Vec<Method> {
    let mut methods = acts();
    methods.extend(bulk());
    methods.extend(looks());
    methods.extend(upkeep());
    methods
}

/// What is done to one state.
fn acts() -> Vec<Method> {
    vec![
        changes(states!("Ack"), WRITER, |user| ack(user, 200).encode_to_vec()),
        changes(states!("Increment"), WRITER, |user_id| {
            let (channel_id, message_id) = (CHANNEL, 201);
            proto::IncrementRequest { user_id, channel_id, message_id, ..Default::default() }
                .encode_to_vec()
        }),
        changes(states!("Reset"), WRITER, |user_id| {
            proto::ResetRequest { user_id, channel_id: CHANNEL, ..Default::default() }
                .encode_to_vec()
        }),
        changes(states!("MarkUnread"), WRITER, |user_id| {
            let (channel_id, message_id) = (CHANNEL, 50);
            proto::MarkUnreadRequest { user_id, channel_id, message_id, ..Default::default() }
                .encode_to_vec()
        }),
        changes(states!("AckPins"), WRITER, |user_id| {
            let (channel_id, pinned_at_ms) = (CHANNEL, 5);
            proto::AckPinsRequest { user_id, channel_id, pinned_at_ms, ..Default::default() }
                .encode_to_vec()
        }),
        changes(states!("Delete"), WRITER, |user_id| {
            proto::DeleteRequest { user_id, channel_id: CHANNEL, ..Default::default() }
                .encode_to_vec()
        }),
        changes(states!("DeleteUser"), ADMIN, |user_id| {
            proto::DeleteUserRequest { user_id }.encode_to_vec()
        }),
    ]
}

/// What is done to many.
fn bulk() -> Vec<Method> {
    vec![
        changes(states!("Retract"), &["writer", "fanout"], |user| {
            let (channel_id, message_id, user_ids) = (CHANNEL, MENTIONED, vec![user]);
            proto::RetractRequest { channel_id, message_id, user_ids }.encode_to_vec()
        }),
        changes(states!("FanOut"), FAN_OUT, |user| {
            let (channel_id, message_id, user_ids) = (CHANNEL, 202, vec![user]);
            proto::FanOutRequest { channel_id, message_id, user_ids, ..Default::default() }
                .encode_to_vec()
        }),
        changes(states!("DeleteChannel"), FAN_OUT, |user| {
            let (channel_id, user_ids) = (CHANNEL, vec![user]);
            proto::DeleteChannelRequest { channel_id, user_ids }.encode_to_vec()
        }),
        changes(states!("BulkAck"), WRITER, |user_id| {
            let (channel_id, message_id) = (CHANNEL, 300);
            let item = proto::BulkAckItem { channel_id, message_id, ..Default::default() };
            proto::BulkAckRequest { user_id, items: vec![item] }.encode_to_vec()
        }),
        changes(states!("Restore"), WRITER, |user_id| {
            let (channel_id, last_acked_id) = (CHANNEL, 60);
            let item =
                proto::RestoreItem { user_id, channel_id, last_acked_id, ..Default::default() };
            proto::RestoreRequest { states: vec![item] }.encode_to_vec()
        }),
        changes(states!("Apply"), WRITER, |user| {
            proto::ApplyRequest { operations: vec![acking(user, 400)] }.encode_to_vec()
        }),
        changes(states!("ApplyStream"), WRITER, |user| {
            let operations = vec![acking(user, 400)];
            proto::ApplyStreamRequest { sequence: 1, operations }.encode_to_vec()
        }),
    ]
}

/// What is looked at.
fn looks() -> Vec<Method> {
    vec![
        reads(states!("Get"), |user_id| {
            proto::GetRequest { user_id, channel_id: CHANNEL, ..Default::default() }.encode_to_vec()
        }),
        reads(states!("BatchGet"), |user_id| {
            let key = proto::Key { user_id, channel_id: CHANNEL, ..Default::default() };
            proto::BatchGetRequest { keys: vec![key] }.encode_to_vec()
        }),
        reads(states!("List"), list),
        reads(states!("GetSummary"), |user| {
            proto::GetSummaryRequest { user_ids: vec![user] }.encode_to_vec()
        }),
        reads(states!("Watch"), watch),
    ]
}

/// What is done to the whole store, and what is asked about the server.
fn upkeep() -> Vec<Method> {
    let quiet = |path, message| Method { path, roles: ADMIN, changes: false, message };
    let reflects = |path, message| Method { path, roles: ANYONE, changes: false, message };
    vec![
        quiet(maintenance!("Dump"), |_| proto::DumpRequest::default().encode_to_vec()),
        quiet(maintenance!("Verify"), |_| proto::VerifyRequest::default().encode_to_vec()),
        changes(maintenance!("Load"), ADMIN, |user_id| {
            let state = proto::StateRecord {
                user_id,
                channel_id: CHANNEL + 1,
                r#type: proto::ReadStateType::Channel.into(),
                version: 1,
                last_acked_id: 7,
                ..Default::default()
            };
            proto::LoadRequest { states: vec![state] }.encode_to_vec()
        }),
        reflects("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", |_| {
            use v1::server_reflection_request::MessageRequest;
            let message_request = Some(MessageRequest::ListServices(String::new()));
            v1::ServerReflectionRequest { message_request, ..Default::default() }.encode_to_vec()
        }),
        reflects("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", |_| {
            use v1alpha::server_reflection_request::MessageRequest;
            let message_request = Some(MessageRequest::ListServices(String::new()));
            v1alpha::ServerReflectionRequest { message_request, ..Default::default() }
                .encode_to_vec()
        }),
    ]
}

/// The methods of health, each with a message.
pub fn open() -> [(&'static str, Vec<u8>); 2] {
    let check = HealthCheckRequest::default().encode_to_vec();
    [("/grpc.health.v1.Health/Check", check.clone()), ("/grpc.health.v1.Health/Watch", check)]
}

#[test]
fn no_method_is_forgotten() {
    let sets = [
        proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        v1::FILE_DESCRIPTOR_SET,
        v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut described = BTreeSet::new();
    for set in sets {
        for file in FileDescriptorSet::decode(set).expect("descriptors").file {
            for service in &file.service {
                let path =
                    |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
                described.extend(service.method.iter().map(|method| path(method.name())));
            }
        }
    }
    let open = open().map(|(path, _)| path);
    let known = guarded().into_iter().map(|method| method.path).chain(open).map(str::to_owned);
    assert_eq!(known.collect::<BTreeSet<_>>(), described);
}
